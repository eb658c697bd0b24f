import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { digest128 } from '../runtime/digest.ts';
import { applyEdit, applyTogether } from './apply.ts';
import type { Database } from './database.ts';
import { arrival, bodyValue, edit, openLeaderlessDatabase } from './test-database.ts';
import { type WholeRevision, wholeRevisionsInTurn } from './whole-documents.ts';

const [root, here, there, merge] = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(32)) as [
  ...[string, string, string, string],
];
const ours = arrival('x', 2, [here, root], { by: 'us' });
const theirs = arrival('x', 2, [there, root], { by: 'them' });
const merged = {
  ...arrival('x', 3, [merge, here, root], { by: 'both' }),
  parents: [`2-${here}`, `2-${there}`] as Revision[],
};

/** What an edit makes here, as it is sent to the other replicas. */
async function sentBy(
  database: Database,
  base: string,
  isDeleted: boolean,
): Promise<readonly WholeRevision[]> {
  return database.submit((turn) => {
    const outcome = applyEdit(turn, edit('x', {}, base, isDeleted), database.applySettings());
    if (outcome.kind === 'failed') throw outcome.error;
    return wholeRevisionsInTurn(turn, 'x', outcome.revision, digest128);
  });
}

async function join(database: Database, revisions: readonly WholeRevision[]): Promise<void> {
  await database.submit((turn) => applyTogether(turn, revisions, database.applySettings()));
}

function shownLeaves(database: Database): readonly string[] {
  return database
    .readOpenRevisions('x', 'all')
    .map((leaf) => (leaf.kind === 'found' ? leaf.document.revision : leaf.revision));
}

describe('What a turn has made, on its way to another replica', () => {
  it('ends what a merge before it has taken in, where nobody has heard of the merge', async () => {
    const source = await openLeaderlessDatabase();
    await source.insert([ours, theirs, merged]);
    const target = await openLeaderlessDatabase();
    await target.insert([theirs]);
    const sent = await sentBy(source, `3-${merge}`, true);
    expect(sent).toHaveLength(2);
    await join(target, sent);
    expect(target.read('x')).toEqual({ kind: 'deleted' });
    expect(bodyValue(target, 'x')).toBeUndefined();
  });

  it('says so no more where the merge is known, and leaves of both are the same', async () => {
    const source = await openLeaderlessDatabase();
    await source.insert([ours, theirs, merged]);
    const target = await openLeaderlessDatabase();
    await target.insert([ours, theirs, merged]);
    await join(target, await sentBy(source, `3-${merge}`, false));
    expect(shownLeaves(target)).toEqual(shownLeaves(source));
    expect(target.leaderless?.tree.sums(0, [0])).toEqual(source.leaderless?.tree.sums(0, [0]));
  });

  it.each(['as it is sent', 'in another order'])(
    'is not merged once more with what a merge before it has taken in, where nobody has heard of the merge, %s',
    async (order) => {
      const first = arrival('x', 1, [root], {});
      const source = await openLeaderlessDatabase({ resolver: 'merge' });
      await source.insert([first, ours, merged, theirs]);
      const target = await openLeaderlessDatabase({ resolver: 'merge' });
      await target.insert([first, theirs]);
      const sent = await sentBy(source, `3-${merge}`, false);
      await join(target, order === 'as it is sent' ? sent : sent.toReversed());
      expect(bodyValue(target, 'x')).toEqual(bodyValue(source, 'x'));
      expect(shownLeaves(target)).toEqual(shownLeaves(source));
    },
  );

  it('is alone where nothing was merged', async () => {
    const source = await openLeaderlessDatabase();
    await source.insert([ours]);
    expect(await sentBy(source, `2-${here}`, false)).toHaveLength(1);
  });
});
