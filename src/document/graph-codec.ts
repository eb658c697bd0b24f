/**
 * A revision graph as bytes, in the order of its nodes, so that nothing needs sorting when it is read:
 *
 *     version 1   number of nodes   node node node …
 *     version 2   node                                  one node, by far the commonest document
 *
 *     node = flags   [fall in generation since the node before]   digest   parents
 *
 * A digest of 32 hex digits takes 16 bytes; any other is text with its length. A parent is told by how many nodes
 * later it comes, and usually it is the very next, which a flag says: an ancestor in a chain takes 17 bytes. A parent
 * that was stemmed is written out. Which nodes are leaves follows from the parents and is not written.
 */

import { ByteReader, ByteWriter, DamagedGraphError, RevisionTexts } from './graph-bytes.ts';
import { compareRevisions, generationMax, parseRevision, type Revision } from './revision.ts';
import { indexOfRevision, type RevisionGraph, type RevisionNode } from './revision-graph.ts';

const manyNodes = 1;
const oneNode = 2;

const flag = {
  deleted: 1,
  stored: 2,
  /** The digest is text, not 32 hex digits. */
  text: 4,
  /** The generation is one lower than the node's before. */
  nextGeneration: 8,
  parentIsNext: 16,
  parentList: 32,
  all: 63,
} as const;

export function encodeGraph(graph: RevisionGraph): Uint8Array {
  const { nodes } = graph;
  let bytesMax = 12;
  for (const node of nodes) {
    bytesMax += node.revision.length + 24;
    for (const parent of node.parents) bytesMax += parent.length + 24;
  }
  const writer = new ByteWriter(bytesMax);
  writer.byte(nodes.length === 1 ? oneNode : manyNodes);
  if (nodes.length !== 1) writer.number(nodes.length);
  const state: WriteState = { generation: 0, parent: undefined, parentIndex: -1 };
  for (let i = 0; i < nodes.length; i++) writeNode(writer, nodes, i, state);
  return writer.written();
}

/** What the node before leaves to the next: siblings share a parent, which is then not searched again. */
interface WriteState {
  generation: number;
  parent: Revision | undefined;
  parentIndex: number;
}

function writeNode(
  writer: ByteWriter,
  nodes: readonly RevisionNode[],
  index: number,
  state: WriteState,
): void {
  const node = nodes[index]!;
  const { revision, parents } = node;
  const generation = Number.parseInt(revision, 10);
  const parentIsNext = parents.length === 1 && nodes[index + 1]?.revision === parents[0];
  const isNextGeneration = generation === state.generation - 1;
  const flagsPlace = writer.place;
  writer.byte(
    (node.deleted ? flag.deleted : 0) |
      (node.stored ? flag.stored : 0) |
      (isNextGeneration ? flag.nextGeneration : 0) |
      (parentIsNext ? flag.parentIsNext : parents.length > 0 ? flag.parentList : 0),
  );
  if (index === 0) writer.number(generation);
  else if (!isNextGeneration) writer.number(state.generation - generation);
  state.generation = generation;
  const digestStart = revision.indexOf('-') + 1;
  if (!writer.tryHex(revision, digestStart)) {
    writer.addBits(flagsPlace, flag.text);
    writer.text(revision.slice(digestStart));
  }
  if (parentIsNext || parents.length === 0) return;
  writer.number(parents.length);
  for (const parent of parents) {
    if (parent !== state.parent) {
      state.parent = parent;
      state.parentIndex = indexOfRevision(nodes, parent, index + 1);
    }
    writer.number(state.parentIndex < 0 ? 0 : state.parentIndex - index);
    if (state.parentIndex < 0) writer.text(parent);
  }
}

/**
 * Reads a graph that takes all bytes from `offset` on.
 * @throws DamagedGraphError when the bytes are not a whole, well-formed graph
 */
