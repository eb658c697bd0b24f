/**
 * What members of a group say to each other, as bytes.
 *
 *   u8 kind │ 8 disk of the sender │ 8 disk of the receiver │ u48 term │ u48 lineage │ what the kind has
 *
 *   append_request   u48 previous index │ u48 previous term │ u48 commit │ u32 count │ entries: u48 term │ u8 kind │
 *                    u32 length │ payload; an entry's index follows from its place
 *
 * Names are not sent: the transport knows whom it hears. A message to a disk that is no more must not reach the one that
 * took its place, hence both disks. Numbers are big endian; indexes and terms stay below 2^48, as on the disk.
 */

import type { NodeId } from '../replication/strategy.ts';
import { ByteReader, ByteWriter } from '../runtime/message-bytes.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import type { Entry, EntryBody, LogPosition, Membership, StatePoint } from '../single-leader/entry.ts';
import { asIndex, asTerm } from '../single-leader/entry.ts';
import type { CandidacyReason, RaftMessage } from '../single-leader/messages.ts';
import { diskDigits, diskOf, isNodeId, isPeerUrl } from './group-node-id.ts';

export interface GroupLetter {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: RaftMessage;
}

/** The place of a kind is its code: new ones go to the end. */
const kinds: readonly RaftMessage['kind'][] = [
  ...(['pre_vote_request', 'pre_vote_response', 'vote_request', 'vote_response', 'append_request'] as const),
  ...(['append_accepted', 'append_rejected', 'heartbeat_request', 'heartbeat_response'] as const),
  ...(['state_offer', 'read_index_request', 'read_index_response', 'timeout_now', 'fenced'] as const),
];
const reasons: readonly CandidacyReason[] = ['timeout', 'transfer', 'appointment'];
const proofs = ['quorum', 'lease'] as const;
const bodyKinds: readonly EntryBody['kind'][] = ['data', 'epoch', 'membership', 'withheld'];
const memberKinds: readonly unknown[] = ['voter', 'witness', 'learner'];

const stampBytes = 1 + 2 * diskDigits + 2 * 6;
/** Of an append without its entries, the longest of the others. */
const fieldsBytesMax = 32;
const entryHeaderBytes = 11;

export function encodeLetter({ from, to, message }: GroupLetter): Uint8Array {
  const payloads = payloadsOf(message);
  const payloadBytes = payloads.reduce((sum, { length }) => sum + entryHeaderBytes + length, 0);
  const writer = new ByteWriter(stampBytes + fieldsBytesMax + payloadBytes);
  writer.u8(kinds.indexOf(message.kind)).text(diskOf(from)).text(diskOf(to));
  writer.u48(message.term).u48(message.lineage);
  writeFields(writer, message, payloads);
  return writer.written();
}

/**
 * @param fromName the node that the transport heard it from
 * @param toName this node's name
 * @throws GarbageError
 */
export function decodeLetter(
  bytes: Uint8Array,
  { fromName, toName }: { readonly fromName: string; readonly toName: string },
): GroupLetter {
  const reader = new ByteReader(bytes);
  const kind = pick(kinds, reader.u8());
  const from = idOf(fromName, reader.text(diskDigits));
  const to = idOf(toName, reader.text(diskDigits));
  const stamp = { term: asTerm(reader.u48()), lineage: asTerm(reader.u48()) };
  const message = { kind, ...stamp, ...readFields(reader, kind, stamp.term) } as RaftMessage;
  reader.end();
  return { from, to, message };
}

function idOf(name: string, disk: string): NodeId {
  const id = `${name}#${disk}`;
  if (!isNodeId(id)) throw new GarbageError('a message from or to no disk');
  return id;
}

function pick<Value>(values: readonly Value[], code: number): Value {
  const value = values[code];
  if (value === undefined) throw new GarbageError(`a code ${code} that means nothing`);
  return value;
}

function payloadsOf(message: RaftMessage): Uint8Array[] {
  if (message.kind === 'append_request') return message.entries.map(({ body }) => payloadOf(body));
  return message.kind === 'state_offer' ? [encodeJson(message.point)] : [];
}

function payloadOf(body: EntryBody): Uint8Array {
  switch (body.kind) {
    case 'data':
      return body.data;
    case 'epoch':
      return Buffer.from(body.leader);
    case 'membership':
      return encodeJson(body.membership);
    case 'withheld':
      return new Uint8Array(0);
  }
}

function writeFields(writer: ByteWriter, message: RaftMessage, payloads: readonly Uint8Array[]): ByteWriter {
  switch (message.kind) {
    case 'pre_vote_request':
    case 'vote_request':
      return writePosition(writer, message.last).u8(reasons.indexOf(message.reason));
    case 'pre_vote_response':
      return writer.u48(message.standingFor).u8(message.granted ? 1 : 0);
    case 'vote_response':
      return writer.u8(message.granted ? 1 : 0);
    case 'append_request':
      return writeAppend(writer, message, payloads);
    case 'append_accepted':
      return writer.u48(message.match);
    case 'append_rejected':
      return writePosition(writer.u48(message.previousIndex), message.hint);
    case 'heartbeat_request':
      return writer.u48(message.commit).u48(message.round);
    case 'heartbeat_response':
      return writer.u48(message.round);
    case 'state_offer':
      return writer.bytes(payloads[0] as Uint8Array);
    case 'read_index_request':
      return writer.u48(message.request);
    case 'read_index_response':
      return writer.u48(message.request).u48(message.index).u8(proofs.indexOf(message.by));
    case 'timeout_now':
    case 'fenced':
      return writer;
  }
}

