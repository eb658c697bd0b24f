/** Reading documents: synchronous, from committed state, each answer from one moment. */

import type { Digest, Revision } from '../document/revision.ts';
import { parseRevision } from '../document/revision.ts';
import { emptyGraph, nodeOf, type RevisionGraph } from '../document/revision-graph.ts';
import { latestLeavesOf, missing, pathOf, pathOfDerived } from '../document/revision-path.ts';
import { treeLeaves } from '../document/tree-projection.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import { keyKinds } from '../store/keys.ts';
import type { Store } from '../store/store.ts';
import type {
  DocumentRevision,
  OpenRevision,
  ReadOptions,
  ReadOutcome,
  RevisionDifference,
  RevisionInfo,
} from './model.ts';
import type { BodyRecord, Head } from './records.ts';
import { decodeBody, decodeHead, decodeHeadBody, decodeHeadSummary } from './records.ts';

const EMPTY_BODY = new TextEncoder().encode('{}');
/** What a derived tombstone says: nothing; it only ends a merged branch for clients that know trees. */
const DERIVED: BodyRecord = { attachments: [], body: EMPTY_BODY };

/** What single documents are read from. */
export interface DocumentContext {
  readonly store: Pick<Store, 'get'>;
  readonly keys: DatabaseKeys;
  readonly digest: Digest;
}

export interface ReadContext extends DocumentContext {
  readonly store: Store;
}

export function readDocument(context: DocumentContext, id: string, options: ReadOptions): ReadOutcome {
  const record = context.store.get(context.keys.ofText(keyKinds.head, id));
  if (record === undefined) return { kind: 'missing' };
  if (!needsGraph(options)) {
    const { winner, deleted } = decodeHeadSummary(record);
    if (deleted) return { kind: 'deleted' };
    return { kind: 'found', document: { id, revision: winner, deleted, ...decodeHeadBody(record) } };
  }
  const head = decodeHead(id, record);
  if (options.revision === undefined) {
    if (head.deleted) return { kind: 'deleted' };
    return { kind: 'found', document: describe(context, head, head.winner, head, options) };
  }
  const revision = options.latest === true ? latestOf(head, options.revision) : options.revision;
  const body = revision === undefined ? undefined : bodyOf(context, head, revision);
  if (revision === undefined || body === undefined) return { kind: 'missing' };
  return { kind: 'found', document: describe(context, head, revision, body, options) };
}

/** The winner, deleted or not: what lists with documents show. */
export function readWinner(record: Uint8Array, id: string): DocumentRevision {
  const { winner, deleted } = decodeHeadSummary(record);
  return { id, revision: winner, deleted, ...decodeHeadBody(record) };
}

/** One named leaf for a row of the changes feed; undefined when it has been replaced since. */
export function readLeaf(
  context: DocumentContext,
  id: string,
  revision: Revision,
): DocumentRevision | undefined {
  const record = context.store.get(context.keys.ofText(keyKinds.head, id));
  if (record === undefined || decodeHeadSummary(record).winner !== revision) return undefined;
  return readWinner(record, id);
}

export function withConflicts(context: DocumentContext, record: Uint8Array, id: string): DocumentRevision {
  const head = decodeHead(id, record);
  return describe(context, head, head.winner, head, { conflicts: true });
}

export function readOpenRevisions(
  context: DocumentContext,
  id: string,
  wanted: 'all' | readonly string[],
  options: { readonly latest?: boolean; readonly path?: boolean },
): OpenRevision[] {
  const record = context.store.get(context.keys.ofText(keyKinds.head, id));
  if (record === undefined) {
    return wanted === 'all' ? [] : wanted.map((revision) => ({ kind: 'missing', revision }));
  }
  const head = decodeHead(id, record);
  if (wanted === 'all') {
    return treeLeaves(head.graph, context.digest).map((leaf) => open(context, head, leaf.revision, options));
  }
  if (options.latest !== true) return wanted.map((revision) => open(context, head, revision, options));
  // Several asked-for revisions may have become one leaf: it is answered once.
  const leaves = new Set<string>();
  for (const text of wanted) {
    const revision = parseRevision(text);
    const latest = revision === undefined ? [] : latestLeavesOf(head.graph, revision);
    for (const leaf of latest.length > 0 ? latest : [{ revision: text }]) leaves.add(leaf.revision);
  }
  return [...leaves].map((revision) => open(context, head, revision, options));
}

