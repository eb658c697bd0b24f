/**
 * What is to happen, by time. Two events of one moment happen in the order in which they were scheduled, so the order of
 * a run is total and the same everywhere. A binary heap; a cancelled event stays in it and is skipped when its time comes.
 */

export interface Scheduled {
  /** Microseconds since the beginning of the run. */
  readonly at: number;
  readonly order: number;
  run: (() => void) | undefined;
}

export class EventQueue {
  readonly #heap: Scheduled[] = [];
  #order = 0;

  push(at: number, run: () => void): Scheduled {
    const scheduled = { at, order: this.#order, run };
    this.#order += 1;
    this.#heap.push(scheduled);
    this.#rise(this.#heap.length - 1);
    return scheduled;
  }

  /** The time of the next event that was not cancelled. */
  nextAt(): number | undefined {
    while (this.#heap.length > 0 && this.#heap[0]!.run === undefined) this.#removeFirst();
    return this.#heap[0]?.at;
  }

  /** Takes the next event out; undefined if there is none. */
  take(): Scheduled | undefined {
    if (this.nextAt() === undefined) return undefined;
    return this.#removeFirst();
  }

  #removeFirst(): Scheduled {
    const first = this.#heap[0]!;
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#sink();
    }
    return first;
  }

  #rise(from: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (isBefore(this.#heap[parent]!, this.#heap[at]!)) return;
      this.#swap(parent, at);
      at = parent;
    }
  }

  #sink(): void {
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= this.#heap.length) return;
      const right = left + 1;
      const takesRight = right < this.#heap.length && isBefore(this.#heap[right]!, this.#heap[left]!);
      const child = takesRight ? right : left;
      if (isBefore(this.#heap[at]!, this.#heap[child]!)) return;
      this.#swap(at, child);
      at = child;
    }
  }

  #swap(left: number, right: number): void {
    const kept = this.#heap[left]!;
    this.#heap[left] = this.#heap[right]!;
    this.#heap[right] = kept;
  }
}

function isBefore(left: Scheduled, right: Scheduled): boolean {
  return left.at < right.at || (left.at === right.at && left.order < right.order);
}