type AppendRequest = Extract<RaftMessage, { kind: 'append_request' }>;

function writeAppend(
  writer: ByteWriter,
  { previous, commit, entries }: AppendRequest,
  payloads: readonly Uint8Array[],
): ByteWriter {
  writePosition(writer, previous).u48(commit).u32(entries.length);
  entries.forEach(({ term, body }, at) => {
    const payload = payloads[at] as Uint8Array;
    writer.u48(term).u8(bodyKinds.indexOf(body.kind)).u32(payload.length).bytes(payload);
  });
  return writer;
}

function writePosition(writer: ByteWriter, { index, term }: LogPosition): ByteWriter {
  return writer.u48(index).u48(term);
}

function readFields(reader: ByteReader, kind: RaftMessage['kind'], term: number): object {
  switch (kind) {
    case 'pre_vote_request':
    case 'vote_request':
      return { last: readPosition(reader), reason: pick(reasons, reader.u8()) };
    case 'pre_vote_response':
      return { standingFor: reader.u48(), granted: pick([false, true], reader.u8()) };
    case 'vote_response':
      return { granted: pick([false, true], reader.u8()) };
    case 'append_request':
      return readAppend(reader, term);
    case 'append_accepted':
      return { match: reader.u48() };
    case 'append_rejected':
      return { previousIndex: reader.u48(), hint: readPosition(reader) };
    case 'heartbeat_request':
      return { commit: reader.u48(), round: reader.u48() };
    case 'heartbeat_response':
      return { round: reader.u48() };
    case 'state_offer':
      return { point: pointIn(decodeJson(reader.rest())) };
    case 'read_index_request':
      return { request: reader.u48() };
    case 'read_index_response':
      return { request: reader.u48(), index: reader.u48(), by: pick(proofs, reader.u8()) };
    case 'timeout_now':
    case 'fenced':
      return {};
  }
}

function readAppend(reader: ByteReader, term: number): object {
  const previous = readPosition(reader);
  const commit = reader.u48();
  const count = reader.u32();
  const entries: Entry[] = [];
  let before: number = previous.term;
  for (let at = 1; at <= count; at += 1) {
    const entry = readEntry(reader, previous.index + at);
    if (entry.term < before || entry.term > term) throw new GarbageError('entries whose terms do not rise');
    before = entry.term;
    entries.push(entry);
  }
  return { previous, entries, commit };
}

function readEntry(reader: ByteReader, index: number): Entry {
  const term = asTerm(reader.u48());
  const kind = pick(bodyKinds, reader.u8());
  const payload = reader.bytes(reader.u32());
  return { index: asIndex(index), term, body: bodyOf(kind, payload) };
}

function bodyOf(kind: EntryBody['kind'], payload: Uint8Array): EntryBody {
  switch (kind) {
    case 'data':
      return { kind, data: payload };
    case 'epoch': {
      const leader = Buffer.from(payload).toString();
      if (!isNodeId(leader)) throw new GarbageError('an epoch of no node');
      return { kind, leader };
    }
    case 'membership':
      return { kind, membership: membershipIn(decodeJson(payload)) };
    case 'withheld':
      return { kind };
  }
}

function readPosition(reader: ByteReader): LogPosition {
  return { index: asIndex(reader.u48()), term: asTerm(reader.u48()) };
}

function encodeJson(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function decodeJson(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  const text = Buffer.from(bytes).toString();
  try {
    return objectIn(JSON.parse(text));
  } catch (error) {
    throw new GarbageError('what should be JSON is none', { cause: error });
  }
}

function objectIn(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new GarbageError('what should be an object is none');
  return value as Readonly<Record<string, unknown>>;
}

function numberIn(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw new GarbageError('what should be a number is none');
  return value as number;
}

function listIn(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new GarbageError('what should be a list is none');
  return value;
}

function memberIdIn(value: unknown): NodeId {
  if (!isNodeId(value)) throw new GarbageError('what should be a member is none');
  return value;
}

function membershipIn(value: unknown): Membership {
  const { members, lineage } = objectIn(value);
  return {
    members: listIn(members).map((member) => {
      const { id, kind, url } = objectIn(member);
      if (!memberKinds.includes(kind)) throw new GarbageError('a member of no kind');
      if (url !== undefined && !isPeerUrl(url)) throw new GarbageError('a member at no address');
      return { id: memberIdIn(id), kind, ...(url !== undefined && { url }) } as Membership['members'][number];
    }),
    lineage: asTerm(numberIn(lineage)),
  };
}

function pointIn(value: unknown): StatePoint {
  const { index, term, membership, epochs } = objectIn(value);
  return {
    index: asIndex(numberIn(index)),
    term: asTerm(numberIn(term)),
    membership: membership === undefined ? undefined : membershipIn(membership),
    epochs: listIn(epochs).map((epoch) => {
      const { term: epochTerm, leader, firstIndex } = objectIn(epoch);
      return {
        term: asTerm(numberIn(epochTerm)),
        leader: memberIdIn(leader),
        firstIndex: asIndex(numberIn(firstIndex)),
      };
    }),
  };
}
