/**
 * What two replicas say while they compare their hash trees (leaderless/anti-entropy.ts), as bytes.
 *
 *   question   utf8 identity │ u8 0: 16 bytes of root
 *                            │ u8 1: u8 level, u32 count, u32 index each
 *                            │ u8 2: u32 count, u32 bucket each │ u32 count, 8 bytes of mark each
 *   answer     u8 0: equal │ u8 1: 8 bytes of sum each │ u8 2: u32 count, 8 bytes of mark each │ entries
 *   entry      u8 0: utf8 id │ u16 leaves, utf8 each
 *              u8 1: 16 bytes of digest of the id │ u32 graph, as document/graph-codec.ts writes it
 */

import { encodeGraph } from '../document/graph-codec.ts';
import type { Revision } from '../document/revision.ts';
import type { Answer, Question } from '../leaderless/anti-entropy.ts';
import type { BucketEntry } from '../leaderless/bucket-entries.ts';
import { ByteReader, ByteWriter } from '../runtime/message-bytes.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import { graveFromBytes } from './questions.ts';

const rootPart = 0;
const childrenPart = 1;
const bucketsPart = 2;
const equalPart = 0;
const sumsPart = 1;
const rootBytes = 16;
const markBytes = 8;
/** Of a revision in a graph: its digest is text of 64 characters at most. */
const nodeBytesMax = 96;

export function encodeComparison(identity: string, question: Question): Uint8Array {
  const writer = new ByteWriter(32 + 3 * identity.length + numbersIn(question));
  writer.utf8(identity);
  switch (question.kind) {
    case 'root':
      return writer.u8(rootPart).hex(question.root).written();
    case 'children':
      writer.u8(childrenPart).u8(question.level);
      writeIndexes(writer, question.indexes);
      return writer.written();
    case 'buckets':
      writer.u8(bucketsPart);
      writeIndexes(writer, question.buckets);
      writeMarks(writer, question.marks);
      return writer.written();
  }
}

/** @throws GarbageError */
export function decodeComparison(bytes: Uint8Array): {
  readonly identity: string;
  readonly question: Question;
} {
  const reader = new ByteReader(bytes);
  const identity = reader.utf8();
  const part = reader.u8();
  if (part === rootPart) return { identity, question: { kind: 'root', root: reader.hex(rootBytes) } };
  if (part === childrenPart) {
    return { identity, question: { kind: 'children', level: reader.u8(), indexes: readIndexes(reader) } };
  }
  if (part !== bucketsPart) throw new GarbageError(`a comparison of kind ${part}`);
  return { identity, question: { kind: 'buckets', buckets: readIndexes(reader), marks: readMarks(reader) } };
}

export function encodeComparisonAnswer(answer: Answer): Uint8Array {
  switch (answer.kind) {
    case 'equal':
      return Uint8Array.of(equalPart);
    case 'sums': {
      const writer = new ByteWriter(1 + markBytes * answer.sums.length).u8(sumsPart);
      for (const sum of answer.sums) writer.hex(sum);
      return writer.written();
    }
    case 'buckets': {
      const { entries, lacking } = answer;
      const bytesMax = entries.reduce((sum, entry) => sum + bytesOf(entry), 5 + markBytes * lacking.length);
      const writer = new ByteWriter(bytesMax).u8(bucketsPart);
      writeMarks(writer, lacking);
      for (const entry of entries) writeEntry(writer, entry);
      return writer.written();
    }
  }
}

/** @throws GarbageError */
export function decodeComparisonAnswer(bytes: Uint8Array): Answer {
  const reader = new ByteReader(bytes);
  const part = reader.u8();
  if (part === equalPart) return { kind: 'equal' };
  if (part === sumsPart) {
    const sums: string[] = [];
    while (!reader.isAtEnd) sums.push(reader.hex(markBytes));
    return { kind: 'sums', sums };
  }
  if (part !== bucketsPart) throw new GarbageError(`an answer to a comparison of kind ${part}`);
  const lacking = readMarks(reader);
  const entries: BucketEntry[] = [];
  while (!reader.isAtEnd) entries.push(readEntry(reader));
  return { kind: 'buckets', entries, lacking };
}

function numbersIn(question: Question): number {
  if (question.kind === 'root') return rootBytes;
  if (question.kind === 'children') return 4 * question.indexes.length;
  return 4 * question.buckets.length + markBytes * question.marks.length;
}

function writeIndexes(writer: ByteWriter, indexes: readonly number[]): void {
  writer.u32(indexes.length);
  for (const index of indexes) writer.u32(index);
}

function readIndexes(reader: ByteReader): readonly number[] {
  const indexes: number[] = [];
  for (let left = reader.u32(); left > 0; left--) indexes.push(reader.u32());
  return indexes;
}

function writeMarks(writer: ByteWriter, marks: readonly string[]): void {
  writer.u32(marks.length);
  for (const mark of marks) writer.hex(mark);
}

function readMarks(reader: ByteReader): readonly string[] {
  const marks: string[] = [];
  for (let left = reader.u32(); left > 0; left--) marks.push(reader.hex(markBytes));
  return marks;
}

function bytesOf(entry: BucketEntry): number {
  if (entry.kind === 'grave') {
    return entry.graph.nodes.reduce((sum, node) => sum + nodeBytesMax * (1 + node.parents.length), 32);
  }
  return entry.leaves.reduce((sum, leaf) => sum + 2 + 3 * leaf.length, 5 + 3 * entry.id.length);
}

function writeEntry(writer: ByteWriter, entry: BucketEntry): void {
  if (entry.kind === 'grave') {
    const graph = encodeGraph(entry.graph);
    writer.u8(1).hex(entry.idDigest).u32(graph.length).bytes(graph);
    return;
  }
  writer.u8(0).utf8(entry.id).u16(entry.leaves.length);
  for (const leaf of entry.leaves) writer.utf8(leaf);
}

function readEntry(reader: ByteReader): BucketEntry {
  if (reader.u8() === 1) {
    const idDigest = reader.hex(rootBytes);
    return { kind: 'grave', ...graveFromBytes(idDigest, reader.bytes(reader.u32())) };
  }
  const id = reader.utf8();
  const leaves = reader.utf8s(reader.u16()) as Revision[];
  return { kind: 'document', id, leaves };
}
