import type { LogPosition } from '../single-leader/entry.ts';
import type { CommittedEntry } from './group.ts';

/**
 * What the log says cannot be done here, though it was checked before it was logged: this replica is not what the others
 * are. Trying again would not help, and leaving it out would make them differ for good.
 */
export class UnappliableError extends Error {}

/** What a group's log means. */
export interface StateMachine {
  /** The highest index whose effects are durable here; asked again after a failed disk. 0: nothing was applied yet. */
  appliedIndex(): number;
  /**
   * Applies entries in order and resolves when their effects, and `through`, are durable and visible. Never called
   * again before it has settled. After a crash the last entries may come a second time.
   * @throws UnappliableError beside what a disk may throw
   * @param through where this batch ends; entries that are not for the state machine are left out, so `entries` may be
   * empty
   * @param isAwaited whether somebody waits for it; else it may take its time to share an fsync with what comes next
   */
  apply(entries: readonly CommittedEntry[], through: LogPosition, isAwaited: () => boolean): Promise<void>;
}