export function decodeGraph(bytes: Uint8Array, offset = 0): RevisionGraph {
  const reader = new ByteReader(bytes, offset);
  const version = reader.byte();
  if (version !== manyNodes && version !== oneNode) throw new DamagedGraphError(`unknown version ${version}`);
  const count = version === oneNode ? 1 : reader.number();
  // A node takes three bytes at least, so a damaged count cannot ask for much memory.
  if (count > bytes.length / 3) throw new DamagedGraphError('more nodes than bytes');
  // Hex makes two characters of a byte; the generation has at most 16 digits, the dash one.
  const texts = new RevisionTexts((bytes.length - offset) * 2 + count * 17);
  const drafts: Draft[] = [];
  let generation = 0;
  for (let i = 0; i < count; i++) {
    const flags = reader.byte();
    if (flags > flag.all) throw new DamagedGraphError('unknown flag');
    if (i === 0) generation = reader.number();
    else generation -= flags & flag.nextGeneration ? 1 : reader.number();
    if (generation < 1 || generation > generationMax)
      throw new DamagedGraphError('a generation out of range');
    texts.begin(generation);
    if (flags & flag.text) texts.text(reader.take(reader.number()));
    else reader.hexInto(texts);
    drafts.push({ flags, generation, parents: readParents(reader, flags) });
  }
  if (!reader.atEnd()) throw new DamagedGraphError('bytes after the last node');
  const revisions = texts.strings() as Revision[];
  checkRevisions(revisions, drafts);
  return assembled(revisions, drafts);
}

/** A node whose parents, coming later, are not read yet. */
interface Draft {
  readonly flags: number;
  readonly generation: number;
  readonly parents: readonly ParentReference[];
}

/** How many nodes later a parent comes, or the parent itself when it was stemmed. */
type ParentReference = number | Revision;

const noParent: readonly ParentReference[] = [];
const nextNode: readonly ParentReference[] = [1];

function readParents(reader: ByteReader, flags: number): readonly ParentReference[] {
  if (flags & flag.parentIsNext) return nextNode;
  if (!(flags & flag.parentList)) return noParent;
  const references: ParentReference[] = [];
  for (let left = reader.number(); left > 0; left--) {
    const distance = reader.number();
    references.push(distance > 0 ? distance : reader.revision());
  }
  return references;
}

/** Digests of 16 bytes cannot be malformed; texts and the order can. */
function checkRevisions(revisions: readonly Revision[], drafts: readonly Draft[]): void {
  for (let i = 0; i < revisions.length; i++) {
    const revision = revisions[i]!;
    if (drafts[i]!.flags & flag.text && parseRevision(revision) === undefined) {
      throw new DamagedGraphError('a revision that is none');
    }
    if (i > 0 && compareRevisions(revisions[i - 1]!, revision) <= 0) {
      throw new DamagedGraphError('nodes out of order');
    }
  }
}

/** Finds each node's parents and, by the way, the leaves: the nodes that none before them names. */
function assembled(revisions: readonly Revision[], drafts: readonly Draft[]): RevisionGraph {
  const isNamed = new Uint8Array(drafts.length);
  const live: RevisionNode[] = [];
  const tombstones: RevisionNode[] = [];
  const nodes = drafts.map((draft, i): RevisionNode => {
    const parents: Revision[] = [];
    for (const reference of draft.parents) {
      if (typeof reference === 'number') {
        const isEarlier = (drafts[i + reference]?.generation ?? draft.generation) < draft.generation;
        if (!isEarlier) throw new DamagedGraphError('a parent that is no earlier revision');
        isNamed[i + reference] = 1;
      }
      parents.push(typeof reference === 'number' ? revisions[i + reference]! : reference);
    }
    const deleted = (draft.flags & flag.deleted) !== 0;
    const node = { revision: revisions[i]!, parents, deleted, stored: (draft.flags & flag.stored) !== 0 };
    if (isNamed[i] === 0) (deleted ? tombstones : live).push(node);
    return node;
  });
  return { nodes, leaves: tombstones.length === 0 ? live : live.concat(tombstones) };
}
