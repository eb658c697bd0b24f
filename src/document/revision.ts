/**
 * A revision id is `generation-digest`, for example `3-9c65296036141e575d32ba9c034dd3ee`: how many edits deep it is,
 * and a digest of what it says. The same edit made on two leaders has the same id, so it *is* the same revision.
 *
 * What the digest covers: the parents, whether the revision is a tombstone, its attachments and its canonical body.
 * What it leaves out: who wrote it and when, for then two leaders would make two revisions of one edit.
 */

import { assert, failure } from '../errors.ts';

declare const revisionBrand: unique symbol;

/** `generation-digest`; see {@link parseRevision}. */
export type Revision = string & { readonly [revisionBrand]: true };

/** Maps bytes to 32 lowercase hex digits. A port: native in Node, `@noble/hashes` in the browser. */
export type Digest = (bytes: Uint8Array) => string;

/** 2^53 - 1: the last generation that a number counts exactly, which `_revisions.start` must be. */
export const generationMax = 9_007_199_254_740_991;
// Sixteen digits may exceed the maximum, and digits of equal number compare as numbers do.
const revisionPattern = /^[1-9][0-9]{0,15}-[0-9A-Za-z._-]{1,64}$/;
const encoder = new TextEncoder();

/**
 * The revision that a text names, or undefined when it names none. Tercet's own digests are 32 lowercase hex digits;
 * other systems' (`1-abc`) are taken as they are.
 */
export function parseRevision(text: string): Revision | undefined {
  if (!revisionPattern.test(text)) return undefined;
  if (text.indexOf('-') === 16 && text.slice(0, 16) > String(generationMax)) return undefined;
  return text as Revision;
}

/** How many edits deep a revision is; at least 1. */
export function generationOf(revision: Revision): number {
  return Number(revision.slice(0, revision.indexOf('-')));
}

export function digestOf(revision: Revision): string {
  return revision.slice(revision.indexOf('-') + 1);
}

/** The id made of a generation and a digest that are known to be well formed. */
export function revisionOf(generation: number, digest: string): Revision {
  assert(Number.isInteger(generation) && generation >= 1, 'a generation is a whole number from 1 on');
  return `${generation}-${digest}` as Revision;
}

/** Orders by generation, then by digest in code-unit order. Negative when `a` comes first. */
export function compareRevisions(a: Revision, b: Revision): number {
  // Generations have no leading zeros: the one with more digits is higher, and with as many digits text order decides.
  const digits = a.indexOf('-') - b.indexOf('-');
  if (digits !== 0) return digits;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The parents as every node writes them: the tree parent first, the others without repetition in falling order. */
export function normalizedParents(parents: readonly Revision[]): readonly Revision[] {
  const first = parents[0];
  if (first === undefined || parents.length === 1) return parents;
  const others = new Set(parents);
  others.delete(first);
  return [first, ...[...others].sort((a, b) => compareRevisions(b, a))];
}

export interface RevisionContent {
  /** The tree parent first; the order of the others does not matter. */
  readonly parents: readonly Revision[];
  readonly deleted: boolean;
  /** Canonical JSON. */
  readonly body: Uint8Array;
  /** Name and digest of each attachment, in any order. */
  readonly attachmentDigests: readonly (readonly [name: string, digest: string])[];
  /** What tells this edit from an equal one that somebody else made; see database/edited-revision.ts. Without line breaks. */
  readonly idempotencyKey?: string | undefined;
}

/**
 * The id of a revision, from what it says.
 * @throws TercetError `bad_request` when the parent's generation is the last there is
 */
export function deriveRevision(content: RevisionContent, digest: Digest): Revision {
  const parents = normalizedParents(content.parents);
  let generation = 0;
  for (const parent of parents) generation = Math.max(generation, generationOf(parent));
  if (generation >= generationMax)
    throw failure('bad_request', 'The revision has the highest generation there is.');
  return revisionOf(generation + 1, digest(contentBytes(content, parents)));
}

/** Where contents are put together for the digest, which is done with them before the next one comes. */
const scratch = new Uint8Array(65_536);

/**
 * Two lines, neither of which can contain a line break, then the body; a third line before them where there is a key, and
 * only there does the first letter say so. No two contents share their bytes.
 */
function contentBytes(content: RevisionContent, parents: readonly Revision[]): Uint8Array {
  const attachments = content.attachmentDigests;
  const names =
    attachments.length === 0
      ? ''
      : JSON.stringify(attachments.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  const key = content.idempotencyKey === undefined ? '' : `k${content.idempotencyKey}\n`;
  const head = `${key}${content.deleted ? 'd' : 'l'}${parents.join(',')}\n${names}\n`;
  // A UTF-16 unit takes three bytes at most.
  const bytesMax = head.length * 3 + content.body.length;
  const bytes = bytesMax <= scratch.length ? scratch : new Uint8Array(bytesMax);
  const { written } = encoder.encodeInto(head, bytes);
  bytes.set(content.body, written);
  return bytes.subarray(0, written + content.body.length);
}
