/** What a leaderless database promises, judged from what its clients saw and what the oracle knows. */

import type { Revision } from '../../src/document/revision.ts';
import { hasDerivedForm } from '../../src/document/tree-projection.ts';
import { overlaps } from '../../src/leaderless/presets.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import type { Violation } from '../history.ts';
import type { FinalReplica, LeaderlessRead, LeaderlessRecord, LeaderlessWrite } from './history.ts';
import { isDestroyed } from './losses.ts';
import type { Oracle } from './oracle.ts';
import { isSolo } from './workload.ts';

export interface LeaderlessEvidence {
  readonly records: readonly LeaderlessRecord[];
  readonly finals: readonly FinalReplica[];
  readonly oracle: Oracle;
}

/** Clocks of two nodes may drift in different directions; more than they do. */
const clockDrift = 0.01;

interface MetWrite extends LeaderlessWrite {
  readonly answer: Extract<LeaderlessWrite['answer'], { revision: Revision; durableOn: unknown }>;
}

type AnsweredRead = LeaderlessRead & {
  readonly answer: Extract<LeaderlessRead['answer'], { kind: 'answered' }>;
};

/** Nothing is lost that was acknowledged, while fewer than W of those that had it lost their disks. */
export function checkLosses({ records, finals, oracle }: LeaderlessEvidence): Violation[] {
  const kept = finals.flatMap((final) => [
    ...[...final.documents.values()].flat().map(({ revision }) => revision),
    ...final.graves,
    ...final.quarantined,
    ...final.hinted,
  ]);
  return metWrites(records).flatMap((write): Violation[] => {
    const { answer, at, id, missingOn } = write;
    if (missingOn.length > 0) {
      return [
        {
          checker: 'durability',
          at,
          message: `${answer.revision} of ${id} was acknowledged by ${missingOn.join()}, and is not on the disk there`,
        },
      ];
    }
    if (isDestroyed(write, oracle, Number.POSITIVE_INFINITY) || oracle.isKnownTo(answer.revision, kept))
      return [];
    return [
      {
        checker: 'durability',
        at,
        message: `${answer.revision} of ${id} was acknowledged and is nowhere any more`,
      },
    ];
  });
}

/** With R + W > N among owners, a read shows every write that was acknowledged before it began. */
export function checkReads({ records, finals, oracle }: LeaderlessEvidence): Violation[] {
  const writes = metWrites(records);
  const quarantined = finals.flatMap((final) => final.quarantined);
  return answeredReads(records).flatMap((read) => {
    const seen = read.answer.leaves.map(({ revision }) => revision);
    const buried = oracle.forgottenDocuments
      .filter(({ at, id }) => id === read.id && at <= read.at)
      .flatMap(({ leaves }) => leaves);
    return writes.flatMap((write): Violation[] => {
      if (write.id !== read.id || write.at >= read.invokedAt) return [];
      if (!overlaps({ ...read.settings, w: write.settings.w })) return [];
      const { revision } = write.answer;
      if (oracle.isKnownTo(revision, [...seen, ...buried, ...quarantined])) return [];
      if (isDestroyed(write, oracle, read.at)) return [];
      const from = read.answer.from.join();
      return [
        {
          checker: 'reads',
          at: read.at,
          message: `a read of ${read.id} from ${from} saw ${seen.join() || 'nothing'}, and not ${revision}`,
        },
      ];
    });
  });
}

/**
 * With blocking repair and reads that overlap, nobody sees less than somebody saw before, until the document is forgotten
 * as deleted, or what was seen was on few disks and one of these is lost, or several at once are.
 */
export function checkMonotonic({ records, oracle }: LeaderlessEvidence): Violation[] {
  const reads = answeredReads(records).filter(
    ({ settings }) => settings.readRepair === 'blocking' && settings.quorum === 'strict',
  );
  const firstLoss = oracle.losses[0]?.at ?? Number.POSITIVE_INFINITY;
  const areSeveral = oracle.losses.some(({ at, until }) =>
    oracle.losses.some((later) => later.at > at && later.at < until),
  );
  const firstGraves = new Map(oracle.forgottenDocuments.map(({ at, id }) => [id, at] as const).reverse());
  return reads.flatMap((later) =>
    reads.flatMap((earlier): Violation[] => {
      if (earlier.id !== later.id || earlier.at >= later.invokedAt) return [];
      if (earlier.settings.r + later.settings.r <= earlier.settings.n) return [];
      if (later.at >= (firstGraves.get(later.id) ?? Number.POSITIVE_INFINITY)) return [];
      if (later.at >= firstLoss && (areSeveral || !outlivesDisk(earlier.settings))) return [];
      const seen = later.answer.leaves.map(({ revision }) => revision);
      // A derived tombstone is no revision: it is shown as long as the merge that it stands for is the last.
      const leaves = earlier.answer.leaves.filter(({ revision }) => !hasDerivedForm(revision));
      const lost = leaves.find(({ revision }) => !oracle.isKnownTo(revision, seen));
      if (lost === undefined) return [];
      return [
        {
          checker: 'monotonic',
          at: later.at,
          message: `${lost.revision} of ${later.id} was read, and a later read did not see it`,
        },
      ];
    }),
  );
}

/**
 * Whether what R replicas hold is still read once one of them has lost its disk: it is filled from N - W + 1 others, or
 * from all of them where there are fewer, and R - 1 of the others have it.
 */
