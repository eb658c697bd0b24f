/**
 * Disks that were replaced by empty ones: what they had said, and what nobody else has.
 *
 * A promise to a client counts disks. One that is gone still counts where it had told the leader of the entry before: a leader
 * cannot know that a member lost what it promised to keep. An `async` write promises one disk, so it may be gone with that
 * disk, but only if no other one had it: a copy that is left must come back.
 *
 *     n1 leads, async 7 on its disk   n1 wiped            7 is gone, and nobody is to blame
 *     n1 leads, async 7 on its disk   n2 has it, n1 wiped  7 must come back from n2
 */

/** An entry on a disk, of those that carry a client's value. */
export interface KeptEntry {
  readonly index: number;
  readonly term: number;
  readonly value: number;
}

/** What was on a disk. */
export interface DiskContent {
  readonly entries: readonly KeptEntry[];
  /** Entries through here may live on in what is applied alone. */
  readonly applied: number;
}

interface LostDisk {
  readonly id: string;
  /** `index term` */
  readonly places: ReadonlySet<string>;
  /** The first of the entries. */
  readonly start: number;
  readonly applied: number;
}

export class LostDisks {
  /** By member, then by the term in which it said so: through which index its disk was equal to the leader's. */
  readonly #said = new Map<string, Map<number, number>>();
  readonly #lost: LostDisk[] = [];
  readonly #destroyed = new Set<number>();

  /** A member told the leader of `term` that it holds everything through `match`. */
  said(id: string, term: number, match: number): void {
    const byTerm = this.#said.get(id) ?? new Map<number, number>();
    this.#said.set(id, byTerm);
    byTerm.set(term, Math.max(match, byTerm.get(term) ?? 0));
  }

  /** The disk of a member is gone. @param others what all other disks hold */
  lose(id: string, { entries, applied }: DiskContent, others: readonly KeptEntry[]): void {
    const left = new Set(others.map(({ value }) => value));
    for (const { value } of entries) if (!left.has(value)) this.#destroyed.add(value);
    const start = entries.reduce((first, { index }) => Math.min(first, index), Number.POSITIVE_INFINITY);
    this.#lost.push({ id, places: new Set(entries.map(placeOf)), start, applied });
  }

  /** Members that held this entry, and had said so, when their disks were lost. */
  heldBy(index: number, term: number): string[] {
    const place = placeOf({ index, term });
    const holders = this.#lost.filter(({ applied, id, places, start }) => {
      const isHeld = places.has(place) || (index < start && index <= applied);
      return isHeld && this.#hasSaid(id, index, term);
    });
    return holders.map(({ id }) => id);
  }

  /** Values that no disk has any more. */
  destroyed(): ReadonlySet<number> {
    return this.#destroyed;
  }

  /** What was said in an earlier term than the entry's was said of another one at that index. */
  #hasSaid(id: string, index: number, term: number): boolean {
    const byTerm = [...(this.#said.get(id) ?? [])];
    return byTerm.some(([saidIn, match]) => saidIn >= term && match >= index);
  }
}

function placeOf({ index, term }: { readonly index: number; readonly term: number }): string {
  return `${index} ${term}`;
}
