/** A database over a memory store for the tests of this folder, and short ways to write to it. */

import { parseDocument } from '../document/document.ts';
import type { Revision } from '../document/revision.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import { digest128 } from '../runtime/digest.ts';
import type { Clock } from '../runtime/ports.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { systemRandom } from '../runtime/system-random.ts';
import type { MemoryStore } from '../store/memory-store.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import type { Database } from './database.ts';
import type { Databases, RouteWrites } from './databases.ts';
import { openDatabases } from './databases.ts';
import type { ChangesBatch, DocumentEdit, EditOutcome, ReplicatedRevision, Replication } from './model.ts';

export async function openTestDatabases(
  store: MemoryStore = createMemoryStore(),
  clock: Clock = systemClock,
  routeWrites?: RouteWrites,
): Promise<Databases> {
  return openDatabases({
    ...(routeWrites && { routeWrites }),
    store,
    digest: digest128,
    clock,
    random: systemRandom,
    node: 'n1',
    onBackgroundFailure: (work, cause) => {
      throw new Error(`${work} failed`, { cause });
    },
  });
}

export async function openTestDatabase(store?: MemoryStore, clock?: Clock): Promise<Database> {
  return (await openTestDatabases(store, clock)).create('test');
}

/** A leaderless database, whatever its quorums are: reopened when the store holds it already. */
export async function openLeaderlessDatabase(
  options: {
    readonly store?: MemoryStore;
    readonly clock?: Clock;
    readonly resolver?: LeaderlessSettings['resolver'];
  } = {},
): Promise<Database> {
  const databases = await openTestDatabases(options.store, options.clock);
  if (databases.has('carts')) return databases.get('carts');
  const settings: LeaderlessSettings = {
    ...{
      preset: 'dynamo',
      n: 3,
      r: 2,
      w: 2,
      pr: 0,
      pw: 0,
      quorum: 'sloppy',
      resolver: options.resolver ?? 'siblings',
    },
    ...{ hints: true, readRepair: 'async', antiEntropy: true, readTimeoutMs: 1_000, writeTimeoutMs: 1_000 },
    ...{ hintWindowMs: 1_000, tombstoneHorizonMs: 1_000 },
  };
  const replication: Replication = { strategy: 'leaderless', reference: 1, identity: 'f00', settings };
  return databases.create('carts', { incarnation: systemRandom.hex(8), replication });
}

export function bodyOf(value: object): Uint8Array {
  return parseDocument(value, { depthMax: 32, documentIdBytesMax: 7_168, attachmentNameBytesMax: 1_024 })
    .body;
}

export function edit(id: string, value: object, base?: string, deleted = false): DocumentEdit {
  return { id, base: base as Revision | undefined, deleted, body: bodyOf(value), attachments: [] };
}

/** A revision made elsewhere; `digests` newest first. */
export function arrival(
  id: string,
  generation: number,
  digests: readonly string[],
  value: object = {},
  deleted = false,
): ReplicatedRevision {
  return {
    id,
    revision: `${generation}-${digests[0]}` as Revision,
    path: { start: generation, ids: digests },
    deleted,
    body: bodyOf(value),
    attachments: [],
  };
}

/** Writes one edit that must succeed; gives its revision. */
export async function write(database: Database, id: string, value: object, base?: string): Promise<Revision> {
  return revisionOf((await database.edit([edit(id, value, base)]))[0]);
}

export function revisionOf(outcome: EditOutcome | undefined): Revision {
  if (outcome?.kind !== 'written') throw new Error(`not written: ${outcome?.error.message}`);
  return outcome.revision;
}

/** The body of the winner, or of one revision, as a value; undefined when there is none. */
export function bodyValue(database: Database, id: string, revision?: string): unknown {
  const outcome = database.read(id, revision === undefined ? {} : { revision: revision as Revision });
  return outcome.kind === 'found' ? JSON.parse(new TextDecoder().decode(outcome.document.body)) : undefined;
}

export async function collect<Item>(items: AsyncIterable<readonly Item[]>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const part of items) all.push(...part);
  return all;
}

export async function collectChanges(batches: AsyncIterable<ChangesBatch>): Promise<ChangesBatch> {
  let last: ChangesBatch | undefined;
  const rows: ChangesBatch['rows'][number][] = [];
  for await (const batch of batches) {
    rows.push(...batch.rows);
    last = batch;
  }
  if (last === undefined) throw new Error('a feed yields at least one batch');
  return { ...last, rows };
}
