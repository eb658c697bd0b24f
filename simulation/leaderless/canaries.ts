/**
 * Planted bugs of leaderless databases, see ../canaries.ts. Production code has no part in them: each is a choice that the
 * simulated replica makes around the cores.
 */

export interface LeaderlessCanary {
  /** A replica says that a write is durable before it is. */
  readonly acknowledgesEarly?: boolean;
  /** Stand-ins count although the database's quorum is strict. */
  readonly countsStandIns?: boolean;
  /** Digests that differ are taken for equal. */
  readonly ignoresDigests?: boolean;
  /** When time is up, a read answers with what it has. */
  readonly answersWithFewer?: boolean;
  /** A repaired replica keeps what it was sent, and nothing beside it. */
  readonly repairOverwrites?: boolean;
  /** Reads that repair before they answer do so afterwards. */
  readonly answersBeforeRepair?: boolean;
  /** Repairs travel without their way back. */
  readonly forgetsPaths?: boolean;
  /** A replica whose disk was replaced is asked like all others. */
  readonly answersWhenEmpty?: boolean;
  /** One that took another's place counts as filled from the start. */
  readonly answersUnfilled?: boolean;
  /** An owner is replaced before the others have heard that it was removed. */
  readonly replacesUnheard?: boolean;
  /** Tombstones are forgotten without waiting for anybody. */
  readonly forgetsEarly?: boolean;
  /** Tombstones are forgotten however young they are. */
  readonly forgetsYoung?: boolean;
  /** What arrives for a grave is applied. */
  readonly believesTheDead?: boolean;
  /** Hints go to whoever is there, and are dropped when it has them. */
  readonly handsToAnybody?: boolean;
  /** Graves keep the tombstones alone. */
  readonly gravesWithoutPaths?: boolean;
}

export interface PlantedLeaderlessBug {
  readonly explanation: string;
  readonly canary: LeaderlessCanary;
  /** The profile under which it must be caught, */
  readonly profile: string;
  /** by one of so many seeds, */
  readonly seedsMax: number;
  /** beginning with this one: a rare moment is not searched for by every run of the tests. 1 unless told. */
  readonly seedFirst?: number;
}

export const leaderlessBugs: Readonly<Record<string, PlantedLeaderlessBug>> = {
  'ack-before-durable': {
    explanation: 'a replica says that a write is durable before it is',
    canary: { acknowledgesEarly: true },
    profile: 'leaderless',
    seedsMax: 3,
  },
  'sloppy-as-strict': {
    explanation: 'stand-ins count for W although the quorum is strict',
    canary: { countsStandIns: true },
    profile: 'leaderless-cuts',
    seedsMax: 3,
    seedFirst: 33,
  },
  'digest-ignored': {
    explanation: 'digests that differ are taken for equal',
    canary: { ignoresDigests: true },
    profile: 'leaderless',
    seedsMax: 3,
  },
  'fewer-than-r': {
    explanation: 'a read answers with what it has when its time is up',
    canary: { answersWithFewer: true },
    profile: 'leaderless-cuts',
    seedsMax: 5,
  },
  'repair-overwrites': {
    explanation: 'a repaired replica keeps what it was sent, and nothing beside it',
    canary: { repairOverwrites: true },
    profile: 'leaderless-cuts',
    seedsMax: 10,
    seedFirst: 14,
  },
  'repair-not-awaited': {
    explanation: 'a read with blocking repair answers before R replicas hold what it saw',
    canary: { answersBeforeRepair: true },
    profile: 'leaderless-blocking',
    seedsMax: 5,
  },
  'path-forgotten': {
    explanation: 'repairs travel without their way back, so what they supersede looks like a sibling',
    canary: { forgetsPaths: true },
    profile: 'leaderless-cuts',
    seedsMax: 5,
  },
  'empty-replica-asked': {
    explanation: 'a replica whose disk was replaced is asked for R like all others',
    canary: { answersWhenEmpty: true },
    profile: 'leaderless',
    seedsMax: 5,
    seedFirst: 21,
  },
  'tombstone-forgotten-early': {
    explanation: 'tombstones are forgotten without waiting for anybody, and leave a grave here only',
    canary: { forgetsEarly: true, believesTheDead: true },
    profile: 'leaderless-away',
    seedsMax: 8,
    seedFirst: 28,
  },
  'tombstone-forgotten-young': {
    explanation: 'tombstones are forgotten as soon as all replicas have them, whoever else reads the feed',
    canary: { forgetsYoung: true },
    profile: 'leaderless-entropy',
    seedsMax: 5,
    seedFirst: 8,
  },
  'way-back-forgotten': {
    explanation:
      'a grave keeps the tombstone and not its way back, so a new life does not supersede the old one',
    canary: { gravesWithoutPaths: true },
    profile: 'leaderless-away',
    seedsMax: 5,
    seedFirst: 37,
  },
  'unfilled-owner-asked': {
    explanation: "one that took another's place counts for R before it is filled",
    canary: { answersUnfilled: true },
    profile: 'leaderless-replace',
    seedsMax: 5,
    seedFirst: 8,
  },
  'replaced-unheard': {
    explanation: 'the place of an owner is given away before the others have heard that it was removed',
    canary: { replacesUnheard: true },
    profile: 'leaderless-replace',
    seedsMax: 3,
    seedFirst: 258,
  },
  'hint-to-anybody': {
    explanation: 'a hint is dropped when somebody has it who is not its owner',
    canary: { handsToAnybody: true },
    profile: 'leaderless-hints',
    seedsMax: 5,
  },
};

export const noLeaderlessCanary: LeaderlessCanary = {};
