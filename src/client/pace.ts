/** How quickly replicas answer, so that the quickest is asked first and one that is late is not waited for alone. */

/** How much of what was known of a replica stays when it answers again. */
const keptPart = 0.7;
/** An answer is late after so many times what its replica's answers take. */
const lateFactor = 4;
const patience = { msMin: 20, msMax: 250 };

export class Pace {
  readonly #usualMs = new Map<string, number>();

  answered(name: string, elapsedMs: number): void {
    const before = this.#usualMs.get(name) ?? elapsedMs;
    this.#usualMs.set(name, before * keptPart + elapsedMs * (1 - keptPart));
  }

  /** It is asked last from now on, until others take as long. */
  failed(name: string, timeoutMs: number): void {
    this.#usualMs.set(name, timeoutMs);
  }

  /** Those that were never asked come first, or nobody would ever learn of them. */
  inOrder(names: readonly string[]): readonly string[] {
    const usual = (name: string) => this.#usualMs.get(name) ?? 0;
    return names.toSorted((a, b) => usual(a) - usual(b));
  }

  patienceMs(name: string): number {
    const usual = this.#usualMs.get(name) ?? patience.msMax;
    return Math.min(patience.msMax, Math.max(patience.msMin, usual * lateFactor));
  }
}
