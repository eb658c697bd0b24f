/** Samples of when the log grew beyond an index, so that entries behind become time behind. */

const sampleEveryMs = 100;
const samplesMax = 2_000;

export class LagClock {
  readonly #now: () => number;
  #samples: { readonly index: number; readonly atMs: number }[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The log now reaches `index`. */
  grew(index: number): void {
    const last = this.#samples.at(-1);
    const atMs = this.#now();
    if (last !== undefined && (atMs - last.atMs < sampleEveryMs || index <= last.index)) return;
    // The oldest time is lost: a member further behind than that is said to be a little less so.
    if (this.#samples.length >= samplesMax) this.#samples = this.#samples.slice(samplesMax / 2);
    this.#samples.push({ index, atMs });
  }

  /** Another term: its log may be another. */
  reset(): void {
    this.#samples = [];
  }

  lagMs(match: number, through: number): number {
    if (match >= through) return 0;
    const first = this.#samples.find(({ index }) => index > match);
    return first === undefined ? 0 : this.#now() - first.atMs;
  }
}
