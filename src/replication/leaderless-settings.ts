/**
 * How a leaderless database reads, writes and repairs when a request does not say otherwise. The catalog logs it with
 * the database, every node reads it, and the presets that fill it in are in leaderless/presets.ts.
 */

export type LeaderlessPreset = 'dynamo' | 'riak' | 'cassandra' | 'voldemort';

/** Strict: only owners count. Sloppy: a stand-in for an owner that does not answer counts too. */
export type QuorumKind = 'strict' | 'sloppy';

export interface LeaderlessSettings {
  /** Whose ways were the starting point. */
  readonly preset: LeaderlessPreset;
  /** How many nodes hold the database. */
  readonly n: number;
  /** How many replicas a read asks, and a write waits for, stand-ins included where `quorum` is sloppy. */
  readonly r: number;
  readonly w: number;
  /** How many of them must be owners, not stand-ins. */
  readonly pr: number;
  readonly pw: number;
  readonly quorum: QuorumKind;
  /** What becomes of siblings: kept, or settled the same way everywhere. */
  readonly resolver: 'siblings' | 'last-write-wins' | 'merge';
  /** Whether a write is kept for an owner that did not answer. */
  readonly hints: boolean;
  /** Blocking: a read answers once as many as it asked hold what it answers. */
  readonly readRepair: 'off' | 'async' | 'blocking';
  readonly antiEntropy: boolean;
  readonly readTimeoutMs: number;
  readonly writeTimeoutMs: number;
  /** A hint that is older is dropped. */
  readonly hintWindowMs: number;
  /** No tombstone is forgotten sooner; a reader's checkpoint that did not move for longer keeps none from it. */
  readonly tombstoneHorizonMs: number;
}
