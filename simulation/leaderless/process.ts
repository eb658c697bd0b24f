/** What the parts of one life of a simulated replica share. */

import type { FailureDetector } from '../../src/leaderless/failure-detector.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import type { SimulatedClock } from '../clock.ts';
import type { SimulatedDisk } from '../disk.ts';
import type { SeededRandom } from '../random.ts';
import type { Calls } from './calls.ts';
import type { LeaderlessCanary } from './canaries.ts';
import type { Oracle } from './oracle.ts';
import type { ReplicaStore } from './replica-store.ts';

export interface Process {
  readonly self: string;
  readonly owners: readonly string[];
  readonly standIns: readonly string[];
  /** The database's own; requests may ask for other counts. */
  readonly settings: LeaderlessSettings;
  readonly canary: LeaderlessCanary;
  readonly clock: SimulatedClock;
  readonly disk: SimulatedDisk;
  readonly random: SeededRandom;
  readonly store: ReplicaStore;
  readonly calls: Calls;
  readonly detector: FailureDetector;
  readonly oracle: Oracle;
  /** Runs in this life only. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  readonly note: (what: string, detail?: unknown) => void;
}

const latenessMs = { msMin: 5, msMax: 120 };

/** After so long, somebody else is asked too. */
export function lateAfterMs({ detector }: Process, node: string): number {
  return detector.lateAfterMs(node, latenessMs);
}