export function revisionsDifference(
  context: DocumentContext,
  wanted: ReadonlyMap<string, readonly string[]>,
  graveOf: (id: string) => RevisionGraph | undefined,
): Map<string, RevisionDifference> {
  const differences = new Map<string, RevisionDifference>();
  for (const [id, revisions] of wanted) {
    const record = context.store.get(context.keys.ofText(keyKinds.head, id));
    if (record === undefined) {
      const buried = missing(graveOf(id) ?? emptyGraph, revisions as readonly Revision[], context.digest);
      // Of what is dead no attachment is left that a stub could mean.
      if (buried.missing.length > 0) differences.set(id, { ...buried, possibleAncestors: [] });
      continue;
    }
    // Most often the winner is asked for, which needs no graph.
    if (revisions.length === 1 && decodeHeadSummary(record).winner === revisions[0]) continue;
    const known = decodeHead(id, record).graph;
    const difference = missing(known, revisions as readonly Revision[], context.digest);
    if (difference.missing.length > 0) differences.set(id, difference);
  }
  return differences;
}

function open(
  context: DocumentContext,
  head: Head,
  text: string,
  options: { readonly path?: boolean },
): OpenRevision {
  const revision = parseRevision(text);
  const body = revision === undefined ? undefined : bodyOf(context, head, revision);
  if (revision === undefined || body === undefined) return { kind: 'missing', revision: text };
  return {
    kind: 'found',
    document: describe(context, head, revision, body, { path: options.path === true }),
  };
}

function latestOf(head: Head, revision: Revision): Revision | undefined {
  return latestLeavesOf(head.graph, revision)[0]?.revision;
}

function bodyOf(context: DocumentContext, head: Head, revision: Revision): BodyRecord | undefined {
  if (revision === head.winner) return head;
  const node = nodeOf(head.graph, revision);
  if (node === undefined)
    return derivedParent(context, head.graph, revision) === undefined ? undefined : DERIVED;
  if (!node.stored) return undefined;
  const record = context.store.get(context.keys.body(head.id, revision));
  return record === undefined ? undefined : decodeBody(record);
}

/** The merged branch that a derived tombstone ends; undefined when the revision is none. */
function derivedParent(
  context: DocumentContext,
  graph: RevisionGraph,
  revision: Revision,
): Revision | undefined {
  if (graph.nodes.length === 1) return undefined;
  const leaf = treeLeaves(graph, context.digest).find((candidate) => candidate.revision === revision);
  return leaf?.derivedFrom;
}

function describe(
  context: DocumentContext,
  head: Head,
  revision: Revision,
  { attachments, body, stamp }: BodyRecord,
  options: ReadOptions,
): DocumentRevision {
  const { graph, id } = head;
  const node = nodeOf(graph, revision);
  const deleted = node?.deleted ?? true;
  const parents = node?.parents ?? [];
  const others =
    options.conflicts === true || options.deletedConflicts === true ? othersOf(context, head) : [];
  const conflicts = others.filter((leaf) => !leaf.deleted).map((leaf) => leaf.revision);
  const deletedConflicts = others.filter((leaf) => leaf.deleted).map((leaf) => leaf.revision);
  const path = treePath(context, graph, revision);
  const showsPath = options.path === true;
  return {
    id,
    revision,
    deleted,
    attachments,
    body,
    stamp,
    path: showsPath ? path : undefined,
    parents: showsPath && parents.length > 1 ? parents : undefined,
    revisionsInfo: options.revisionsInfo === true ? revisionsInfo(graph, path.start, path.ids) : undefined,
    conflicts: options.conflicts === true && conflicts.length > 0 ? conflicts : undefined,
    deletedConflicts:
      options.deletedConflicts === true && deletedConflicts.length > 0 ? deletedConflicts : undefined,
    localSequence: options.localSequence === true ? head.sequence : undefined,
  };
}

function treePath(context: DocumentContext, graph: RevisionGraph, revision: Revision) {
  const parent = nodeOf(graph, revision) !== undefined ? undefined : derivedParent(context, graph, revision);
  return parent === undefined ? pathOf(graph, revision) : pathOfDerived(graph, revision, parent);
}

function othersOf(context: DocumentContext, head: Head) {
  return treeLeaves(head.graph, context.digest).filter((leaf) => leaf.revision !== head.winner);
}

function revisionsInfo(graph: RevisionGraph, start: number, ids: readonly string[]): RevisionInfo[] {
  return ids.map((id, index) => {
    const revision = `${start - index}-${id}` as Revision;
    const node = nodeOf(graph, revision);
    if (node?.deleted === true) return { revision, status: 'deleted' };
    return { revision, status: node?.stored === true ? 'available' : 'missing' };
  });
}

function needsGraph(options: ReadOptions): boolean {
  return (
    options.revision !== undefined ||
    options.path === true ||
    options.revisionsInfo === true ||
    options.conflicts === true ||
    options.deletedConflicts === true ||
    options.localSequence === true
  );
}
