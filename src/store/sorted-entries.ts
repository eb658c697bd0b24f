/**
 * Entries in key order, in memory.
 *
 * One sorted array costs a long move for every insertion. So the entries are kept in pages of a few hundred, as the leaves
 * of a B+ tree are: find the page by binary search over the pages' first keys, then the place in it. A page that grows
 * too long is cut in two. A page is never changed once it has been handed to a snapshot: it is copied on the next write, so a
 * snapshot costs one copy of the list of pages.
 *
 *   pages: [a c f] [h k] [m p x]      get(k): last page whose first key is <= k is [h k]
 *
 * Left out: merging small pages. A page goes only when it is empty.
 */

import type { Entry } from './store.ts';

const pageEntriesMax = 256;

interface Page {
  entries: Entry[];
  /** True once a snapshot may read it: then it is copied before it is changed. */
  shared: boolean;
}

/** Orders keys byte by byte; a prefix comes before what it begins. */
export function compareKeys(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index += 1) {
    const difference = left[index]! - right[index]!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

export class SortedEntries {
  #pages: Page[] = [];

  get(key: Uint8Array): Uint8Array | undefined {
    const entries = this.#pages[this.#pageOf(key)]?.entries ?? [];
    const index = firstAtLeast(entries, key);
    const entry = entries[index];
    return entry !== undefined && compareKeys(entry.key, key) === 0 ? entry.value : undefined;
  }

  put(entry: Entry): void {
    const at = Math.max(this.#pageOf(entry.key), 0);
    const page = this.#writable(at);
    const index = firstAtLeast(page.entries, entry.key);
    const found = page.entries[index];
    const replaced = found !== undefined && compareKeys(found.key, entry.key) === 0;
    page.entries.splice(index, replaced ? 1 : 0, entry);
    if (page.entries.length > pageEntriesMax) {
      this.#pages.splice(at + 1, 0, { entries: page.entries.splice(pageEntriesMax / 2), shared: false });
    }
  }

  delete(key: Uint8Array): void {
    const at = this.#pageOf(key);
    if (at < 0) return;
    const index = firstAtLeast(this.#pages[at]!.entries, key);
    const found = this.#pages[at]!.entries[index];
    if (found === undefined || compareKeys(found.key, key) !== 0) return;
    const page = this.#writable(at);
    page.entries.splice(index, 1);
    if (page.entries.length === 0) this.#pages.splice(at, 1);
  }

  /** A view of the entries as they are now, whatever is written later. */
  snapshot(): SortedEntries {
    for (const page of this.#pages) page.shared = true;
    const copy = new SortedEntries();
    copy.#pages = [...this.#pages];
    return copy;
  }

  /** Entries with `from <= key < to`, in order or in reverse. Not to be written to while it is being walked. */
  *range(from: Uint8Array, to: Uint8Array, reverse: boolean): Generator<Entry> {
    const first = Math.max(this.#pageOf(from), 0);
    const last = this.#pageOf(to);
    const step = reverse ? -1 : 1;
    for (let at = reverse ? last : first; at >= first && at <= last; at += step) {
      const { entries } = this.#pages[at]!;
      const start = firstAtLeast(entries, from);
      const end = firstAtLeast(entries, to);
      for (let index = reverse ? end - 1 : start; index >= start && index < end; index += step) {
        yield entries[index]!;
      }
    }
  }

  /** The last page whose first key is not above `key`; -1 if there is none. */
  #pageOf(key: Uint8Array): number {
    let low = 0;
    let high = this.#pages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareKeys(this.#pages[middle]!.entries[0]!.key, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #writable(at: number): Page {
    const page = this.#pages[at];
    if (page !== undefined && !page.shared) return page;
    const own: Page = { entries: [...(page?.entries ?? [])], shared: false };
    this.#pages[at] = own;
    return own;
  }
}

function firstAtLeast(entries: readonly Entry[], key: Uint8Array): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(entries[middle]!.key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
