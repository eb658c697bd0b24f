/**
 * Which faults a run may meet. Faults are drawn per run too: a run under `all` leaves out a random part of its kinds,
 * because some bugs need one kind of fault often rather than every kind now and then.
 */

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
  'membership',
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
  all: { ...usual, faults: faultKinds.filter((kind) => kind !== 'figure_8'), isSwarm: true },
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
  membership: { ...usual, faults: ['membership', 'transfer', 'crash', 'partition'] },
};

export const profileNames: readonly string[] = Object.keys(profiles);

export function profileNamed(name: string): Profile | undefined {
  return Object.hasOwn(profiles, name) ? profiles[name] : undefined;
}
