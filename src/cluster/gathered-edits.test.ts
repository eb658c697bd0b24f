import { describe, expect, it } from 'vitest';
import type { AckSettings, EditOutcome } from '../database/model.ts';
import { bodyValue, edit, write } from '../database/test-database.ts';
import type { WriteReceipt } from '../database/writes.ts';
import { decodeCommand } from './commands.ts';
import { inEntries } from './gathered-edits.ts';
import { TestLog } from './test-log.ts';

const ack: AckSettings = { policy: 'semi-sync', followers: 'majority', onTimeout: 'fail', timeoutMs: 1_000 };

async function opened() {
  const log = new TestLog();
  const leader = await log.openLeader();
  await leader.cluster.createDatabase('ledger', { strategy: 'single-leader', ack });
  return { log, ledger: leader.databases.get('ledger') };
}

/** The ids of each entry from `first` on that writes documents. */
function written(log: TestLog, first: number): string[][] {
  const commands = log.entries.slice(first).map(({ data }) => decodeCommand(data));
  return commands.flatMap((command) =>
    command.kind === 'write' ? [command.revisions.map(({ id }) => id)] : [],
  );
}

function kinds(outcomes: readonly EditOutcome[][]): string[] {
  return outcomes.flat().map(({ kind }) => kind);
}

