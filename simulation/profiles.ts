/**
 * Which faults a run may meet. Faults are drawn per run too: a run under `all` leaves out a random part of its kinds,
 * because some bugs need one kind of fault often rather than every kind now and then.
 */

import type { SeededRandom } from './random.ts';

export const faultKinds = [
  'crash',
  'crash_all',
  'pause',
  'cut_link',
  'partition',
  'isolate_leader',
  /** Not a moment of the nemesis's choosing: leaders fall right after they were elected. */
  'new_leader',
  /** Staged, see figure-eight.ts. */
  'figure_8',
  'bad_links',
  'slow_disk',
  'full_disk',
  'clock_jump',
  'transfer',
  /** The node that is outside is made a learner, then a voter; when all are in, one is taken out. */
  'membership',
  /** A disk is replaced by an empty one; the node is another member then. */
  'wipe',
  /** A minority is cut off and goes on alone, by force, once in a run; the others are fenced when they come back. */
  'force',
  /** One founder keeps positions only. */
  'witness',
  /** Nobody stands by itself: an operator appoints, now and then somebody else. */
  'appointed',
] as const;

export type FaultKind = (typeof faultKinds)[number];

export interface Profile {
  readonly faults: readonly FaultKind[];
  /** Milliseconds between one fault and the next. */
  readonly gapMsMin: number;
  readonly gapMsMax: number;
  /** Leaves out a random part of the faults, another part in each run. */
  readonly isSwarm: boolean;
  /** How much faster or slower a node's clock may run, in millionths. */
  readonly driftMillionthsMax: number;
}

const usual = { gapMsMin: 30, gapMsMax: 1_200, isSwarm: false, driftMillionthsMax: 200 };

const profiles: Readonly<Record<string, Profile>> = {
  all: {
    ...usual,
    faults: faultKinds.filter((kind) => kind !== 'figure_8'),
    isSwarm: true,
  },
  calm: { ...usual, faults: [], driftMillionthsMax: 0 },
  network: { ...usual, faults: ['cut_link', 'partition', 'isolate_leader', 'bad_links'] },
  crash: { ...usual, faults: ['crash', 'crash_all', 'pause'] },
  disk: { ...usual, faults: ['crash', 'crash_all', 'slow_disk', 'full_disk'] },
  clock: { ...usual, faults: ['clock_jump', 'pause', 'isolate_leader'], driftMillionthsMax: 2_000 },
  /** Leaders come and go as fast as they can be elected, and restarts fall into elections. */
  elections: {
    ...usual,
    faults: [
      'crash',
      'crash_all',
      'isolate_leader',
      'new_leader',
      /** Staged, see figure-eight.ts. */
      'figure_8',
      'partition',
      'cut_link',
      'bad_links',
      'transfer',
    ],
    gapMsMin: 10,
    gapMsMax: 250,
  },
  'figure-8': { ...usual, faults: ['figure_8'] },
  wipe: { ...usual, faults: ['wipe', 'crash', 'partition', 'membership', 'transfer'] },
  force: { ...usual, faults: ['force', 'crash', 'partition', 'isolate_leader', 'bad_links'] },
  witness: { ...usual, faults: ['witness', 'crash', 'partition', 'isolate_leader', 'slow_disk', 'transfer'] },
  appointed: { ...usual, faults: ['appointed', 'crash', 'pause', 'partition', 'isolate_leader'] },
  membership: { ...usual, faults: ['membership', 'transfer', 'crash', 'partition'] },
};

/** What is no blow but the way a run is meets fewer runs, so that most are as most clusters are. */
const swarmChance: Readonly<Partial<Record<FaultKind, number>>> = {
  witness: 0.15,
  appointed: 0.15,
  force: 0.25,
};

/** The faults that one run meets. */
export function drawFaults({ faults, isSwarm }: Profile, random: SeededRandom): readonly FaultKind[] {
  const drawn = isSwarm ? faults.filter((kind) => random.chance(swarmChance[kind] ?? 0.6)) : faults;
  // With a witness a majority may be one disk with documents and one without: losing the first loses what was acknowledged.
  return drawn.includes('witness') ? drawn.filter((kind) => kind !== 'wipe') : drawn;
}

export const profileNames: readonly string[] = Object.keys(profiles);

export function profileNamed(name: string): Profile | undefined {
  return Object.hasOwn(profiles, name) ? profiles[name] : undefined;
}
