import { describe, expect, it } from 'vitest';
import type { DocumentEdit, EditOutcome } from '../database/model.ts';
import { edit } from '../database/test-database.ts';
import type { QuorumReceipt, WriteOptions } from '../database/writes.ts';
import type { Revision } from '../document/revision.ts';
import { failure } from '../errors.ts';
import { GatheredEdits } from './gathered-edits.ts';

const revision = `1-${'a'.repeat(32)}` as Revision;
const receipt: QuorumReceipt = { met: true, n: 3, w: 2, owners: ['n1', 'n2'], standIns: [], reached: 2 };

/** Writes whatever it is given, and remembers which edits came together. */
function gathering(refuse: (ids: readonly string[]) => Error | undefined = () => undefined) {
  const rounds: string[][] = [];
  const gathered = new GatheredEdits(async (edits, options) => {
    const ids = edits.map(({ id }) => id);
    rounds.push(ids);
    const refusal = refuse(ids);
    if (refusal !== undefined) throw refusal;
    options.onQuorum?.(receipt);
    return ids.map((id): EditOutcome => {
      return id === 'stale'
        ? { kind: 'failed', id, error: failure('conflict') }
        : { kind: 'written', id, revision };
    });
  });
  const ask = (id: string, options: WriteOptions = {}, change: Partial<DocumentEdit> = {}) =>
    gathered.edit({ ...edit(id, {}), ...change }, options);
  return { ask, rounds };
}

describe('Leaderless edits of one moment', () => {
  it('are written in one round, and each is told its own outcome', async () => {
    const { ask, rounds } = gathering();
    const receipts: QuorumReceipt[] = [];
    const options = { onQuorum: (told: QuorumReceipt) => receipts.push(told) };
    const outcomes = await Promise.all(['a', 'stale', 'c'].map((id) => ask(id, options)));
    expect(outcomes.map(({ kind, id }) => `${id} ${kind}`)).toEqual([
      'a written',
      'stale failed',
      'c written',
    ]);
    expect(rounds).toEqual([['a', 'stale', 'c']]);
    expect(receipts).toEqual([receipt, receipt, receipt]);
    await ask('d');
    expect(rounds).toHaveLength(2);
  });

  it('that ask for other counts, or bring much, go in other rounds', async () => {
    const { ask, rounds } = gathering();
    const big = { body: new Uint8Array(1_000_000) };
    await Promise.all([ask('a'), ask('b', { quorum: { w: 3 } }), ask('c', {}, big), ask('d'), ask('e')]);
    expect(rounds).toEqual([['a', 'c'], ['b'], ['d', 'e']]);
  });

  it('are refused together', async () => {
    const { ask, rounds } = gathering(() => failure('write_outcome_unknown'));
    for (const outcome of await Promise.allSettled([ask('a'), ask('b')]))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'write_outcome_unknown' } });
    expect(rounds).toHaveLength(1);
  });

  it('are written one by one where one of them meets a defect', async () => {
    const defect = new Error('a defect');
    const { ask } = gathering((ids) => (ids.includes('b') ? defect : undefined));
    const [first, second, third] = await Promise.allSettled(['a', 'b', 'c'].map((id) => ask(id)));
    expect(first).toMatchObject({ value: { kind: 'written', id: 'a' } });
    expect(second).toEqual({ status: 'rejected', reason: defect });
    expect(third).toMatchObject({ value: { kind: 'written', id: 'c' } });
  });
});
