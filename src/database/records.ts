/**
 * Records of a database as bytes.
 *
 * Head (`h`): what a document is now. The fixed part comes first so that lists can skip tombstones and read the
 * winner's id without decoding the graph.
 *   u8 format · u8 flags (1 winner deleted, 2 stamped, 4 no other leaf) · u48 sequence · u8 winner length ·
 *   u32 graph length · u32 attachments length · winner · stamp, if any · graph · attachments (JSON) · winner's body
 * Body (`b`): u32 attachments length, its highest bit set when stamped · stamp, if any · attachments (JSON) · body
 * Stamp: u48 milliseconds · u16 counter · u8 length of the node's name · name
 * Change (`q`): u8 flags (1 winner deleted, 2 leaves left out) · u16 leaf count · leaves (u8 length, text) · id
 */

import type { AttachmentStub } from '../document/document.ts';
import { decodeGraph, encodeGraph } from '../document/graph-codec.ts';
import type { Revision } from '../document/revision.ts';
import type { RevisionGraph } from '../document/revision-graph.ts';
import type { Stamp } from '../document/stamp.ts';
import { readU48, writeU48 } from '../store/keys.ts';

const FORMAT = 1;
const HEAD_FIXED_BYTES = 17;
const DELETED = 1;
const STAMPED = 2;
const SOLE_LEAF = 4;
const BODY_STAMPED = 0x8000_0000;
const STAMP_FIXED_BYTES = 9;
const LEAVES_LEFT_OUT = 2;
/** A change of a document with more leaves does not repeat them; the reader takes them from the head. */
const CHANGE_LEAVES_MAX = 64;

/** A document's current state, decoded except for its body. */
export interface Head extends BodyRecord {
  readonly id: string;
  /** 0 for a head that is not stored yet. */
  readonly sequence: number;
  readonly graph: RevisionGraph;
  readonly winner: Revision;
  readonly deleted: boolean;
}

/** The parts of a head that lists need; cheap to read. */
export interface HeadSummary {
  readonly winner: Revision;
  readonly deleted: boolean;
  readonly sequence: number;
}

/** What is kept of one revision beside its place in the graph. */
export interface BodyRecord {
  readonly attachments: readonly AttachmentStub[];
  readonly body: Uint8Array;
  /** Of revisions made in leaderless databases. */
  readonly stamp?: Stamp | undefined;
}

export interface ChangeRecord {
  readonly id: string;
  readonly deleted: boolean;
  /** The winner first; undefined when there are more than {@link CHANGE_LEAVES_MAX}. */
  readonly leaves: readonly Revision[] | undefined;
  readonly winner: Revision;
}

const NO_ATTACHMENTS: readonly AttachmentStub[] = [];

