import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Database } from '../database/database.ts';
import type { AckSettings } from '../database/model.ts';
import { arrival, bodyValue, collectChanges, edit, revisionOf, write } from '../database/test-database.ts';
import { databaseRange } from '../store/keys.ts';
import type { MemoryStore } from '../store/memory-store.ts';
import { applyInBatches, openReplica, TestLog, type TestReplica } from './test-log.ts';
import { recordsOf, transfer } from './test-state-transfer.ts';

const ack: AckSettings = { policy: 'semi-sync', followers: 'majority', onTimeout: 'block', timeoutMs: 1_000 };

async function opened(...names: readonly string[]) {
  const log = new TestLog();
  const leader = await log.openLeader();
  for (const name of names) await leader.cluster.createDatabase(name, { strategy: 'single-leader', ack });
  return { log, leader, ledger: leader.databases.get(names[0]!) };
}

/** A follower that has applied what is in the log now. */
async function followerOf(log: TestLog): Promise<TestReplica> {
  await log.settled();
  const follower = await openReplica();
  await applyInBatches(follower, log.entries, [3]);
  return follower;
}

/** Some of everything a database can have. */
async function fill(database: Database, tag: string): Promise<void> {
  for (let n = 0; n < 30; n += 1) await write(database, `${tag}-${n}`, { n, text: 'x'.repeat(200) });
  const base = await write(database, `${tag}-gone`, { n: 1 });
  await database.edit([edit(`${tag}-gone`, {}, base, true)]);
  const digests = ['a', 'b', 'c'].map((letter) => letter.repeat(32));
  await database.insert([
    arrival(`${tag}-both`, 1, [digests[0]!], { by: 1 }),
    arrival(`${tag}-both`, 2, [digests[1]!, digests[0]!], { by: 2 }),
    arrival(`${tag}-both`, 2, [digests[2]!, digests[0]!], { by: 3 }),
  ]);
  await database.writeLocal(`${tag}-checkpoint`, undefined, Buffer.from('{"at":1}'));
  await attach(database, `${tag}-file`, Buffer.alloc(600_000, tag));
}

async function attach(database: Database, id: string, content: Buffer): Promise<void> {
  const stream = async function* () {
    yield content;
  };
  const blob = await database.storeBlob(stream(), 1e9);
  const attachments = [{ kind: 'stored', name: 'file', contentType: 'text/plain', blob }] as const;
  revisionOf((await database.edit([{ ...edit(id, {}), attachments }]))[0]);
}

async function purge(database: Database, id: string): Promise<void> {
  const leaves = database.readOpenRevisions(id, 'all');
  const revisions = leaves.map((leaf) => (leaf.kind === 'found' ? leaf.document.revision : leaf.revision));
  await database.purge(new Map([[id, revisions]]));
}

async function expectEqual(follower: TestReplica, leader: TestReplica): Promise<void> {
  expect([...follower.catalog.names()].sort()).toEqual([...leader.catalog.names()].sort());
  expect(follower.catalog.appliedIndex()).toBe(leader.catalog.appliedIndex());
  for (const name of leader.catalog.names().values()) {
    expect(await recordsOf(follower, name)).toEqual(await recordsOf(leader, name));
    expect(await feedOf(follower, name)).toEqual(await feedOf(leader, name));
    expect(follower.databases.replication(name)).toEqual(leader.databases.replication(name));
    expect(await countsOf(follower, name)).toEqual(await countsOf(leader, name));
  }
}

async function feedOf({ databases }: TestReplica, name: string) {
  const query = { since: '0', style: 'all_docs', includeDocuments: true } as const;
  const { rows, lastSequence, pending } = await collectChanges(databases.get(name).changes(query));
  return { rows, lastSequence, pending };
}

async function countsOf({ databases }: TestReplica, name: string) {
  const { documentCount, deletedDocumentCount, incarnation } = await databases.get(name).info();
  return { documentCount, deletedDocumentCount, incarnation };
}

/** How many records belong to no database. */
async function strayRecords({ databases, store }: TestReplica): Promise<number> {
  const numbers = new Set(databases.names().map((name) => databases.numberOf(name)));
  let count = 0;
  for (let number = 1; number < 20; number += 1) {
    if (numbers.has(number)) continue;
    for await (const entries of store.scan(databaseRange(number))) count += entries.length;
  }
  return count;
}