function outlivesDisk({ n, r, w }: LeaderlessSettings): boolean {
  const others = n - 1;
  return Math.min(n - w + 1, others) + (r - 1) > others;
}

/** Leaves are siblings only where nobody knew of the other. */
export function checkSiblings({ records, finals, oracle }: LeaderlessEvidence): Violation[] {
  const shown: { id: string; leaves: readonly Leaf[]; at?: number }[] = [
    ...finals.flatMap(({ documents }) => [...documents].map(([id, leaves]) => ({ id, leaves }))),
    ...answeredReads(records).map(({ answer, at, id }) => ({ id, leaves: answer.leaves, at })),
  ];
  return shown.flatMap(({ id, leaves, at }): Violation[] => {
    const live = leaves.filter(({ deleted }) => !deleted);
    const when = at === undefined ? {} : { at };
    const stale = live.find(({ revision }) => {
      const others = leaves.map((leaf) => leaf.revision).filter((other) => other !== revision);
      return oracle.isKnownTo(revision, others);
    });
    if (stale !== undefined) {
      return [
        {
          checker: 'siblings',
          ...when,
          message: `${stale.revision} of ${id} is shown beside what was made from it`,
        },
      ];
    }
    if (!isSolo(id)) return [];
    // Each write that was not acknowledged may turn up later, beside what its writer did without it.
    const unsure = records.filter(
      (one) => one.kind === 'write' && one.id === id && one.answer.kind !== 'met',
    ).length;
    const writes = records.filter((one): one is LeaderlessWrite => one.kind === 'write' && one.id === id);
    if (writes.some(({ settings }) => !overlaps(settings)) || live.length <= 1 + unsure) return [];
    return [
      {
        checker: 'siblings',
        ...when,
        message: `${id} has ${live.length} siblings, and one writer, who read first`,
      },
    ];
  });
}

interface Leaf {
  readonly revision: Revision;
  readonly deleted: boolean;
}

/** What was deleted and forgotten is not shown again. */
export function checkTombstones({ records, finals, oracle }: LeaderlessEvidence): Violation[] {
  const shown = [
    ...finals.flatMap(({ documents, node }) =>
      [...documents].map(([id, leaves]) => ({ id, leaves, at: Number.POSITIVE_INFINITY, where: node })),
    ),
    ...answeredReads(records)
      .filter(({ settings }) => overlaps(settings))
      .map(({ answer, id, invokedAt }) => ({ id, leaves: answer.leaves, at: invokedAt, where: 'a read' })),
  ];
  return shown.flatMap(({ at, id, leaves, where }) =>
    oracle.forgottenDocuments.flatMap((forgotten): Violation[] => {
      if (forgotten.id !== id || forgotten.at >= at) return [];
      const back = leaves.find((leaf) => !leaf.deleted && oracle.isKnownTo(leaf.revision, forgotten.leaves));
      if (back === undefined) return [];
      return [
        {
          checker: 'tombstones',
          message: `${back.revision} of ${id} was deleted and forgotten, and ${where} shows it again`,
        },
      ];
    }),
  );
}

/** Nothing is forgotten that is younger than the time for which readers that nobody knows are waited for. */
export function checkAges(
  { oracle }: LeaderlessEvidence,
  { tombstoneHorizonMs }: LeaderlessSettings,
): Violation[] {
  if (!oracle.areClocksRight) return [];
  return oracle.forgottenDocuments.flatMap(({ ageMs, at, id, node }): Violation[] => {
    if (ageMs >= tombstoneHorizonMs * (1 - clockDrift)) return [];
    const message = `${node} forgot ${id} ${ageMs} ms after its deletion, of ${tombstoneHorizonMs}`;
    return [{ checker: 'ages', at, message }];
  });
}

/** All owners hold the same in the end, but for documents that are excused. */
export function checkEquality(
  { finals }: LeaderlessEvidence,
  excused: ReadonlySet<string> = new Set(),
): Violation[] {
  const [first, ...others] = finals.map(({ documents, node }) => {
    const judged = [...documents].filter(([id]) => !excused.has(id));
    const leaves = judged.flatMap(([id, list]) =>
      list.filter(({ deleted }) => !deleted).map(({ revision }) => `${id}: ${revision}`),
    );
    return { node, leaves: leaves.sort() };
  });
  return others.flatMap((other): Violation[] => {
    if (first === undefined || other.leaves.join() === first.leaves.join()) return [];
    const ours = first.leaves.filter((leaf) => !other.leaves.includes(leaf));
    const theirs = other.leaves.filter((leaf) => !first.leaves.includes(leaf));
    return [
      {
        checker: 'convergence',
        message: `${first.node} has ${ours.join() || 'nothing'} where ${other.node} has ${theirs.join() || 'nothing'}`,
      },
    ];
  });
}

function metWrites(records: readonly LeaderlessRecord[]): readonly MetWrite[] {
  return records.filter(
    (record): record is MetWrite => record.kind === 'write' && record.answer.kind === 'met',
  );
}

function answeredReads(records: readonly LeaderlessRecord[]): readonly AnsweredRead[] {
  return records.filter(
    (record): record is AnsweredRead => record.kind === 'read' && record.answer.kind === 'answered',
  );
}
