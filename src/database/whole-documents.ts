/**
 * All that a replica has of a document, for other replicas: its leaves with their ways back, bodies and attachments. Leaves
 * are those of the tree that CouchDB's clients see, so that a merge arrives as one also without its other parents.
 */

import type { AttachmentStub } from '../document/document.ts';
import { type Digest, digestOf, generationOf, type Revision, revisionOf } from '../document/revision.ts';
import { nodeOf, type RevisionGraph } from '../document/revision-graph.ts';
import { pathOf, pathOfDerived } from '../document/revision-path.ts';
import type { Stamp } from '../document/stamp.ts';
import { derivedTombstone, treeLeaves } from '../document/tree-projection.ts';
import { keyKinds } from '../store/keys.ts';
import { recordOf } from './edited-revision.ts';
import type { AttachmentEdit, DocumentRevision, ReplicatedRevision } from './model.ts';
import { type DocumentContext, readOpenRevisions } from './reads.ts';
import { decodeHead, decodeSoleLeaf, type Head } from './records.ts';
import type { Turn } from './turn.ts';

/**
 * A revision that needs nothing but the contents of its attachments, which it names by their digests. Whoever makes one names
 * all of its members: what is put together of parts costs several times as much, and so does every look at it.
 */
export interface WholeRevision extends Omit<ReplicatedRevision, 'parents' | 'stamp'> {
  readonly attachments: readonly Extract<AttachmentEdit, { kind: 'stored' }>[];
  /** All parents of a merge. */
  readonly parents?: readonly Revision[] | undefined;
  readonly stamp?: Stamp | undefined;
}

/**
 * In no particular order; none where there never was such a document. Derived tombstones may be left out: what they say
 * follows from the others.
 */
export function leafRevisions(context: DocumentContext, id: string): readonly Revision[] {
  const record = context.store.get(context.keys.ofText(keyKinds.head, id));
  if (record === undefined) return [];
  const sole = decodeSoleLeaf(record);
  if (sole !== undefined) return [sole];
  return decodeHead(id, record).graph.leaves.map((leaf) => leaf.revision);
}

/** Of the leaves that {@link wholeDocument} gives all. */
export function shownLeaves(context: DocumentContext, id: string): readonly Revision[] {
  const record = context.store.get(context.keys.ofText(keyKinds.head, id));
  if (record === undefined) return [];
  return treeLeaves(decodeHead(id, record).graph, context.digest).map(({ revision }) => revision);
}

/** All leaves, or what became of the revisions that are named. */
export function wholeDocument(
  context: DocumentContext,
  id: string,
  wanted: 'all' | readonly string[],
): readonly WholeRevision[] {
  return readOpenRevisions(context, id, wanted, { path: true, latest: true }).flatMap((leaf) =>
    leaf.kind === 'found' ? [wholeRevision(leaf.document)] : [],
  );
}

/**
 * What a turn has just made of a document, behind how the branches end that merges right before it took in: a replica that has not
 * heard of such a merge would show them, alive, beside what was made from it, or merge them with it where a rule settles
 * siblings. Empty when the body is not kept any more.
 */
export function wholeRevisionsInTurn(
  turn: Turn,
  id: string,
  revision: Revision,
  digest: Digest,
): readonly WholeRevision[] {
  const head = turn.head(id);
  const made = head && wholeRevisionInTurn(turn, head, revision);
  if (head === undefined || made === undefined) return [];
  const { graph } = head;
  if (graph.nodes.length === 1) return [made];
  // Nodes are in falling order, so most histories need no second look.
  const hasMerge = graph.nodes.slice(0, recentNodes).some(({ parents }) => parents.length > 1);
  return hasMerge ? [...endedBranches(graph, made, digest), made] : [made];
}

/** Nodes among which a merge is looked for, and revisions back from what was made. */
const recentNodes = 32;

/** Derived tombstones of the merges on the way to `made`, whose own parents travel with it, and of those on the way to these. */
function endedBranches(graph: RevisionGraph, made: WholeRevision, digest: Digest): WholeRevision[] {
  const treeParents = new Set(graph.nodes.map(({ parents }) => parents[0]));
  const ends = new Map<Revision, WholeRevision>();
  const ways = [made.path];
  for (const { start, ids } of ways) {
    const merged = ids.slice(1, recentNodes).flatMap((each, back) => {
      const parents = nodeOf(graph, revisionOf(start - 1 - back, each))?.parents.slice(1) ?? [];
      return parents.filter((parent) => !treeParents.has(parent) && !ends.has(parent));
    });
    for (const parent of merged) {
      const revision = derivedTombstone(parent, digest);
      const path = pathOfDerived(graph, revision, parent);
      ends.set(parent, {
        id: made.id,
        revision,
        deleted: true,
        body: emptyBody,
        attachments: [],
        path,
        parents: undefined,
        stamp: undefined,
      });
      if (ends.size < recentNodes) ways.push(path);
    }
  }
  return [...ends.values()];
}

const emptyBody = new TextEncoder().encode('{}');

function wholeRevisionInTurn(turn: Turn, head: Head, revision: Revision): WholeRevision | undefined {
  const node = nodeOf(head.graph, revision);
  const record = node && recordOf(turn, head, revision);
  if (node === undefined || record === undefined) return undefined;
  const { body, stamp } = record;
  const { deleted } = node;
  const attachments = record.attachments.map(stored);
  const parents = node.parents.length > 1 ? node.parents : undefined;
  const path = pathOf(head.graph, revision);
  return { id: head.id, revision, deleted, body, attachments, path, parents, stamp };
}

function wholeRevision(document: DocumentRevision): WholeRevision {
  const { body, deleted, id, parents, revision, stamp } = document;
  const attachments = document.attachments.map(stored);
  const path = document.path ?? { start: generationOf(revision), ids: [digestOf(revision)] };
  return { id, revision, deleted, body, attachments, path, parents, stamp };
}

function stored(stub: AttachmentStub): WholeRevision['attachments'][number] {
  const { name, contentType, blob, digest, length, revpos } = stub;
  return { kind: 'stored', name, contentType, revpos, blob: { blob, digest, length } };
}
