/** What the parts of one life of a simulated replica share. */

import type { FailureDetector } from '../../src/leaderless/failure-detector.ts';
import type { OwnedDatabase, ReplicaSet, ReplicaSets } from '../../src/replicas/replica-sets.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import type { SimulatedClock } from '../clock.ts';
import type { SimulatedDisk } from '../disk.ts';
import type { SeededRandom } from '../random.ts';
import type { Calls } from './calls.ts';
import type { LeaderlessCanary } from './canaries.ts';
import type { Oracle } from './oracle.ts';
import type { ReplicaStore } from './replica-store.ts';

/** What there is instead of a database, for the production code that says what its replica here may answer. */
export type SimulatedDatabase = OwnedDatabase;

export interface Process {
  readonly self: string;
  /** Who holds the database, and whether what is here may count, as far as this node knows: production code. */
  readonly sets: ReplicaSets<SimulatedDatabase>;
  /** Names the database there. */
  readonly identity: string;
  /** As they are now. */
  readonly owners: readonly string[];
  readonly standIns: readonly string[];
  /** Owners are replaced in this run, so stand-ins keep what they took as they do in production: any may become one. */
  readonly isReplacing: boolean;
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

/** Undefined: it has not heard of the database. */
export function replicaSetOf({ identity, sets }: Process): ReplicaSet<SimulatedDatabase> | undefined {
  return sets.byIdentity(identity);
}

/** Probably it does not answer, or must not. */
export function isSuspected({ clock, detector, sets }: Process, node: string): boolean {
  return !sets.isMember(node) || detector.verdict(node, clock.monotonic()) === 'suspected';
}

/** After so long, somebody else is asked too. */
export function lateAfterMs({ detector }: Process, node: string): number {
  return detector.lateAfterMs(node, latenessMs);
}
