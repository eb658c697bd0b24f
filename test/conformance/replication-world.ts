/** Nodes to replicate between, and short ways to speak to them over HTTP. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openNode, type TercetNode } from '../../src/node.ts';

export interface Reply {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into replies as it likes; a wrong look fails the test.
  readonly body: any;
}

/** Sends JSON, gets JSON. `path` is encoded already. */
export async function call(url: string, method: string, path: string, body?: unknown): Promise<Reply> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { accept: 'application/json', 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

/** As {@link call}, for requests that must succeed. */
export async function ok(url: string, method: string, path: string, body?: unknown): Promise<Reply['body']> {
  const reply = await call(url, method, path, body);
  if (reply.status >= 300)
    throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(reply.body)}`);
  return reply.body;
}

/** Asks until the condition holds. */
export async function eventually(condition: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within 15 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export interface World {
  openNode(
    name: string,
    options?: {
      readonly dataDirectory?: string;
      readonly listen?: string;
      readonly peers?: Readonly<Record<string, string>>;
    },
  ): Promise<TercetNode>;
  directory(): Promise<string>;
  /** Base URL of a new PouchDB server. */
  startPouchServer(): Promise<string>;
  close(): Promise<void>;
}

export function openWorld(): World {
  const closers: (() => Promise<unknown>)[] = [];

  async function directory(): Promise<string> {
    const made = await mkdtemp(join(tmpdir(), 'tercet-replication-'));
    closers.push(() => rm(made, { recursive: true, force: true }));
    return made;
  }

  return {
    directory,
    openNode: async (name, options = {}) => {
      const node = await openNode({
        dataDirectory: await directory(),
        listen: '127.0.0.1:0',
        logLevel: 'silent',
        name,
        ...options,
      });
      closers.push(() => node.close());
      return node;
    },
    startPouchServer: async () => {
      const main = fileURLToPath(new URL('./pouchdb-server-child.ts', import.meta.url));
      const child = fork(main, {
        execArgv: ['--import', 'tsx'],
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      closers.push(() => endChild(child));
      const [{ port }] = (await once(child, 'message')) as [{ readonly port: number }];
      return `http://127.0.0.1:${port}`;
    },
    close: async () => {
      for (const close of closers.reverse()) await close();
    },
  };
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** All of a database that replication must keep: every leaf with its history, body, deletion and attachments. */
export async function contentOf(databaseUrl: string): Promise<Record<string, readonly unknown[]>> {
  const changes = await ok(databaseUrl, 'GET', '/_changes?style=all_docs&since=0');
  const docs = changes.results.flatMap((row: ChangeRow) =>
    row.changes.map(({ rev }) => ({ id: row.id, rev })),
  );
  const { results } = await ok(databaseUrl, 'POST', '/_bulk_get?revs=true&attachments=true', { docs });
  const leaves = new Map<string, Record<string, unknown>[]>();
  for (const result of results as readonly BulkGetResult[]) {
    const known = leaves.get(result.id) ?? [];
    leaves.set(result.id, [...known, ...result.docs.map((row) => withoutRevpos(row.ok))]);
  }
  for (const ofOne of leaves.values()) ofOne.sort((a, b) => String(a._rev).localeCompare(String(b._rev)));
  return Object.fromEntries(leaves);
}

interface ChangeRow {
  readonly id: string;
  readonly changes: readonly { readonly rev: string }[];
}

interface BulkGetResult {
  readonly id: string;
  readonly docs: readonly { readonly ok: Record<string, unknown> }[];
}

/** PouchDB counts `revpos` of attachments that came by replication in its own way. */
function withoutRevpos(document: Record<string, unknown>): Record<string, unknown> {
  const attachments = document._attachments as
    | Record<string, { data: string; content_type: string }>
    | undefined;
  if (attachments === undefined) return document;
  const plain = Object.entries(attachments).map(([name, { data, content_type }]) => [
    name,
    { data, content_type },
  ]);
  return { ...document, _attachments: Object.fromEntries(plain) };
}

const digestOf = (letter: string): string => letter.repeat(32);

/** Documents of every kind that replication may meet. */
export async function fillWithEverything(databaseUrl: string): Promise<void> {
  const plain = Array.from({ length: 25 }, (_, number) => ({ _id: `plain-${number}`, number, text: 'é😀' }));
  await ok(databaseUrl, 'POST', '/_bulk_docs', { docs: plain });
  const odd = ['a/b', 'ü 😀', '..', 'a+b&c=d?e#f', '%41', 'constructor', '10', '9'];
  await ok(databaseUrl, 'POST', '/_bulk_docs', {
    docs: odd.map((_id) => ({ _id, nested: { b: [1, null, true], a: {} } })),
  });
  await ok(databaseUrl, 'PUT', '/_design/app', {
    views: { all: { map: 'function (doc) { emit(doc._id); }' } },
  });
  const gone = await ok(databaseUrl, 'PUT', '/gone', { was: 'here' });
  await ok(databaseUrl, 'DELETE', `/gone?rev=${gone.rev}`);
  const branch = (leaf: string, value: object) => ({
    _id: 'conflicted',
    _rev: `2-${digestOf(leaf)}`,
    _revisions: { start: 2, ids: [digestOf(leaf), digestOf('a')] },
    ...value,
  });
  const branches = [
    branch('b', { side: 'left' }),
    branch('c', { side: 'right' }),
    branch('d', { _deleted: true }),
  ];
  await ok(databaseUrl, 'POST', '/_bulk_docs', { new_edits: false, docs: branches });
  const data = Buffer.from('hello attachment').toString('base64');
  const attached = await ok(databaseUrl, 'PUT', '/attached', {
    _attachments: {
      '10': { content_type: 'text/plain', data },
      'a ü.txt': { content_type: 'text/plain', data: 'eHl6' },
    },
  });
  // A second revision with the attachment of the first.
  const { _attachments } = await ok(databaseUrl, 'GET', '/attached');
  await ok(databaseUrl, 'PUT', '/attached', { _rev: attached.rev, edited: true, _attachments });
}
