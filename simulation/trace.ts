/**
 * What happened, for a reader and for a proof.
 *
 * For the reader the last lines are kept, rendered only when asked for. For the proof that a seed gives the same run
 * anywhere, every event is folded into a fingerprint: two runs with one fingerprint had the same events in the same
 * order at the same times.
 */

export interface TraceLine {
  /** Microseconds since the beginning of the run. */
  readonly at: number;
  /** Whom it happened to: a node, a client, `nemesis`. */
  readonly subject: string;
  /** What happened, in the past tense: `received`, `crashed`. */
  readonly what: string;
  /** Immutable; rendered as compact JSON. */
  readonly detail: unknown;
}

const detailLengthMax = 220;

export class Trace {
  readonly #linesMax: number;
  readonly #lines: TraceLine[] = [];
  #next = 0;
  #low = 0x811c9dc5;
  #high = 0x01234567;
  #count = 0;

  constructor(linesMax: number) {
    this.#linesMax = linesMax;
  }

  add(line: TraceLine): void {
    this.#count += 1;
    this.#fold(line.at % 0x1_0000_0000);
    this.#foldText(line.subject);
    this.#foldText(line.what);
    if (this.#lines.length < this.#linesMax) this.#lines.push(line);
    else this.#lines[this.#next] = line;
    this.#next = (this.#next + 1) % this.#linesMax;
  }

  /** How many events there were in all. */
  count(): number {
    return this.#count;
  }

  fingerprint(): string {
    return [this.#high, this.#low].map((word) => word.toString(16).padStart(8, '0')).join('');
  }

  /** The last lines until then, oldest first. */
  last(count: number, until = Number.POSITIVE_INFINITY): TraceLine[] {
    const ordered = [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)];
    const before = ordered.filter((line) => line.at <= until);
    return count === 0 ? [] : before.slice(-count);
  }

  #foldText(text: string): void {
    for (let index = 0; index < text.length; index += 1) this.#fold(text.charCodeAt(index));
  }

  #fold(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193) >>> 0;
    this.#high = (Math.imul(this.#high ^ this.#low, 0x85ebca6b) + (this.#high >>> 13)) >>> 0;
  }
}

/** `   1.204312 s  n2        received  {"kind":"append",…}` */
export function renderLine({ at, subject, what, detail }: TraceLine): string {
  const seconds = (at / 1_000_000).toFixed(6).padStart(11);
  const rendered = detail === undefined ? '' : renderDetail(detail);
  return `${seconds} s  ${subject.padEnd(8)} ${what.padEnd(14)} ${rendered}`.trimEnd();
}

function renderDetail(detail: unknown): string {
  const text = typeof detail === 'string' ? detail : (JSON.stringify(detail, renderValue) ?? '');
  return text.length <= detailLengthMax ? text : `${text.slice(0, detailLengthMax)}…`;
}

function renderValue(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? `${value.length} bytes` : value;
}
