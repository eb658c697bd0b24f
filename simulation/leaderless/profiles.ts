/** Which faults a run of a leaderless database may meet, and what of repair it is left with. */

import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';

const faultKinds = [
  'crash',
  'crash_all',
  'wipe',
  'pause',
  'cut_link',
  'partition',
  'bad_links',
  'slow_replica',
  'full_disk',
  'clock_jump',
] as const;

/** `slow_link`: what one node tells another is late by so much that others have come and gone meanwhile. */
export type LeaderlessFault = (typeof faultKinds)[number] | 'slow_link';

export interface LeaderlessProfile {
  readonly faults: readonly LeaderlessFault[];
  readonly gapMsMin: number;
  readonly gapMsMax: number;
  /** Leaves out a random part of the faults, another part in each run. */
  readonly isSwarm: boolean;
  /** How many documents several clients write, at most, and how many of the writes delete. */
  readonly documentsMax: number;
  readonly deletions: number;
  /** How many of the writes are made of a copy that was read before tombstones of that time were forgotten. */
  readonly oldEdits: number;
  /** Nodes beside those that a run has anyway, where owners are replaced; none: they stay. */
  readonly spares: number;
  /** Each run has one of these besides. */
  readonly variants: readonly Partial<LeaderlessSettings>[];
  /** Where given, every run has these; what is not given is drawn. */
  readonly settings: Partial<LeaderlessSettings>;
}

const usual = {
  ...{ gapMsMin: 30, gapMsMax: 700, isSwarm: false },
  ...{ documentsMax: 3, deletions: 0.12, oldEdits: 0 },
  ...{ spares: 0, settings: {}, variants: [{}] },
};
const cuts: readonly LeaderlessFault[] = ['cut_link', 'partition', 'bad_links', 'slow_replica'];

const profiles: Readonly<Record<string, LeaderlessProfile>> = {
  leaderless: { ...usual, faults: faultKinds, isSwarm: true },
  'leaderless-calm': { ...usual, faults: [] },
  /** Overlapping quorums of owners, and a network that comes and goes. */
  'leaderless-cuts': {
    ...usual,
    faults: cuts,
    settings: { n: 3, r: 2, w: 2, quorum: 'strict', readRepair: 'async', resolver: 'siblings' },
  },
  /** Clients are away for longer than tombstones wait for them, and bring what they made of old copies. */
  'leaderless-away': {
    ...usual,
    oldEdits: 0.15,
    faults: ['partition', 'crash', 'pause', 'clock_jump'],
    documentsMax: 12,
    deletions: 0.4,
    settings: { antiEntropy: true, tombstoneHorizonMs: 400, resolver: 'siblings' },
  },
  /** Each way of repair alone must make replicas equal, where it promises to. */
  'leaderless-hints': {
    ...usual,
    faults: [...cuts, 'full_disk'],
    // Merges that replicas derive are nobody's write: hints do not bring them.
    settings: {
      ...{ hints: true, hintWindowMs: 600_000 },
      ...{ readRepair: 'off', antiEntropy: false, resolver: 'siblings' },
    },
  },
  /** What a read has seen, no later read may miss, whatever becomes of the write. */
  'leaderless-blocking': {
    ...usual,
    faults: [...cuts, 'crash', 'wipe', 'full_disk'],
    documentsMax: 1,
    settings: {
      ...{ n: 3, r: 2, w: 2, quorum: 'strict', resolver: 'siblings' },
      ...{ hints: false, readRepair: 'blocking', antiEntropy: false },
    },
  },
  'leaderless-repair': {
    ...usual,
    faults: [...cuts, 'crash', 'pause'],
    settings: { hints: false, readRepair: 'async', antiEntropy: false },
  },
  'leaderless-entropy': {
    ...usual,
    faults: faultKinds,
    settings: { hints: false, readRepair: 'off', antiEntropy: true },
  },
  /** Owners are destroyed, or taken for dead, and others take their places. */
  'leaderless-replace': {
    ...usual,
    faults: [...cuts, 'slow_link', 'crash', 'pause', 'wipe', 'full_disk'],
    isSwarm: true,
    spares: 3,
    // Where nothing repairs, what W replicas have no others get, but by being filled.
    variants: [
      {},
      { quorum: 'strict', hints: false, readRepair: 'off', antiEntropy: false },
      { quorum: 'strict', hints: false, writeTimeoutMs: 1_400 },
    ],
  },
};

export const leaderlessProfileNames: readonly string[] = Object.keys(profiles);

/** Whether hints alone make replicas equal, but for what disks refused: where no coordinator falls with what it owed. */
export function hintsSuffice({ faults }: LeaderlessProfile): boolean {
  return faults.every((kind) => kind === 'full_disk' || cuts.includes(kind));
}

export function leaderlessProfileNamed(name: string): LeaderlessProfile | undefined {
  return Object.hasOwn(profiles, name) ? profiles[name] : undefined;
}
