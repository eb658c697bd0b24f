/**
 * Who is alive, slow or probably dead, from when peers were heard of: the phi accrual failure detector (Hayashibara,
 * Défago, Yared and Katayama, 2004).
 *
 * The detector learns how regularly a peer's heartbeats come, and says how surprising the present silence is:
 * phi = -log10(probability that a heartbeat comes this late or later). At phi 1 every tenth such silence is a mistake, at
 * phi 8 one in a hundred million. A peer with an irregular link is so given more time than one with a steady one.
 *
 *     heartbeats every 1,000 ms, give or take 100      silence  1,000 ms → phi 0.3    1,500 ms → phi 7.3   2,000 ms → dead
 *
 * Nothing fails over by it, because nothing leads: it orders whom to ask first, and lets hints begin early. A wrong suspicion
 * costs a message. Slow is another matter than dead: a slow peer is asked later and waited for longer, a dead one is
 * replaced at once.
 *
 * Times are monotonic milliseconds. Answers prove that a peer lives, but say nothing of how regularly it is heard, so
 * only heartbeats are samples.
 */

export interface DetectorOptions {
  /** How often peers promise to be heard. */
  readonly heartbeatMs: number;
  /** A longer silence is an outage, and no measure of how regularly a peer is heard. */
  readonly intervalMsMax: number;
  /** Suspected from this phi on. */
  readonly phiMax: number;
  /** So many last heartbeats and latencies of each peer are remembered. */
  readonly samplesMax: number;
  /** Slow: its latency is so many times the median of all peers', and more than `slowMsMin`. */
  readonly slowFactor: number;
  readonly slowMsMin: number;
}

export const detectorDefaults: DetectorOptions = {
  heartbeatMs: 1_000,
  intervalMsMax: 10_000,
  phiMax: 8,
  samplesMax: 100,
  slowFactor: 4,
  slowMsMin: 20,
};

export type PeerVerdict = 'alive' | 'slow' | 'suspected';

interface PeerHistory {
  readonly intervals: number[];
  readonly latencies: number[];
  heartbeatAt: number | undefined;
  heardAt: number;
}

/** No link is as steady as a few samples may look: the deviation is at least this part of the mean. */
const deviationOfMeanMin = 0.1;
const lateQuantile = 0.95;
const lateFactor = 1.5;

export class FailureDetector {
  readonly #options: DetectorOptions;
  readonly #peers = new Map<string, PeerHistory>();

  constructor(options: DetectorOptions) {
    this.#options = options;
  }

  /** A peer to watch from now on: it counts as heard of just now. */
  add(peer: string, nowMs: number): void {
    if (this.#peers.has(peer)) return;
    const { heartbeatMs } = this.#options;
    // Until there are samples, the promise stands in for them, generously.
    const intervals = [heartbeatMs / 2, heartbeatMs * 1.5];
    this.#peers.set(peer, { intervals, latencies: [], heartbeatAt: undefined, heardAt: nowMs });
  }

  remove(peer: string): void {
    this.#peers.delete(peer);
  }

  heartbeat(peer: string, nowMs: number): void {
    const history = this.#peers.get(peer);
    if (history === undefined) return;
    if (history.heartbeatAt !== undefined) {
      const interval = nowMs - history.heartbeatAt;
      if (interval <= this.#options.intervalMsMax) this.#remember(history.intervals, interval);
    }
    history.heartbeatAt = nowMs;
    history.heardAt = nowMs;
  }

  /** The peer answered a request, after so long. */
  answered(peer: string, latencyMs: number, nowMs: number): void {
    const history = this.#peers.get(peer);
    if (history === undefined) return;
    history.heardAt = Math.max(history.heardAt, nowMs);
    this.#remember(history.latencies, latencyMs);
  }

  /** How surprising the silence of a peer is; 0 for one that is not watched. */
  phi(peer: string, nowMs: number): number {
    const history = this.#peers.get(peer);
    if (history === undefined) return 0;
    const { intervals, heardAt } = history;
    const mean = average(intervals);
    const spread = Math.max(deviation(intervals, mean), mean * deviationOfMeanMin);
    return phiOf(nowMs - heardAt, mean, spread);
  }

  verdict(peer: string, nowMs: number): PeerVerdict {
    if (this.phi(peer, nowMs) >= this.#options.phiMax) return 'suspected';
    const { slowFactor, slowMsMin } = this.#options;
    const own = this.latencyMs(peer);
    const usual = quantile(
      [...this.#peers.keys()].map((name) => this.latencyMs(name)),
      0.5,
    );
    return own > slowMsMin && own > slowFactor * usual ? 'slow' : 'alive';
  }

  /** The median of its last answers; 0 for one that never answered. */
  latencyMs(peer: string): number {
    return quantile(this.#peers.get(peer)?.latencies ?? [], 0.5);
  }

  /** After so long an answer is late by this peer's own measure, and another one is asked as well. */
  lateAfterMs(peer: string, bounds: { readonly msMin: number; readonly msMax: number }): number {
    const usual = quantile(this.#peers.get(peer)?.latencies ?? [], lateQuantile);
    return usual === 0 ? bounds.msMax : Math.min(bounds.msMax, Math.max(bounds.msMin, usual * lateFactor));
  }

  /** Whom to ask first: alive before slow before suspected, each by latency; equals keep their order. */
  preferred(peers: readonly string[], nowMs: number): readonly string[] {
    const rank = { alive: 0, slow: 1, suspected: 2 };
    const scored = peers.map((peer) => ({
      peer,
      rank: rank[this.verdict(peer, nowMs)],
      latency: this.latencyMs(peer),
    }));
    scored.sort((a, b) => a.rank - b.rank || a.latency - b.latency);
    return scored.map(({ peer }) => peer);
  }

  #remember(samples: number[], sample: number): void {
    samples.push(sample);
    if (samples.length > this.#options.samplesMax) samples.shift();
  }
}

/** -log10 of the normal distribution's upper tail, by the logistic approximation of Bowling et al. (2009). */
function phiOf(silence: number, mean: number, spread: number): number {
  const y = (silence - mean) / spread;
  const exponent = y * (1.5976 + 0.070566 * y * y);
  // log10(1 + e^x); for large x the 1 does not show, and e^x would overflow.
  return exponent > 30 ? exponent / Math.LN10 : Math.log1p(Math.exp(exponent)) / Math.LN10;
}

function average(samples: readonly number[]): number {
  return samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
}

function deviation(samples: readonly number[], mean: number): number {
  const squares = samples.reduce((sum, sample) => sum + (sample - mean) ** 2, 0);
  return Math.sqrt(squares / (samples.length - 1));
}

function quantile(samples: readonly number[], part: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
