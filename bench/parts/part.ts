import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterSystem } from '../clusters/cluster.ts';
import { createDatabase } from '../database-requests.ts';
import type { RowId, Sample } from '../rows.ts';
import type { Settings } from '../settings.ts';
import type { RunningNode, System } from '../systems.ts';

export interface PartContext {
  readonly settings: Settings;
  readonly systems: readonly System[];
  /** For data directories; everything in it goes at the end. */
  readonly directory: string;
  /** Tells whoever waits what goes on. */
  readonly progress: (text: string) => void;
  /** Says how a system was run, or why not, for the report. */
  readonly describe: (text: string) => void;
  /** Notes something that went wrong without ending the benchmark. */
  readonly problem: (text: string) => void;
}

export interface Part {
  readonly name: string;
  readonly rows: readonly RowId[];
  readonly run: (context: PartContext) => Promise<readonly Sample[]>;
}

/** Those of the known clusters that are asked for and are on this machine; why others are not is said in the report. */
export function preparedClusters(
  { settings, describe }: PartContext,
  known: readonly (readonly [name: string, prepare: () => ClusterSystem])[],
): ClusterSystem[] {
  return known.flatMap(([name, prepare]) => {
    if (!settings.systems.includes(name)) return [];
    try {
      const system = prepare();
      describe(system.description);
      return [system];
    } catch (error) {
      describe(`${name} is left out: ${(error as Error).message}`);
      return [];
    }
  });
}

export async function inDirectory<T>(
  context: PartContext,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(context.directory, 'node-'));
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

export async function whileRunning<T>(
  system: System,
  directory: string,
  use: (node: RunningNode) => Promise<T>,
): Promise<T> {
  const node = await system.start(directory);
  try {
    return await use(node);
  } finally {
    await node.stop();
  }
}

/**
 * Runs a measurement for every system in every round, each on a new node with an empty database. The systems take turns
 * and the turn's order changes, so that neither always meets the warmer machine. What fails is noted, the rest goes on.
 */
export async function inRounds(
  context: PartContext,
  what: string,
  measure: (node: RunningNode, system: System) => Promise<readonly Sample[]>,
): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  for (let round = 1; round <= context.settings.rounds; round++) {
    const order = round % 2 === 1 ? context.systems : context.systems.toReversed();
    for (const system of order) {
      context.progress(`${what}: ${system.name}, round ${round} of ${context.settings.rounds}`);
      const measureFresh = (directory: string) =>
        whileRunning(system, directory, async (node) => {
          await createDatabase(node);
          return measure(node, system);
        });
      try {
        samples.push(...(await inDirectory(context, measureFresh)));
      } catch (error) {
        context.problem(`${what}, ${system.name}: ${(error as Error).message}`);
      }
    }
  }
  return samples;
}
