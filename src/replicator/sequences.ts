/**
 * Comparing the sequences of a source, as far as that is sound.
 *
 * Sequences are opaque in general, but PouchDB's and CouchDB 1's are plain numbers, and Tercet's tokens carry a number
 * that counts within one incarnation. The number in front of a CouchDB cluster's sequence is the sum over its shards:
 * it may grow past another while one shard lies behind it, so such sequences are never compared.
 */

const countingSequence = /^(\d{1,15})(?:-([0-9a-f]{16}))?$/;

/** Whether all that `goal` counts is counted by `sequence` too; false where that cannot be told. */
export function hasReached(sequence: string, goal: string): boolean {
  const [, place, incarnation] = countingSequence.exec(sequence) ?? [];
  const [, goalPlace, goalIncarnation] = countingSequence.exec(goal) ?? [];
  if (place === undefined || goalPlace === undefined || incarnation !== goalIncarnation) return false;
  return Number(place) >= Number(goalPlace);
}
