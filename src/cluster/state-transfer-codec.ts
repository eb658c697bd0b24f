/**
 * What a node that fetches a state and the one that has it say to each other.
 *
 *     open ────────► which databases there are, and which come whole       session
 *     next 0, 1, … ► records: database, key, value                         until the last piece
 *     contents ────► chunks of attachments that the asker lacks
 *
 * Requests are rare and small, so they are JSON. A piece is
 *
 *   u8 is it the last? │ u32 count │ records: u48 database │ u32 length │ key │ u32 length │ value
 *
 * A key is told without what says whose it is (see `suffixOf`): databases have other numbers elsewhere.
 */

import type { ReplicationChoice } from '../database/model.ts';
import { ByteReader, ByteWriter } from '../runtime/message-bytes.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import type { StatePoint } from '../single-leader/entry.ts';
import type { DatabaseRef } from './commands.ts';
import { isObject, objectIn } from './peer-json.ts';

/** How far a database of the asker's goes. */
export interface DatabasePosition {
  readonly reference: DatabaseRef;
  readonly sequence: number;
  readonly purgeSequence: number;
}

export type StateRequest =
  /** Databases that are not in `have` come whole. */
  | { readonly op: 'open'; readonly atLeast: number; readonly have: readonly DatabasePosition[] }
  | { readonly op: 'next'; readonly session: number; readonly piece: number }
  /** Keys in hex. */
  | { readonly op: 'contents'; readonly reference: DatabaseRef; readonly keys: readonly string[] };

export interface OfferedDatabase {
  readonly reference: DatabaseRef;
  readonly name: string;
  readonly identity: string;
  readonly choice: ReplicationChoice;
  /**
   * `changes`: documents that changed, all their records; every local document, bucket and purge; of chunks of
   * attachments the keys only. `whole`: every record there is. `settings`: nothing but these, because the content of a
   * database that is not single-leader travels another way.
   */
  readonly scope: 'changes' | 'whole' | 'settings';
}

export interface OpenedState {
  readonly session: number;
  readonly point: StatePoint;
  /** All there are. */
  readonly databases: readonly OfferedDatabase[];
}

export interface StateRecord {
  readonly reference: DatabaseRef;
  readonly suffix: Uint8Array;
  readonly value: Uint8Array;
}

export interface Piece {
  readonly isLast: boolean;
  readonly records: readonly StateRecord[];
}

const pieceHeaderBytes = 5;
const recordHeaderBytes = 14;

export function recordBytes({ suffix, value }: StateRecord): number {
  return recordHeaderBytes + suffix.length + value.length;
}

export function encodePiece({ isLast, records }: Piece): Uint8Array {
  const bytes = records.reduce((sum, record) => sum + recordBytes(record), pieceHeaderBytes);
  const writer = new ByteWriter(bytes).u8(isLast ? 1 : 0).u32(records.length);
  for (const { reference, suffix, value } of records) {
    writer.u48(reference).u32(suffix.length).bytes(suffix).u32(value.length).bytes(value);
  }
  return writer.written();
}

/** What is read are views of `bytes`. @throws GarbageError */
export function decodePiece(bytes: Uint8Array): Piece {
  const reader = new ByteReader(bytes);
  const isLast = reader.u8() === 1;
  const records: StateRecord[] = [];
  for (let left = reader.u32(); left > 0; left -= 1) {
    const reference = reader.u48();
    const suffix = reader.bytes(reader.u32());
    const value = reader.bytes(reader.u32());
    records.push({ reference, suffix, value });
  }
  reader.end();
  return { isLast, records };
}

export function encodeJson(value: StateRequest | OpenedState): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** @throws PeerRefusal */
export function decodeOpened(bytes: Uint8Array): OpenedState {
  const value = objectIn(bytes);
  const isOpened =
    typeof value.session === 'number' && Array.isArray(value.databases) && isObject(value.point);
  if (!isOpened) throw new PeerRefusal('not a state');
  return value as unknown as OpenedState;
}

/** @throws PeerRefusal */
export function decodeRequest(bytes: Uint8Array): StateRequest {
  const { op, atLeast, have, session, piece, reference, keys } = objectIn(bytes);
  if (op === 'open' && isNumber(atLeast) && Array.isArray(have) && have.every(isPosition))
    return { op, atLeast, have };
  if (op === 'next' && isNumber(session) && isNumber(piece)) return { op, session, piece };
  const areKeys = Array.isArray(keys) && keys.every((key) => typeof key === 'string');
  if (op === 'contents' && isNumber(reference) && areKeys) return { op, reference, keys };
  throw new PeerRefusal('not a request for a state');
}

function isPosition(value: unknown): value is DatabasePosition {
  const { reference, sequence, purgeSequence } = isObject(value) ? value : {};
  return isNumber(reference) && isNumber(sequence) && isNumber(purgeSequence);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}