describe('A replica that the log no longer reaches', () => {
  it('gets everything when it is empty, in pieces, and goes on with the log', async () => {
    const { log, leader, ledger } = await opened('ledger', 'orders');
    await fill(ledger, 'a');
    await fill(leader.databases.get('orders'), 'b');
    await purge(ledger, 'a-3');
    await leader.cluster.setReplication('orders', {
      strategy: 'single-leader',
      ack: { ...ack, policy: 'async' },
    });
    await ledger.setRevisionsLimit(9);
    await log.settled();
    const follower = await openReplica();
    const { answerBytes, opened: states } = await transfer({ from: leader, to: follower });
    expect(states[0]?.databases.map(({ scope }) => scope)).toEqual(['whole', 'whole']);
    expect(Math.max(...answerBytes)).toBeLessThan(1_000_000);
    expect(answerBytes.length).toBeGreaterThan(5);
    await expectEqual(follower, leader);
    expect(follower.databases.get('ledger').revisionsLimit()).toBe(9);
    await fill(ledger, 'later');
    await log.settled();
    await applyInBatches(follower, log.entries.slice(follower.catalog.appliedIndex()), [4]);
    await expectEqual(follower, leader);
  });

  it('gets what changed since its sequence, and only that', async () => {
    const { log, leader, ledger } = await opened('ledger', 'orders', 'dropped');
    await fill(ledger, 'a');
    await ledger.writeLocal('goes', undefined, Buffer.from('{}'));
    const follower = await followerOf(log);
    await change(ledger);
    await leader.cluster.deleteDatabase('dropped');
    await leader.cluster.createDatabase('new', { strategy: 'single-leader', ack });
    await fill(leader.databases.get('new'), 'n');
    await log.settled();
    const { opened: states, answerBytes, requests } = await transfer({ from: leader, to: follower });
    expect(Object.fromEntries(states[0]!.databases.map(({ name, scope }) => [name, scope]))).toEqual({
      ledger: 'changes',
      orders: 'changes',
      new: 'whole',
    });
    expect(requests.filter(({ op }) => op === 'contents')).toHaveLength(1);
    expect(Math.max(...answerBytes)).toBeLessThan(1_000_000);
    await expectEqual(follower, leader);
    expect(follower.databases.has('dropped')).toBe(false);
  });

  it('gets nothing but positions when nothing changed', async () => {
    const { log, leader, ledger } = await opened('ledger');
    await fill(ledger, 'a');
    const follower = await followerOf(log);
    await leader.cluster.setReplication('ledger', {
      strategy: 'single-leader',
      ack: { ...ack, policy: 'sync' },
    });
    await log.settled();
    const { answerBytes } = await transfer({ from: leader, to: follower });
    expect(answerBytes.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(3_000);
    await expectEqual(follower, leader);
  });

  it('gets a database whole where documents were purged, or more changed than memory should hold', async () => {
    const { log, leader, ledger } = await opened('ledger', 'orders');
    await fill(ledger, 'a');
    const follower = await followerOf(log);
    await purge(ledger, 'a-5');
    await fill(leader.databases.get('orders'), 'b');
    await log.settled();
    const settings = { changesBytesMax: 5_000 };
    const { opened: states } = await transfer({ from: leader, to: follower, settings });
    expect(states[0]?.databases.map(({ scope }) => scope)).toEqual(['whole', 'whole']);
    await expectEqual(follower, leader);
    expect(follower.databases.get('ledger').read('a-5')).toEqual({ kind: 'missing' });
  });

  it('gets the whole in place of a state that was never the group’s', async () => {
    const { log, leader, ledger } = await opened('ledger');
    await write(ledger, 'x', { of: 'the group' });
    await log.settled();
    const other = await opened('ledger', 'elsewhere');
    await write(other.ledger, 'x', { of: 'nobody' });
    await write(other.ledger, 'y', {});
    await other.log.settled();
    await transfer({ from: leader, to: other.leader, scope: 'whole' });
    await expectEqual(other.leader, leader);
    expect(other.leader.databases.has('elsewhere')).toBe(false);
  });

  it('takes a name from a database of its own, whose data stays under another', async () => {
    const { log, leader, ledger } = await opened('ledger');
    await write(ledger, 'x', { of: 'the group' });
    await log.settled();
    const follower = await openReplica();
    await write(await follower.databases.create('ledger'), 'x', { of: 'this node' });
    await transfer({ from: leader, to: follower });
    await expectEqual(follower, leader);
    const moved = follower.databases.names().find((name) => name.startsWith('ledger-local-'));
    expect(bodyValue(follower.databases.get(moved!), 'x')).toEqual({ of: 'this node' });
  });
});

describe('A state on its way', () => {
  it('is of one moment, however much is written meanwhile', async () => {
    const { log, leader, ledger } = await opened('ledger', 'orders');
    await fill(ledger, 'a');
    const follower = await followerOf(log);
    await change(ledger);
    await fill(leader.databases.get('orders'), 'b');
    await log.settled();
    let n = 0;
    const others: Promise<unknown>[] = [];
    const before = async () => {
      n += 1;
      // Some are on their way while the request is being answered.
      for (let more = 0; more < 20; more += 1) others.push(write(ledger, `more-${n}-${more}`, { n }));
      const racing = ['a-1', `b-${n}`].map((id) => edit(id, { n }, winnerOf(ledger, id)));
      await Promise.all([ledger.edit(racing), write(leader.databases.get('orders'), `now-${n}`, { n })]);
    };
    const { opened: states } = await transfer({ from: leader, to: follower, before });
    await Promise.all(others);
    await log.settled();
    const { index } = states.at(-1)!.point;
    expect(follower.catalog.appliedIndex()).toBe(index);
    expect(index).toBeLessThan(log.entries.length);
    const reference = await openReplica();
    await applyInBatches(reference, log.entries.slice(0, index), [5]);
    await expectEqual(follower, reference);
    await applyInBatches(follower, log.entries.slice(index), [3]);
    await expectEqual(follower, leader);
  });

  it('is not taken in the middle of what is being applied', async () => {
    const { log, leader, ledger } = await opened('ledger');
    await fill(ledger, 'a');
    await log.settled();
    let isApplying = true;
    const applying = leader.catalog.alone(async () => {
      for (let turn = 0; turn < 300; turn += 1) await nextTurn();
      isApplying = false;
    });
    const seen: boolean[] = [];
    const before = async ({ op }: { readonly op: string }) => {
      if (op === 'next') seen.push(isApplying);
    };
    await transfer({ from: leader, to: await openReplica(), before });
    await applying;
    expect(new Set(seen)).toEqual(new Set([false]));
  });

  it('leaves no trace when the node stops at any point, and arrives the next time', async () => {
    const { log, leader, ledger } = await opened('ledger', 'orders');
    await fill(ledger, 'a');
    const follower = await followerOf(log);
    await change(ledger);
    await purge(leader.databases.get('orders'), 'none');
    await leader.cluster.createDatabase('new', { strategy: 'single-leader', ack });
    await fill(leader.databases.get('new'), 'n');
    await log.settled();
    const { requests } = await transfer({ from: leader, to: await copyOf(follower) });
    const old = await recordsOf(follower, 'ledger');
    for (let at = 1; at <= requests.length; at += 3) {
      const doomed = await copyOf(follower);
      const crashed = await crashAt(at, { from: leader, to: doomed });
      const back = await openReplica(crashed);
      expect(back.catalog.appliedIndex()).toBe(follower.catalog.appliedIndex());
      expect(withoutChunks(await recordsOf(back, 'ledger'))).toEqual(withoutChunks(old));
      expect(back.databases.has('new')).toBe(false);
      await transfer({ from: leader, to: back });
      await expectEqual(back, leader);
      await back.databases.close();
      expect(await strayRecords(back)).toBe(0);
      await expectEqual(await openReplica(back.store.crash()), leader);
    }
  });

  it('is not laid over a state that has changed since it was asked for', async () => {
    const { log, leader, ledger } = await opened('ledger');
    await fill(ledger, 'a');
    const follower = await followerOf(log);
    const applied = follower.catalog.appliedIndex();
    await change(ledger);
    await log.settled();
    let isFirst = true;
    const before = async (request: { readonly op: string }) => {
      if (!isFirst || request.op !== 'next') return;
      isFirst = false;
      await applyInBatches(follower, log.entries.slice(applied, applied + 3), [3]);
    };
    const { opened: states } = await transfer({ from: leader, to: follower, before });
    expect(states).toHaveLength(2);
    await expectEqual(follower, leader);
  });

  it('is not fetched when the log reached back far enough after all', async () => {
    const { log, leader } = await opened('ledger');
    const follower = await followerOf(log);
    const { requests } = await transfer({ from: leader, to: follower });
    expect(requests).toEqual([]);
  });

  it('ends feeds with an error that says to try again, and goes on under the same tokens', async () => {
    const { log, leader, ledger } = await opened('ledger');
    await fill(ledger, 'a');
    const follower = await followerOf(log);
    const before = follower.databases.get('ledger');
    const since = before.currentSequence();
    const live = collectChanges(before.changes({ since, style: 'main_only', live: true }));
    const ended = expect(live).rejects.toMatchObject({ status: 503 });
    await write(ledger, 'news', {});
    await log.settled();
    await transfer({ from: leader, to: follower });
    await ended;
    const { rows } = await collectChanges(
      follower.databases.get('ledger').changes({ since, style: 'main_only' }),
    );
    expect(rows.map(({ id, sequence }) => [id, sequence])).toEqual([['news', ledger.currentSequence()]]);
  });

  it('skips entries that were on their way here when it came', async () => {
    const { log, leader, ledger } = await opened('ledger');
    await fill(ledger, 'a');
    const follower = await followerOf(log);
    const applied = follower.catalog.appliedIndex();
    await change(ledger);
    await log.settled();
    await transfer({ from: leader, to: follower });
    const late = log.entries.slice(applied, applied + 4);
    await applyInBatches(follower, late, [2]);
    await expectEqual(follower, leader);
  });
});

/** A few changes of each kind, to a database that was filled with `a`. */
async function change(database: Database): Promise<void> {
  await write(database, 'a-1', { changed: true }, winnerOf(database, 'a-1'));
  const second = await write(database, 'a-2', { changed: 1 }, winnerOf(database, 'a-2'));
  await write(database, 'a-2', { changed: 2 }, second);
  await database.edit([edit('a-4', {}, winnerOf(database, 'a-4'), true)]);
  await write(database, 'a-both', { settled: true }, winnerOf(database, 'a-both'));
  await write(database, 'c-new', { n: 1 });
  const checkpoint = database.readLocal('a-checkpoint');
  await database.writeLocal('a-checkpoint', checkpoint?.revision, Buffer.from('{"at":2}'));
  if (database.readLocal('goes') !== undefined) await database.deleteLocal('goes', '0-1');
  await attach(database, 'c-file', Buffer.alloc(300_000, 'c'));
}

function winnerOf(database: Database, id: string): string | undefined {
  const outcome = database.read(id);
  return outcome.kind === 'found' ? outcome.document.revision : undefined;
}

async function copyOf(replica: TestReplica): Promise<TestReplica> {
  const copy = await openReplica();
  const all = { from: Uint8Array.of(1), to: Uint8Array.of(255) };
  for await (const entries of replica.store.scan(all)) {
    await copy.store.commit(entries.map(({ key, value }) => ({ kind: 'put', key, value })));
  }
  return openReplica(copy.store.crash());
}

/** What the disk holds after the power went at the n-th request of a transfer, which never ends. */
function crashAt(
  count: number,
  { from, to }: { readonly from: TestReplica; readonly to: TestReplica },
): Promise<MemoryStore> {
  return new Promise((resolve) => {
    let asked = 0;
    const before = async () => {
      asked += 1;
      if (asked < count) return;
      resolve(to.store.crash());
      await new Promise<never>(() => {});
    };
    void transfer({ from, to, before });
  });
}

/** Chunks that nothing names yet may stay behind. */
function withoutChunks(records: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(records).filter(([suffix]) => !suffix.startsWith('A')));
}
