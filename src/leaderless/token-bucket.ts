/**
 * A pace for work that clients must not feel: tokens come in steadily, up to a burst; work takes as many as it costs.
 * What is dear may be begun as soon as there is any token, and is paid back before the next thing begins.
 */

export interface Pace {
  readonly tokensPerSecond: number;
  readonly burst: number;
}

export interface TokenBucket {
  readonly pace: Pace;
  /** Below zero while something dear is being paid back. */
  readonly tokens: number;
  /** Monotonic milliseconds. */
  readonly atMs: number;
}

export function fullBucket(pace: Pace, nowMs: number): TokenBucket {
  return { pace, tokens: pace.burst, atMs: nowMs };
}

/** Takes the cost of what was done. */
export function spend(bucket: TokenBucket, cost: number, nowMs: number): TokenBucket {
  const { pace, tokens, atMs } = bucket;
  const earned = (Math.max(0, nowMs - atMs) * pace.tokensPerSecond) / 1_000;
  return { pace, tokens: Math.min(pace.burst, tokens + earned) - cost, atMs: Math.max(nowMs, atMs) };
}

/** Milliseconds until the next thing may begin; 0 for now. */
export function waitMs(bucket: TokenBucket, nowMs: number): number {
  const { tokens, pace } = spend(bucket, 0, nowMs);
  return tokens >= 0 ? 0 : (-tokens * 1_000) / pace.tokensPerSecond;
}
