/** How patient a group is, and how much of its log it keeps. */

import { type RaftOptions, raftDefaults } from '../single-leader/state.ts';

/** Milliseconds in a tick of the core, in which acknowledgements time out. */
export const groupTickMs = 50;

export interface GroupSettings {
  readonly tickMs: number;
  readonly raft: RaftOptions;
  /** How long a linearizable read waits for a leader to confirm it. */
  readonly readMsMax: number;
  /** How long closing waits for another node to take leadership over. */
  readonly handOverMsMax: number;
  /** How long a node that is to become a member is asked who it is. */
  readonly acquaintanceMsMax: number;
  /** Between two tries to found, to join, or to come back after a failed disk. */
  readonly retryMs: number;
  /** A node without a leader asks so often whether it still is a member; the first time after as long. */
  readonly askRemovalMs: number;
  /** The log is truncated when all members have so many entries more than this. */
  readonly logEntriesKept: number;
  /** More than this is not kept for members that are away: they fetch a state. */
  readonly logEntriesMax: number;
  /** The same two in bytes: the log is in memory. */
  readonly logBytesKept: number;
  readonly logBytesMax: number;
}

export const groupDefaults: GroupSettings = {
  tickMs: groupTickMs,
  raft: { ...raftDefaults, electionTicksMin: 10, electionTicksMax: 20 },
  readMsMax: 2_000,
  handOverMsMax: 2_000,
  acquaintanceMsMax: 5_000,
  retryMs: 200,
  askRemovalMs: 2_000,
  logEntriesKept: 50_000,
  logEntriesMax: 200_000,
  logBytesKept: 32_000_000,
  logBytesMax: 256_000_000,
};
