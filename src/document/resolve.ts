/**
 * Settling conflicts without asking anybody: pure functions of a document's leaves. Every replica that knows the same
 * leaves derives the same merge revision, byte for byte, so it makes no difference who settles first.
 *
 *     leaves           last-write-wins (stamps)       merge (from their common ancestor {"n":1,"m":1})
 *     {"n":2,"m":1}    10.0.n1                        one changed n,
 *     {"n":1,"m":5}    12.0.n2  ← later               the other changed m
 *     merge revision   {"n":1,"m":5}                  {"n":2,"m":5}
 *
 * The merge has all leaves that it settles as parents, so it supersedes them everywhere and leaves no tombstones behind.
 * Replicas that settle different leaves at the same time make merges that conflict with each other; these are settled
 * like any leaves, and once everybody has heard of all of them one merge is left.
 *
 * Last-write-wins takes tombstones into account: a deletion that is later than every concurrent edit wins. A merge does
 * not: where one deletes and another edits, the edit stays, as without any rule. A merge gives up where a field was changed
 * to different values, and the conflict stays for a person; so it does where the ancestor's body is no longer kept.
 */

import { canonicalJson } from './canonical-json.ts';
import type { AttachmentStub } from './document.ts';
import { isJsonObject, type JsonObject } from './json-values.ts';
import {
  compareRevisions,
  type Digest,
  deriveRevision,
  generationMax,
  generationOf,
  type Revision,
} from './revision.ts';
import { indexOfRevision, type RevisionGraph } from './revision-graph.ts';
import { compareStamps, type Stamp } from './stamp.ts';
import { compareLeaves } from './winner.ts';

export type ResolverRule = 'last-write-wins' | 'merge';

export interface ResolvableLeaf {
  readonly revision: Revision;
  readonly deleted: boolean;
  /** Canonical JSON object. */
  readonly body: Uint8Array;
  readonly attachments: readonly AttachmentStub[];
  readonly stamp: Stamp | undefined;
}

export interface MergeRevision extends ResolvableLeaf {
  /** The tree parent first. */
  readonly parents: readonly Revision[];
}

export type Resolution =
  /** There is nothing to settle. */
  | { readonly kind: 'settled' }
  /** The rule does not settle this: the leaves stay. */
  | { readonly kind: 'kept' }
  | { readonly kind: 'merged'; readonly revision: MergeRevision };

/** What live leaves have in common: nothing, something that is no longer kept, or a revision. */
export type MergeBase =
  | { readonly kind: 'none' }
  | { readonly kind: 'lost' }
  | { readonly kind: 'known'; readonly body: Uint8Array; readonly attachments: readonly AttachmentStub[] };

/** Parsed bodies were within the limit when they came in, and a merge nests no deeper than its leaves. */
const depthMax = Number.MAX_SAFE_INTEGER;
const absent = Symbol('absent');
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** @param leaves all leaves of the graph, tombstones too, in any order */
export function resolve(
  rule: ResolverRule,
  { leaves, base }: { readonly leaves: readonly ResolvableLeaf[]; readonly base: MergeBase },
  digest: Digest,
): Resolution {
  const ordered = leaves.toSorted(compareLeaves);
  const live = ordered.filter((leaf) => !leaf.deleted);
  return rule === 'merge' ? resolveByMerge(live, base, digest) : resolveByTime(ordered, live, digest);
}

/** The last revision that all of these come from, by which {@link MergeBase} is found. */
export function commonAncestor(
  graph: RevisionGraph,
  revisions: readonly Revision[],
): Revision | 'none' | 'stemmed' {
  const lineages = revisions.map((revision) => lineageOf(graph, revision));
  const common = graph.nodes.find(({ revision }) => lineages.every(({ known }) => known.has(revision)));
  if (common !== undefined) return common.revision;
  return lineages.some(({ isStemmed }) => isStemmed) ? 'stemmed' : 'none';
}

function resolveByTime(
  ordered: readonly ResolvableLeaf[],
  live: readonly ResolvableLeaf[],
  digest: Digest,
): Resolution {
  const [latest] = ordered.toSorted(
    (a, b) => compareTimes(b.stamp, a.stamp) || compareRevisions(b.revision, a.revision),
  );
  if (latest === undefined || live.length === 0) return { kind: 'settled' };
  if (live.length === 1 && !latest.deleted) return { kind: 'settled' };
  // Tombstones that lost stay leaves: they are older than the merge, and lose again.
  const settled = latest.deleted ? [...live, latest] : live;
  return merged(settled, latest, latest.stamp, digest);
}

function resolveByMerge(live: readonly ResolvableLeaf[], base: MergeBase, digest: Digest): Resolution {
  if (live.length < 2) return { kind: 'settled' };
  const body = mergedBody(live, base);
  const attachments = mergedAttachments(live, base);
  if (body === 'conflict' || attachments === 'conflict') return { kind: 'kept' };
  const stamps = live.map((leaf) => leaf.stamp).toSorted((a, b) => compareTimes(b, a));
  return merged(live, { deleted: false, body, attachments }, stamps[0], digest);
}

