/** Settling siblings in the turn that makes them, by the rule of a leaderless database (document/resolve.ts). */

import { commonAncestor, type MergeBase, type ResolvableLeaf, resolve } from '../document/resolve.ts';
import { type Digest, generationMax, generationOf } from '../document/revision.ts';
import { addRevision, nodeOf } from '../document/revision-graph.ts';
import { assert } from '../errors.ts';
import { settle } from './placing.ts';
import type { Head } from './records.ts';
import type { Turn } from './turn.ts';

interface SettleSettings {
  readonly digest: Digest;
  readonly revisionsLimit: number;
}

/**
 * Runs work that joins what belongs together, and settles siblings only then: after the first of two revisions a branch that
 * the second one ends would be merged in, and what was taken out of the document would be in it again.
 */
export function settlingTogether<Result>(turn: Turn, settings: SettleSettings, work: () => Result): Result {
  const { leaderless } = turn;
  if (leaderless === undefined) return work();
  const { result, unsettled } = leaderless.withSiblingsLeft(work);
  for (const id of unsettled) settleSiblings(turn, id, settings);
  return result;
}

/** Adds the merge that the rule makes of a document's leaves, if it makes one; readers see it as any other change. */
export function settleSiblings(turn: Turn, id: string, settings: SettleSettings): void {
  const rule = turn.leaderless?.resolver;
  if (rule === undefined || rule === 'siblings') return;
  if (turn.leaderless?.leavesSiblings(id) === true) return;
  const head = turn.head(id);
  if (head === undefined || head.graph.leaves.length < 2) return;
  // A revision of the last generation can have no child; it takes a hostile replicator to make one.
  if (head.graph.leaves.some(({ revision }) => generationOf(revision) >= generationMax)) return;
  const leaves = head.graph.leaves.map(({ deleted, revision }): ResolvableLeaf => {
    const record = revision === head.winner ? head : turn.body(id, revision);
    assert(record !== undefined, 'every leaf has a body');
    const { attachments, body, stamp } = record;
    return { revision, deleted, attachments, body, stamp };
  });
  const base: MergeBase = rule === 'merge' ? baseOf(turn, head) : { kind: 'none' };
  const resolution = resolve(rule, { leaves, base }, settings.digest);
  if (resolution.kind !== 'merged') return;
  const { attachments, body, deleted, parents, revision, stamp } = resolution.revision;
  if (!attachments.every((stub) => turn.willNameBlob(stub.blob))) return;
  const { graph } = addRevision(head.graph, { revision, parents, deleted, stored: true });
  const record = { attachments, body, ...(stamp && { stamp }) };
  settle(turn, id, head, graph, { revision, record }, settings);
}

function baseOf(turn: Turn, { graph, id }: Head): MergeBase {
  const live = graph.leaves.filter((leaf) => !leaf.deleted).map((leaf) => leaf.revision);
  const ancestor = live.length < 2 ? 'none' : commonAncestor(graph, live);
  if (ancestor === 'none') return { kind: 'none' };
  // An ancestor of a leaf does not win, so its body is not the one in the head.
  const isStored = ancestor !== 'stemmed' && nodeOf(graph, ancestor)?.stored === true;
  const record = isStored ? turn.body(id, ancestor) : undefined;
  if (record === undefined) return { kind: 'lost' };
  return { kind: 'known', body: record.body, attachments: record.attachments };
}