export function encodeHead(head: Head): Uint8Array {
  const graph = encodeGraph(head.graph);
  const attachments = encodeAttachments(head.attachments);
  const stampBytes = stampLengthOf(head.stamp);
  const winnerLength = head.winner.length;
  const bytes = Buffer.allocUnsafe(
    HEAD_FIXED_BYTES + winnerLength + stampBytes + graph.length + attachments.length + head.body.length,
  );
  bytes[0] = FORMAT;
  bytes[1] =
    (head.deleted ? DELETED : 0) |
    (stampBytes > 0 ? STAMPED : 0) |
    (head.graph.leaves.length === 1 ? SOLE_LEAF : 0);
  writeU48(bytes, 2, head.sequence);
  bytes[8] = winnerLength;
  bytes.writeUInt32BE(graph.length, 9);
  bytes.writeUInt32BE(attachments.length, 13);
  bytes.write(head.winner, HEAD_FIXED_BYTES, 'latin1');
  let at = writeStamp(bytes, HEAD_FIXED_BYTES + winnerLength, head.stamp);
  for (const part of [graph, attachments, head.body]) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export function decodeHead(id: string, record: Uint8Array): Head {
  const bytes = asBuffer(record);
  const { stamp, graphStart } = headStamp(bytes);
  const attachmentsStart = graphStart + bytes.readUInt32BE(9);
  const bodyStart = attachmentsStart + bytes.readUInt32BE(13);
  const { deleted, sequence, winner } = decodeHeadSummary(bytes);
  const graph = decodeGraph(bytes.subarray(graphStart, attachmentsStart));
  const attachments = decodeAttachments(bytes.subarray(attachmentsStart, bodyStart));
  return { id, sequence, graph, winner, deleted, attachments, body: bytes.subarray(bodyStart), stamp };
}

export function decodeHeadSummary(record: Uint8Array): HeadSummary {
  const bytes = asBuffer(record);
  if (bytes[0] !== FORMAT) throw new Error(`a document's head has the unknown format ${bytes[0]}`);
  return {
    winner: bytes.toString('latin1', HEAD_FIXED_BYTES, HEAD_FIXED_BYTES + bytes[8]!) as Revision,
    deleted: (bytes[1]! & DELETED) !== 0,
    sequence: readU48(bytes, 2),
  };
}

/** The only leaf of a document; undefined when it has several, or was written before this was noted. */
export function decodeSoleLeaf(record: Uint8Array): Revision | undefined {
  return (record[1]! & SOLE_LEAF) === 0 ? undefined : decodeHeadSummary(record).winner;
}

/** The winner's attachments and body, without decoding the graph: the hot path of reads. */
export function decodeHeadBody(record: Uint8Array): BodyRecord {
  const bytes = asBuffer(record);
  const { stamp, graphStart } = headStamp(bytes);
  const attachmentsStart = graphStart + bytes.readUInt32BE(9);
  const bodyStart = attachmentsStart + bytes.readUInt32BE(13);
  const attachments = decodeAttachments(bytes.subarray(attachmentsStart, bodyStart));
  return { attachments, body: bytes.subarray(bodyStart), stamp };
}

export function encodeBody(record: BodyRecord): Uint8Array {
  const attachments = encodeAttachments(record.attachments);
  const stampBytes = stampLengthOf(record.stamp);
  const bytes = Buffer.allocUnsafe(4 + stampBytes + attachments.length + record.body.length);
  bytes.writeUInt32BE(attachments.length + (stampBytes > 0 ? BODY_STAMPED : 0), 0);
  const at = writeStamp(bytes, 4, record.stamp);
  bytes.set(attachments, at);
  bytes.set(record.body, at + attachments.length);
  return bytes;
}

export function decodeBody(record: Uint8Array): BodyRecord {
  const bytes = asBuffer(record);
  const lengths = bytes.readUInt32BE(0);
  const isStamped = lengths >= BODY_STAMPED;
  const stamp = isStamped ? decodeStamp(bytes, 4) : undefined;
  const start = isStamped ? 4 + stampLength(bytes, 4) : 4;
  const bodyStart = start + (isStamped ? lengths - BODY_STAMPED : lengths);
  const attachments = decodeAttachments(bytes.subarray(start, bodyStart));
  return { attachments, body: bytes.subarray(bodyStart), stamp };
}

/** `leaves` come best first, so the first is the winner. */
export function encodeChange(id: string, deleted: boolean, leaves: readonly Revision[]): Uint8Array {
  const leftOut = leaves.length > CHANGE_LEAVES_MAX;
  const kept = leftOut ? leaves.slice(0, 1) : leaves;
  let bytesOfLeaves = 0;
  for (const leaf of kept) bytesOfLeaves += 1 + leaf.length;
  const idBytes = Buffer.byteLength(id);
  const bytes = Buffer.allocUnsafe(3 + bytesOfLeaves + idBytes);
  bytes[0] = (deleted ? DELETED : 0) | (leftOut ? LEAVES_LEFT_OUT : 0);
  bytes.writeUInt16BE(kept.length, 1);
  let at = 3;
  for (const leaf of kept) {
    bytes[at] = leaf.length;
    bytes.write(leaf, at + 1, 'latin1');
    at += 1 + leaf.length;
  }
  bytes.write(id, at, 'utf8');
  return bytes;
}

export function decodeChange(record: Uint8Array): ChangeRecord {
  const bytes = asBuffer(record);
  const leaves: Revision[] = [];
  let at = 3;
  for (let left = bytes.readUInt16BE(1); left > 0; left--) {
    const end = at + 1 + bytes[at]!;
    leaves.push(bytes.toString('latin1', at + 1, end) as Revision);
    at = end;
  }
  const flags = bytes[0]!;
  return {
    id: bytes.toString('utf8', at),
    deleted: (flags & DELETED) !== 0,
    leaves: (flags & LEAVES_LEFT_OUT) === 0 ? leaves : undefined,
    winner: leaves[0]!,
  };
}

const EMPTY = new Uint8Array(0);

/** A head's stamp, and where its graph begins. */
function headStamp(bytes: Buffer): { readonly stamp: Stamp | undefined; readonly graphStart: number } {
  const at = HEAD_FIXED_BYTES + bytes[8]!;
  if ((bytes[1]! & STAMPED) === 0) return { stamp: undefined, graphStart: at };
  return { stamp: decodeStamp(bytes, at), graphStart: at + stampLength(bytes, at) };
}

function stampLengthOf(stamp: Stamp | undefined): number {
  return stamp === undefined ? 0 : STAMP_FIXED_BYTES + stamp.node.length;
}

/** Gives where the next byte goes. */
function writeStamp(bytes: Uint8Array, start: number, stamp: Stamp | undefined): number {
  if (stamp === undefined) return start;
  const { counter, ms, node } = stamp;
  writeU48(bytes, start, ms);
  bytes[start + 6] = counter >>> 8;
  bytes[start + 7] = counter;
  bytes[start + 8] = node.length;
  const at = start + STAMP_FIXED_BYTES;
  // Names are short ASCII: faster than a call for latin1.
  for (let index = 0; index < node.length; index++) bytes[at + index] = node.charCodeAt(index);
  return at + node.length;
}

function decodeStamp(bytes: Buffer, at: number): Stamp {
  const nameStart = at + STAMP_FIXED_BYTES;
  return {
    ms: readU48(bytes, at),
    counter: bytes.readUInt16BE(at + 6),
    node: bytes.toString('latin1', nameStart, nameStart + bytes[at + 8]!),
  };
}

function stampLength(bytes: Buffer, at: number): number {
  return STAMP_FIXED_BYTES + bytes[at + 8]!;
}

function encodeAttachments(attachments: readonly AttachmentStub[]): Uint8Array {
  return attachments.length === 0 ? EMPTY : Buffer.from(JSON.stringify(attachments));
}

function decodeAttachments(bytes: Buffer): readonly AttachmentStub[] {
  return bytes.length === 0 ? NO_ATTACHMENTS : (JSON.parse(bytes.toString('utf8')) as AttachmentStub[]);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