describe('Edits of one moment', () => {
  it('are one entry of the log, and each is told where it is', async () => {
    const { ledger, log } = await opened();
    const before = log.entries.length;
    const receipts: WriteReceipt[] = [];
    const onReceipt = (receipt: WriteReceipt) => receipts.push(receipt);
    const edits = ['a', 'b', 'c'].map((id) => ledger.edit([edit(id, { id })], { onReceipt }));
    expect(kinds(await Promise.all(edits))).toEqual(['written', 'written', 'written']);
    expect(written(log, before)).toEqual([['a', 'b', 'c']]);
    expect(receipts.map(({ index }) => index)).toEqual([before + 1, before + 1, before + 1]);
    await log.settled();
    expect(bodyValue(ledger, 'b')).toEqual({ id: 'b' });
  });

  it('are judged one by one', async () => {
    const { ledger, log } = await opened();
    await write(ledger, 'b', {});
    await log.settled();
    const before = log.entries.length;
    const outcomes = await Promise.all(['a', 'b', 'c'].map((id) => ledger.edit([edit(id, {})])));
    expect(kinds(outcomes)).toEqual(['written', 'failed', 'written']);
    expect(written(log, before)).toEqual([['a', 'c']]);
  });

  it('of one document are checked one after the other, and hold up nobody else', async () => {
    const { ledger, log } = await opened();
    const before = log.entries.length;
    const outcomes = await Promise.all(['x', 'x', 'y'].map((id, n) => ledger.edit([edit(id, { n })])));
    expect(kinds(outcomes)).toEqual(['written', 'failed', 'written']);
    expect(written(log, before)).toEqual([['x', 'y']]);
  });

  it('are not begun where they would wait and may not', async () => {
    const { ledger, log } = await opened();
    const before = log.entries.length;
    const mayNotWait = true;
    const [first, second, third] = await Promise.allSettled([
      ledger.edit([edit('x', { n: 1 })], { mayNotWait }),
      ledger.edit([edit('x', { n: 2 })], { mayNotWait }),
      ledger.edit([edit('y', {})], { mayNotWait }),
    ]);
    expect([first, third]).toMatchObject([{ status: 'fulfilled' }, { status: 'fulfilled' }]);
    expect(second).toMatchObject({ status: 'rejected', reason: { name: 'DocumentBusy' } });
    expect(written(log, before)).toEqual([['x', 'y']]);
  });

  it('that were to be refused are not judged where they may not wait for that', async () => {
    const { ledger, log } = await opened();
    await write(ledger, 'a', {});
    await log.settled();
    const [refused] = await Promise.allSettled([ledger.edit([edit('a', {})], { mayNotWait: true })]);
    expect(refused).toMatchObject({ status: 'rejected', reason: { name: 'DocumentBusy' } });
  });

  it('let their documents go where the log does not take them, or nobody leads any more', async () => {
    const { ledger, log } = await opened();
    const both = () => Promise.allSettled(['a', 'b'].map((id) => ledger.edit([edit(id, {})])));
    const taken = log.answer;
    log.answer = () => ({ kind: 'rejected', reason: 'overloaded', leader: 'n1' });
    const nowhere = { status: 'rejected', reason: { writeOutcome: 'did_not_happen' } };
    expect(await both()).toMatchObject([nowhere, nowhere]);
    log.answer = taken;
    const gathered = both();
    log.leads = false;
    expect(await gathered).toMatchObject([nowhere, nowhere]);
    log.leads = true;
    expect(await both()).toMatchObject([{ status: 'fulfilled' }, { status: 'fulfilled' }]);
  });

  it('did not happen where the database is dropped before their moment is over', async () => {
    const { ledger, log } = await opened();
    const before = log.entries.length;
    const late = ledger.edit([edit('a', {})]);
    void ledger.retire();
    await expect(late).rejects.toMatchObject({ code: 'not_found', writeOutcome: 'did_not_happen' });
    expect(written(log, before)).toEqual([]);
  });

  it('share no entry with a large document', async () => {
    const { ledger, log } = await opened();
    const before = log.entries.length;
    await Promise.all([
      ledger.edit([edit('a', {})]),
      ledger.edit([edit('large', { text: 'x'.repeat(70_000) })]),
      ledger.edit([edit('b', {})]),
    ]);
    expect(written(log, before).toSorted()).toEqual([['a', 'b'], ['large']]);
  });

  it('that want to be acknowledged differently are different entries', async () => {
    const { ledger, log } = await opened();
    const before = log.entries.length;
    const wish = { followers: undefined, onTimeout: undefined, timeoutMs: undefined };
    await Promise.all([
      ledger.edit([edit('a', {})]),
      ledger.edit([edit('b', {})], { ack: { ...wish, policy: 'async' } }),
      ledger.edit([edit('c', {})]),
      ledger.edit([edit('d', {})], { ack: { ...wish, policy: 'async' } }),
    ]);
    expect(written(log, before)).toEqual([
      ['a', 'c'],
      ['b', 'd'],
    ]);
  });

  it('are all unknown where their entry is, and their documents go on', async () => {
    const { ledger, log } = await opened();
    log.answer = () => ({ kind: 'unknown' });
    const lost = ['a', 'b'].map((id) => ledger.edit([edit(id, {})]));
    for (const each of await Promise.allSettled(lost))
      expect(each).toMatchObject({ status: 'rejected', reason: { code: 'write_outcome_unknown' } });
    log.answer = (entry, { policy }) => {
      const { index, term } = entry;
      const receipt = { index, term, policy, durableOn: [], committed: true };
      return { kind: 'acknowledged', outcome: 'met', receipt, index, term };
    };
    await write(ledger, 'c', {});
    const [again] = await ledger.edit([edit('a', {}, `1-${'0'.repeat(32)}` as never)]);
    expect(again).toMatchObject({ kind: 'failed', error: { code: 'conflict' } });
  });

  it('are not refused by a leader that does not know whether it still leads', async () => {
    const { ledger, log } = await opened();
    await write(ledger, 'a', {});
    await log.settled();
    log.confirms = false;
    const [taken, refused] = await Promise.allSettled(['b', 'a'].map((id) => ledger.edit([edit(id, {})])));
    expect(taken).toMatchObject({ status: 'fulfilled', value: [{ kind: 'written' }] });
    expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'service_unavailable' } });
  });
});

describe('Writes in entries', () => {
  it('are split where an entry grows long or big, never inside of a write', () => {
    const revision = (bytes: number) => ({ body: new Uint8Array(bytes) }) as never;
    const small = Array.from({ length: 600 }, () => ({ logged: [revision(1)] }));
    expect(inEntries(small).map(({ length }) => length)).toEqual([256, 256, 88]);
    const big = Array.from({ length: 4 }, () => ({ logged: [revision(600_000), revision(1)] }));
    expect(inEntries(big).map(({ length }) => length)).toEqual([2, 2]);
  });
});