function merged(
  settled: readonly ResolvableLeaf[],
  { deleted, body, attachments }: Pick<ResolvableLeaf, 'deleted' | 'body' | 'attachments'>,
  stamp: Stamp | undefined,
  digest: Digest,
): Resolution {
  // The tree parent is one generation before its child, or paths would not add up: a tombstone that wins may be it.
  const parents = settled.map((leaf) => leaf.revision).sort((a, b) => generationOf(b) - generationOf(a));
  // A revision of the last generation can have no child; it takes a hostile replicator to make one.
  if (parents.some((parent) => generationOf(parent) >= generationMax)) return { kind: 'kept' };
  const attachmentDigests = attachments.map(({ name, blob }) => [name, blob] as const);
  const revision = deriveRevision({ parents, deleted, body, attachmentDigests }, digest);
  return { kind: 'merged', revision: { revision, parents, deleted, body, attachments, stamp } };
}

function mergedBody(live: readonly ResolvableLeaf[], base: MergeBase): Uint8Array | 'conflict' {
  const first = live[0]!.body;
  if (live.every(({ body }) => isEqual(body, first))) return first;
  if (base.kind === 'lost') return 'conflict';
  const before = base.kind === 'known' ? parsed(base.body) : {};
  const fields = mergedFields(
    before,
    live.map(({ body }) => parsed(body)),
  );
  return fields === 'conflict' ? 'conflict' : encoder.encode(canonicalJson(fields, depthMax));
}

/** Objects are merged member by member; everything else, arrays too, is one value. */
function mergedFields(base: JsonObject, versions: readonly JsonObject[]): JsonObject | 'conflict' {
  const names = new Set([base, ...versions].flatMap(Object.keys));
  const members: [string, unknown][] = [];
  for (const name of names) {
    const value = mergedValue(
      memberOf(base, name),
      versions.map((version) => memberOf(version, name)),
    );
    if (value === 'conflict') return 'conflict';
    if (value.of !== absent) members.push([name, value.of]);
  }
  return Object.fromEntries(members);
}

function mergedValue(base: unknown, versions: readonly unknown[]): { readonly of: unknown } | 'conflict' {
  const before = textOf(base);
  const changed = new Map(versions.map((version) => [textOf(version), version] as const));
  changed.delete(before);
  if (changed.size === 0) return { of: base };
  const [value] = changed.values();
  if (changed.size === 1) return { of: value };
  const objects = versions.filter(isJsonObject);
  if (objects.length < versions.length || !(base === absent || isJsonObject(base))) return 'conflict';
  const fields = mergedFields(isJsonObject(base) ? base : {}, objects);
  return fields === 'conflict' ? 'conflict' : { of: fields };
}

/** Attachments are merged like fields, by name; equal content under one name is equal. */
function mergedAttachments(
  live: readonly ResolvableLeaf[],
  base: MergeBase,
): readonly AttachmentStub[] | 'conflict' {
  const stubs = new Map<string, AttachmentStub>();
  // The best leaf's stub last: it is the one that is kept of several with the same content.
  const all = [
    ...(base.kind === 'known' ? base.attachments : []),
    ...live.toReversed().flatMap((leaf) => leaf.attachments),
  ];
  for (const stub of all) stubs.set(`${stub.name}\n${stub.blob}`, stub);
  const byName = (list: readonly AttachmentStub[]): JsonObject =>
    Object.fromEntries(list.map(({ name, blob }) => [name, blob]));
  const versions = live.map((leaf) => byName(leaf.attachments));
  const isSame = new Set(versions.map((version) => canonicalJson(version, depthMax))).size === 1;
  if (base.kind === 'lost' && !isSame) return 'conflict';
  const names = isSame
    ? versions[0]!
    : mergedFields(base.kind === 'known' ? byName(base.attachments) : {}, versions);
  if (names === 'conflict') return 'conflict';
  return Object.keys(names)
    .toSorted()
    .map((name) => stubs.get(`${name}\n${String(names[name])}`)!);
}

/** A revision that nobody stamped is before all others. */
function compareTimes(a: Stamp | undefined, b: Stamp | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return compareStamps(a, b);
}

/** A revision and all it came from; stemmed where a way back ends before the first generation. */
function lineageOf(
  graph: RevisionGraph,
  revision: Revision,
): { readonly known: ReadonlySet<Revision>; readonly isStemmed: boolean } {
  const known = new Set<Revision>();
  let isStemmed = false;
  const open = [revision];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (known.has(next)) continue;
    const node = graph.nodes[indexOfRevision(graph.nodes, next)];
    if (node === undefined || (node.parents.length === 0 && generationOf(next) > 1)) isStemmed = true;
    if (node === undefined) continue;
    known.add(next);
    open.push(...node.parents);
  }
  return { known, isStemmed };
}

function memberOf(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : absent;
}

function textOf(value: unknown): string | undefined {
  return value === absent ? undefined : canonicalJson(value, depthMax);
}

function parsed(body: Uint8Array): JsonObject {
  return JSON.parse(decoder.decode(body)) as JsonObject;
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
