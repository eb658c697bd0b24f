import { describe, expect, it } from 'vitest';
import { asIndex, asTerm } from '../single-leader/entry.ts';
import type { Group, GroupStatus } from './group.ts';
import type { SurveyedMember } from './group-administration.ts';
import { promoteHere } from './promotion.ts';

const status = {
  ...{
    self: 'n2',
    id: 'n2#bb',
    leader: undefined,
    commit: 90,
    lastIndex: 100,
    lastTerm: 4,
    ...{ role: 'follower', stopped: false, fencedOut: false },
    members: [{ id: 'n2#bb', name: 'n2', kind: 'voter' }],
  },
} as unknown as GroupStatus;

function member(name: string, answers: boolean, more: Partial<SurveyedMember> = {}): SurveyedMember {
  return { name, kind: 'voter', answers, ...more };
}

function groupOf(members: readonly SurveyedMember[], own: Partial<GroupStatus> = {}) {
  const asked: string[] = [];
  const group: Pick<Group, 'status' | 'survey' | 'promote' | 'forcePromotion'> = {
    status: () => ({ ...status, ...own, ...(asked.length > 0 && { leader: 'n2' }) }),
    survey: async () => members,
    promote: async () => {
      asked.push('promote');
      return 'elected';
    },
    forcePromotion: async () => {
      asked.push('force');
      return 'elected';
    },
  };
  return { group: group as Group, asked };
}

const force = { dryRun: false, force: true };

it('an ordinary promotion loses nothing, and fences the leader', async () => {
  const { group, asked } = groupOf([], { leader: 'n1' });
  const plan = { node: 'n2', leader: 'n1', may_lose: 'nothing', fenced: ['n1'] };
  const dry = await promoteHere(group, { dryRun: true, force: false }, 'elected');
  expect(dry).toMatchObject({ ok: true, dry_run: true, uncommitted_entries_here: 10, ...plan });
  expect(asked).toEqual([]);
  const done = await promoteHere(group, { dryRun: false, force: false }, 'elected');
  expect(done).toMatchObject({ outcome: 'elected', ...plan, leader: 'n2' });
  expect(asked).toEqual(['promote']);
});

it('an appointment does not wait until the successor has what only the leader had', async () => {
  const dryRun = { dryRun: true, force: false };
  const may = { may_lose: expect.stringContaining('only the old leader has') };
  expect(await promoteHere(groupOf([], { leader: 'n1' }).group, dryRun, 'appointed')).toMatchObject(may);
  expect(await promoteHere(groupOf([]).group, dryRun, 'elected')).toMatchObject(may);
});

it('is forced where a majority is gone, and says whom that fences and what they may have had', async () => {
  const { group, asked } = groupOf([member('n1', false), member('n2', true), member('n3', false)]);
  const dry = await promoteHere(group, { dryRun: true, force: true }, 'elected');
  expect(dry).toMatchObject({
    ...{ ok: true, dry_run: true, known_only_to: [], fenced: ['n1', 'n3'] },
    may_lose: expect.stringContaining('what only n1, n3 hold'),
  });
  expect(asked).toEqual([]);
  expect(await promoteHere(group, force, 'elected')).toMatchObject({ ok: true, outcome: 'elected' });
  expect(asked).toEqual(['force']);
});

it('says who of those that answer has more than this node', async () => {
  const at = (index: number, term: number) => ({ last: { index: asIndex(index), term: asTerm(term) } });
  const { group } = groupOf([
    ...[member('n1', false), member('n2', true, at(100, 4)), member('n3', false)],
    ...[
      member('n4', true, { kind: 'learner', ...at(107, 4) }),
      member('n5', true, { kind: 'learner', ...at(3, 5) }),
    ],
  ]);
  expect(await promoteHere(group, { dryRun: true, force: true }, 'elected')).toMatchObject({
    known_only_to: ['n4: 7 entries more', 'n5: entries of a later term'],
  });
});

it('is not forced while a majority answers, and says what does it instead', async () => {
  const { group, asked } = groupOf([
    ...[member('n1', false), member('n2', true), member('n3', true, { kind: 'witness' })],
  ]);
  const dry = await promoteHere(group, { dryRun: true, force: true }, 'elected');
  expect(dry).toMatchObject({ ok: false, refused: expect.stringContaining('2 of 3 voters') });
  await expect(promoteHere(group, force, 'elected')).rejects.toMatchObject({
    code: 'precondition_failed',
    reason: expect.stringContaining('use "tercet promote n2" without --force'),
  });
  expect(asked).toEqual([]);
});

const witness = { members: [{ id: 'n2#bb', name: 'n2', kind: 'witness' }] } as unknown as GroupStatus;
const learner = { members: [{ id: 'n2#bb', name: 'n2', kind: 'learner' }] } as unknown as GroupStatus;
const voters = [{ id: 'n1#aa', name: 'n1', kind: 'voter' }] as unknown as GroupStatus['members'];
const otherDisk = { members: [{ id: 'n2#cc', name: 'n2', kind: 'voter' }] } as unknown as GroupStatus;
const noMember = 'n2 is no member of the cluster: name a voter.';

describe.each([
  { who: 'a witness', own: witness, reason: 'n2 is a witness, which cannot lead: name a voter.' },
  {
    ...{ who: 'a learner', own: learner },
    reason:
      'n2 is a learner, which cannot lead: make it a voter first, with "tercet node promote n2", or name one.',
  },
  {
    ...{
      who: 'a leader that removes itself',
      own: { role: 'leader', leader: 'n2', members: voters } as const,
    },
    reason: 'n2 leads only until its own removal is committed: name a voter.',
  },
  {
    ...{ who: 'one that a majority went on without', own: { fencedOut: true } },
    reason: 'A majority went on without n2: it is taken in again by itself.',
  },
  { who: 'a stranger', own: { members: voters }, code: 'not_found', reason: noMember },
  { who: 'one on a disk that is no member', own: otherDisk, code: 'not_found', reason: noMember },
  {
    ...{ who: 'one that has stopped', own: { stopped: true, members: [] }, code: 'service_unavailable' },
    reason: 'n2 takes no part in the cluster at the moment, and its log says why: name another node.',
  },
])('$who', ({ own, code = 'precondition_failed', reason }) => {
  it.each([true, false])('is not promoted, and a dry run says so before (forced: %s)', async (isForced) => {
    const { group, asked } = groupOf([member('n1', false), member('n2', true), member('n3', false)], own);
    const wish = { dryRun: false, force: isForced };
    const dry = await promoteHere(group, { ...wish, dryRun: true }, 'elected');
    expect(dry).toMatchObject({ ok: false, dry_run: true, refused: reason });
    await expect(promoteHere(group, wish, 'elected')).rejects.toMatchObject({ code, reason });
    expect(asked).toEqual([]);
  });
});

it('a node that is no voter any more, and has not heard of it, is told so', async () => {
  const { group } = groupOf([], { leader: 'n1' });
  group.promote = async () => 'no_voter';
  await expect(promoteHere(group, { dryRun: false, force: false }, 'elected')).rejects.toMatchObject({
    code: 'precondition_failed',
    reason: 'n2 is no voter as the cluster has it now: see who the members are, and name one.',
  });
});
