import { describe, expect, it } from 'vitest';
import { digest128 } from '../runtime/digest.ts';
import type { HeldRevision } from './held-revisions.ts';
import {
  addReadReply,
  closeRead,
  type ReadPlan,
  type ReadReply,
  readIsLate,
  readIsVoid,
  readOutcome,
  readRepairs,
  startRead,
} from './read-coordinator.ts';
import { digestOfHeld, full, held } from './test-revisions.ts';

const plan: ReadPlan = {
  owners: ['n1', 'n2', 'n3'],
  standIns: ['n4'],
  r: 2,
  pr: 0,
  quorum: 'strict',
  readRepair: 'async',
  digests: true,
};
const v6 = held('6-f');
const v7 = held('7-a', '6-f');
const sibling = held('7-b', '6-f');

function begin(changes: Partial<ReadPlan> = {}) {
  return startRead<HeldRevision>({ ...plan, ...changes }, digest128);
}

function toldOf(changes: Partial<ReadPlan>, ...replies: readonly ReadReply<HeldRevision>[]) {
  return replies.reduce((state, reply) => addReadReply(state, reply).state, begin(changes).state);
}

const digestFrom = (from: string, ...leaves: readonly HeldRevision[]) => ({
  kind: 'digest' as const,
  from,
  digest: digestOfHeld(leaves),
});

describe('a leaderless read', () => {
  it('asks the first for all and the others for digests, as many as R', () => {
    expect(begin().asks).toEqual([
      { to: 'n1', want: 'full' },
      { to: 'n2', want: 'digest' },
    ]);
    expect(begin({ digests: false }).asks.map(({ want }) => want)).toEqual(['full', 'full']);
  });

  it('answers when digests agree, and asks nothing more', () => {
    const one = addReadReply(begin().state, digestFrom('n2', v7));
    expect(one.asks).toEqual([]);
    expect(readOutcome(one.state).kind).toBe('open');
    const two = addReadReply(one.state, full('n1', v7));
    expect(two.asks).toEqual([]);
    expect(readOutcome(two.state)).toEqual({ kind: 'answered', leaves: [v7], grave: [], from: ['n1', 'n2'] });
    expect(readRepairs(two.state)).toEqual([]);
  });

  it('fetches what differs, answers the newer and repairs the stale one', () => {
    const differs = addReadReply(toldOf({}, full('n1', v6)), digestFrom('n2', v7));
    expect(differs.asks).toEqual([{ to: 'n2', want: 'full' }]);
    expect(readOutcome(differs.state).kind).toBe('open');
    const { state } = addReadReply(differs.state, full('n2', v7));
    expect(readOutcome(state)).toEqual({ kind: 'answered', leaves: [v7], grave: [], from: ['n1', 'n2'] });
    expect(readRepairs(state)).toEqual([{ to: 'n1', revisions: [v7], grave: [] }]);
  });

  it('answers both siblings, and gives each replica the one it lacks', () => {
    const state = toldOf({}, full('n1', v7), digestFrom('n2', sibling), full('n2', sibling));
    expect(readOutcome(state)).toMatchObject({ kind: 'answered', leaves: [sibling, v7] });
    expect(readRepairs(state)).toEqual([
      { to: 'n1', revisions: [sibling], grave: [] },
      { to: 'n2', revisions: [v7], grave: [] },
    ]);
  });

  it('fetches one kind of answer once, whoever else has it', () => {
    const { state, asks } = addReadReply(
      toldOf({ r: 3 }, digestFrom('n2', v7), digestFrom('n3', v7)),
      full('n1', v6),
    );
    expect(asks).toEqual([{ to: 'n2', want: 'full' }]);
    const done = addReadReply(state, full('n2', v7)).state;
    expect(readOutcome(done)).toMatchObject({ kind: 'answered', from: ['n1', 'n2', 'n3'] });
    expect(readRepairs(done).map(({ to }) => to)).toEqual(['n1']);
  });

  it('answers that nothing is there, and repairs whoever knows nothing', () => {
    expect(readOutcome(toldOf({}, full('n1'), digestFrom('n2')))).toMatchObject({ leaves: [] });
    const state = toldOf({}, full('n1', v7), digestFrom('n2'));
    expect(readRepairs(state)).toEqual([{ to: 'n2', revisions: [v7], grave: [] }]);
  });
});

