/**
 * Where `tercet dev` keeps its nodes' data, and how it knows that the directory is its own: by the file that it put there.
 * Starting over deletes only what that file lists and the copy that one of the things to try makes, and nothing that a
 * living node has open.
 *
 *   .tercet/dev.json           { "createdBy": "tercet dev", "cluster": "…32 hex…", "nodes": ["n1", "n2", "n3"], "run": … }
 *   .tercet/n1/                a node's data directory
 *   .tercet/pouchdb-calendar/  PouchDB's copy
 */

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { OptionsError } from '../config.ts';

export interface DevDirectory {
  /** Absolute. */
  readonly path: string;
  /** The cluster uuid of all its nodes. */
  readonly cluster: string;
  /** Every node that ever had a directory here. */
  readonly nodes: readonly string[];
  /** The latest start, if it came so far as to have nodes; it may be over. */
  readonly run: DevRun | undefined;
}

/** One start: the process of `tercet dev`, and where its nodes listen or listened. */
export interface DevRun {
  readonly pid: number;
  readonly nodes: readonly { readonly name: string; readonly url: string; readonly pid: number }[];
}

interface Marker extends Omit<DevDirectory, 'path' | 'run'> {
  readonly createdBy: 'tercet dev';
  readonly run?: DevRun;
}

/** The copy that one of the things to try makes. */
export const pouchdbCopy = 'pouchdb-calendar';

const markerName = 'dev.json';
const nodePattern = /^n\d$/;

/**
 * The directory as earlier starts left it; undefined where there was none.
 * @throws OptionsError when it holds what `tercet dev` did not make
 */
export function findDevDirectory(directory: string): DevDirectory | undefined {
  const path = resolve(directory);
  const marker = readMarker(path);
  if (marker !== undefined) {
    return { path, cluster: marker.cluster, nodes: marker.nodes, run: marker.run };
  }
  if (existsSync(path) && readdirSync(path).length > 0) {
    throw new OptionsError(
      `${path} was not made by "tercet dev", so it is left alone: choose another directory with --data DIR.`,
    );
  }
  return undefined;
}

/** Deletes the data of all nodes. None of them may be running. */
export function emptyDevDirectory({ path, nodes }: DevDirectory): void {
  for (const name of [...nodes, pouchdbCopy]) rmSync(join(path, name), { recursive: true, force: true });
}

/** Makes the directory for these nodes, or takes up again what was `found` there. */
export function prepareDevDirectory(
  directory: string,
  nodes: readonly string[],
  found: DevDirectory | undefined,
): DevDirectory {
  const prepared: DevDirectory = {
    path: resolve(directory),
    cluster: found?.cluster ?? randomBytes(16).toString('hex'),
    nodes: [...new Set([...(found?.nodes ?? []), ...nodes])].sort(),
    run: undefined,
  };
  mkdirSync(prepared.path, { recursive: true });
  writeMarker(prepared);
  return prepared;
}

/** Remembers a start, so that what outlives it can be found. */
export function recordRun(directory: DevDirectory, run: DevRun): DevDirectory {
  const recorded = { ...directory, run };
  writeMarker(recorded);
  return recorded;
}

function writeMarker({ path, cluster, nodes, run }: DevDirectory): void {
  const marker: Marker = { createdBy: 'tercet dev', cluster, nodes, ...(run && { run }) };
  writeFileSync(join(path, markerName), `${JSON.stringify(marker, null, 2)}\n`);
}

function readMarker(path: string): Marker | undefined {
  let text: string;
  try {
    text = readFileSync(join(path, markerName), 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new OptionsError(`Cannot use ${path} (${message}): choose another directory with --data DIR.`);
  }
  const marker = parseMarker(text);
  if (marker === undefined) {
    throw new OptionsError(
      `${join(path, markerName)} is damaged: delete ${path} yourself, or choose another with --data DIR.`,
    );
  }
  return marker;
}

function parseMarker(text: string): Marker | undefined {
  try {
    const { createdBy, cluster, nodes, run } = JSON.parse(text) as Partial<Record<string, unknown>>;
    const isOurs =
      createdBy === 'tercet dev' && typeof cluster === 'string' && /^[0-9a-f]{32}$/.test(cluster);
    // The names become paths that --fresh deletes.
    if (!isOurs || !Array.isArray(nodes) || !nodes.every((node) => nodePattern.test(String(node)))) {
      return undefined;
    }
    return { createdBy, cluster, nodes: nodes.map(String), ...(isRun(run) && { run }) };
  } catch {
    // A marker that cannot be read proves nothing.
    return undefined;
  }
}

function isRun(value: unknown): value is DevRun {
  const { pid, nodes } = (value ?? {}) as Partial<Record<string, unknown>>;
  return (
    Number.isSafeInteger(pid) &&
    Array.isArray(nodes) &&
    nodes.every(
      (node) => nodePattern.test(node?.name) && URL.canParse(node.url) && Number.isSafeInteger(node.pid),
    )
  );
}
