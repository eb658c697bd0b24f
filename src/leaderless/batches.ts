/** How much goes to another replica at once: a frame has a limit, and its receiver joins what is in it in one turn. */

export interface BatchLimits {
  readonly itemsMax: number;
  /** What is larger goes alone. */
  readonly bytesMax: number;
}

/** Far below what a frame may have, so that clients' writes do not wait long behind it. */
export const batchBytesMax = 4 * 1_048_576;

/** How many items of these sizes in bytes, in this order, are one batch: one at least. Reads no more sizes than it needs. */
export function batchLength(sizes: Iterable<number>, { bytesMax, itemsMax }: BatchLimits): number {
  let length = 0;
  let bytes = 0;
  for (const size of sizes) {
    bytes += size;
    if (length > 0 && bytes > bytesMax) break;
    length += 1;
    if (length >= itemsMax) break;
  }
  return length;
}