describe('a read whose replicas do not answer', () => {
  it('asks another one for a late one, for all when nobody else was asked for that', () => {
    expect(readIsLate(begin().state, 'n2').asks).toEqual([{ to: 'n3', want: 'digest' }]);
    expect(readIsLate(begin().state, 'n1').asks).toEqual([{ to: 'n3', want: 'full' }]);
    expect(readIsLate(toldOf({}, full('n1', v7)), 'n1').asks).toEqual([]);
  });

  it('fetches from those with digests when the one with everything is late and nobody is left', () => {
    const { asks } = readIsLate(toldOf({ r: 3 }, digestFrom('n2', v7), digestFrom('n3', v7)), 'n1');
    expect(asks).toEqual([{ to: 'n2', want: 'full' }]);
  });

  it('asks another one for one that refuses, and takes the late answer when it comes', () => {
    const refused = addReadReply(begin().state, { kind: 'refused', from: 'n2' });
    expect(refused.asks).toEqual([{ to: 'n3', want: 'digest' }]);
    const late = toldOf({}, full('n1', v7));
    expect(readOutcome(addReadReply(readIsLate(late, 'n2').state, digestFrom('n2', v7)).state).kind).toBe(
      'answered',
    );
  });

  it('is never weaker than asked: too few in time is an outcome of its own, with their names', () => {
    const one = toldOf({}, full('n1', v7));
    expect(readOutcome(closeRead(one))).toEqual({ kind: 'unreached', from: ['n1'], during: 'read' });
    const refused = ['n2', 'n3'].map((from) => ({ kind: 'refused' as const, from }));
    expect(readOutcome(toldOf({}, full('n1', v7), ...refused)).kind).toBe('unreached');
  });

  it('asks stand-ins where the quorum is sloppy, and counts them for R and not for PR', () => {
    const refused = ['n2', 'n3'].map((from) => ({ kind: 'refused' as const, from }));
    const sloppy = { quorum: 'sloppy' } as const;
    expect(readOutcome(toldOf(sloppy, full('n1', v7), ...refused, digestFrom('n4', v7)))).toMatchObject({
      kind: 'answered',
      from: ['n1', 'n4'],
    });
    const owned = toldOf({ ...sloppy, pr: 2 }, full('n1', v7), ...refused, digestFrom('n4', v7));
    expect(readOutcome(owned).kind).toBe('unreached');
  });

  it('repairs those whose answers come after the read was answered', () => {
    const late = readIsLate(toldOf({}, full('n1', v7)), 'n2').state;
    const done = closeRead(addReadReply(late, digestFrom('n3', v7)).state);
    expect(readRepairs(addReadReply(done, digestFrom('n2', v6)).state)).toEqual([
      { to: 'n2', revisions: [v7], grave: [] },
    ]);
  });
});

describe('a read of what some replicas have forgotten', () => {
  const tombstone = { ...held('8-d', '7-a', '6-f'), deleted: true };
  const buried = { ...full('n2'), digest: digestOfHeld([tombstone]), grave: [tombstone.revision] };

  it('takes a grave and its tombstone for the same', () => {
    const state = toldOf({}, full('n1', tombstone), { ...buried, kind: 'digest' });
    expect(readOutcome(state)).toMatchObject({ kind: 'answered', leaves: [tombstone] });
    expect(readRepairs(state)).toEqual([]);
  });

  it('does not bring the dead back, to the client or to the replicas', () => {
    const state = toldOf({ digests: false }, full('n1', v7), buried);
    const grave = [tombstone.revision];
    expect(readOutcome(state)).toEqual({ kind: 'answered', leaves: [], grave, from: ['n1', 'n2'] });
    expect(readRepairs(state)).toEqual([{ to: 'n1', revisions: [], grave }]);
    const done = addReadReply(state, { kind: 'repaired', from: 'n1', revisions: [], grave }).state;
    expect(readRepairs(done)).toEqual([]);
  });

  it('waits with blocking repair until who holds the dead was told that they are', () => {
    const grave = [tombstone.revision];
    const old = held('8-z', '7-a');
    const state = toldOf({ digests: false, readRepair: 'blocking' }, full('n1', old, tombstone), buried);
    expect(readOutcome(state).kind).toBe('open');
    expect(readRepairs(state)).toEqual([{ to: 'n1', revisions: [], grave }]);
    const done = addReadReply(state, { kind: 'repaired', from: 'n1', revisions: [], grave }).state;
    expect(readOutcome(done)).toMatchObject({ kind: 'answered', leaves: [], from: ['n1', 'n2'] });
    expect(readRepairs(done)).toEqual([]);
  });

  it('does not send a grave what only ends the branches of a merge', () => {
    const derived = { ...held(`8-${'0'.repeat(32)}`, '7-y'), deleted: true };
    const other = { ...held('8-q', '7-y'), deleted: true };
    const state = toldOf({ r: 3, digests: false }, full('n1', tombstone, derived), buried, full('n3', other));
    expect(readRepairs(state).find(({ to }) => to === 'n2')?.revisions).toEqual([other]);
  });

  it('sends a tombstone to who has the dead, and not to who has buried it', () => {
    const state = toldOf({ r: 3, digests: false }, full('n1', v7), buried, full('n3', tombstone));
    expect(readRepairs(state)).toEqual([{ to: 'n1', revisions: [tombstone], grave: [] }]);
  });

  it('answers what was written anew', () => {
    const anew = held('9-e', '8-d');
    const state = toldOf({ digests: false }, full('n1', anew), buried);
    expect(readOutcome(state)).toMatchObject({ leaves: [anew] });
    expect(readRepairs(state)).toEqual([{ to: 'n2', revisions: [anew], grave: [] }]);
  });

  it('keeps siblings of what was written anew', () => {
    const [anew, sibling] = [held('9-e', '8-d'), held('8-y', '7-a')];
    const state = toldOf({ digests: false }, full('n1', anew, sibling), buried);
    expect(readOutcome(state)).toMatchObject({ leaves: [anew, sibling] });
    expect(readRepairs(state)).toEqual([{ to: 'n2', revisions: [anew, sibling], grave: [] }]);
  });
});

describe('read repair', () => {
  it('is left out where it is off', () => {
    expect(
      readRepairs(toldOf({ readRepair: 'off', digests: false }, full('n1', v6), full('n2', v7))),
    ).toEqual([]);
  });

  it('blocks the answer until R replicas hold it', () => {
    const blocking = { readRepair: 'blocking', digests: false } as const;
    const state = toldOf(blocking, full('n1', v6), full('n2', v7));
    expect(readOutcome(state).kind).toBe('open');
    expect(readOutcome(closeRead(state))).toEqual({ kind: 'unreached', from: ['n2'], during: 'repair' });
    const done = addReadReply(state, { kind: 'repaired', from: 'n1', revisions: [v7], grave: [] }).state;
    expect(readOutcome(done)).toEqual({ kind: 'answered', leaves: [v7], grave: [], from: ['n1', 'n2'] });
    expect(readRepairs(done)).toEqual([]);
  });

  it('still knows what a digest stands for after its sender was repaired', () => {
    const state = toldOf(
      { readRepair: 'blocking', r: 3 },
      ...[full('n1', v6), digestFrom('n2', v6), digestFrom('n3', v7), full('n3', v7)],
    );
    const half = addReadReply(state, { kind: 'repaired', from: 'n1', revisions: [v7], grave: [] }).state;
    expect(readRepairs(half).map(({ to }) => to)).toEqual(['n2']);
    expect(readOutcome(half).kind).toBe('open');
  });
});

describe('a replica that is taken out of the cluster while a read is on its way', () => {
  it('does not count any more, and another one is asked', () => {
    const heard = toldOf({}, digestFrom('n2', v6));
    const { asks, state } = readIsVoid(heard, 'n2');
    expect(asks).toEqual([{ to: 'n3', want: 'digest' }]);
    const own = addReadReply(state, full('n1', v6)).state;
    expect(readOutcome(own).kind).toBe('open');
    const { state: both } = addReadReply(own, digestFrom('n3', v6));
    expect(readOutcome(both)).toMatchObject({ kind: 'answered', from: ['n1', 'n3'] });
  });

  it('is none of those that hold the answer of a read that repairs before it answers', () => {
    const changes = { r: 3, readRepair: 'blocking' } as const;
    const heard = toldOf(changes, full('n2', v7), full('n1', v7), full('n3', v6));
    const mended = { kind: 'repaired', from: 'n3', revisions: [v7], grave: [] } as const;
    expect(readOutcome(addReadReply(heard, mended).state).kind).toBe('answered');
    const { state } = readIsVoid(heard, 'n2');
    const outcome = readOutcome(addReadReply(state, mended).state);
    expect(outcome).toMatchObject({ kind: 'unreached', from: ['n1', 'n3'] });
  });

  it('that has not answered, or has refused, changes nothing', () => {
    const { asks, state } = begin();
    expect(readIsVoid(state, asks[1]!.to)).toEqual({ state, asks: [] });
    expect(readIsVoid(state, 'n9')).toEqual({ state, asks: [] });
  });
});
