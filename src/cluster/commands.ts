/**
 * What a group's log says: the changes that every replica applies in the same order.
 *
 * The leader has checked them, so applying decides nothing: a document write carries the revision it makes. Applying one
 * twice changes nothing, because a crash may repeat the last ones.
 *
 * Bytes: u8 format · u32 header length · header (JSON, tells the lengths of what follows) · bodies, one after the other.
 * Ordinary document writes have a format of their own (write-codec.ts).
 */

import type { AckSettings, ReplicaOwner, ReplicationChoice } from '../database/model.ts';
import type { DatabaseSettings } from '../database/settings.ts';
import type { AttachmentStub, RevisionPath } from '../document/document.ts';
import type { Revision } from '../document/revision.ts';
import { UnappliableError } from './state-machine.ts';
import { decodeWrite, encodeWrite, writeFormat } from './write-codec.ts';

const FORMAT = 1;
const FIXED_BYTES = 5;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A database of the group, named by the index of the entry that created it: a name may be used again, an index never. */
export type DatabaseRef = number;

export interface LoggedRevision {
  readonly id: string;
  readonly revision: Revision;
  /** From the revision back at least to its parent. */
  readonly path: RevisionPath;
  readonly deleted: boolean;
  readonly attachments: readonly AttachmentStub[];
  readonly body: Uint8Array;
}

export type Command =
  | {
      readonly kind: 'create';
      readonly name: string;
      /** See catalog.ts for what each node makes of it. */
      readonly incarnation: string;
      readonly replication: ReplicationChoice;
    }
  | { readonly kind: 'drop'; readonly database: DatabaseRef }
  /** The strategy stays. */
  | {
      readonly kind: 'configure';
      readonly database: DatabaseRef;
      readonly replication: ReplicationChoice;
    }
  /** An owner of a leaderless database that is gone for good gives its place to another node; see withReplacedOwner. */
  | {
      readonly kind: 'replace_owner';
      readonly database: DatabaseRef;
      readonly node: string;
      readonly by: ReplicaOwner;
    }
  | {
      readonly kind: 'settings';
      readonly database: DatabaseRef;
      readonly change: Partial<DatabaseSettings>;
    }
  | {
      readonly kind: 'write';
      readonly database: DatabaseRef;
      readonly revisions: readonly LoggedRevision[];
      /** Its client may be told of it before it is committed, so whoever holds it alone must not throw it away. */
      readonly isToldEarly?: true;
    }
  | {
      readonly kind: 'local';
      readonly database: DatabaseRef;
      readonly id: string;
      /** `0-N`: the revision that the write makes. */
      readonly revision: string;
      /** Undefined: delete. */
      readonly body: Uint8Array | undefined;
    }
  | {
      readonly kind: 'purge';
      readonly database: DatabaseRef;
      readonly request: readonly (readonly [id: string, revisions: readonly string[]])[];
    }
  | {
      readonly kind: 'chunk';
      readonly database: DatabaseRef;
      readonly chunkSet: string;
      readonly index: number;
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: 'blob';
      readonly database: DatabaseRef;
      readonly blob: string;
      readonly digest: string;
      readonly length: number;
      readonly chunkSet: string;
    };

export function encodeCommand(command: Command): Uint8Array {
  return (command.kind === 'write' ? encodeWrite(command) : undefined) ?? encodeGeneral(command);
}

function encodeGeneral(command: Command): Uint8Array {
  const bodies: Uint8Array[] = [];
  const header = encoder.encode(JSON.stringify(headerOf(command, bodies)));
  const bytes = new Uint8Array(bodies.reduce((sum, body) => sum + body.length, FIXED_BYTES + header.length));
  bytes[0] = FORMAT;
  new DataView(bytes.buffer).setUint32(1, header.length);
  bytes.set(header, FIXED_BYTES);
  let at = FIXED_BYTES + header.length;
  for (const body of bodies) {
    bytes.set(body, at);
    at += body.length;
  }
  return bytes;
}

/** @throws UnappliableError for bytes that no node of this version wrote */
export function decodeCommand(bytes: Uint8Array): Command {
  if (bytes[0] === writeFormat) return decodeWrite(bytes);
  if (bytes[0] !== FORMAT)
    throw new UnappliableError(`A log entry has the format ${bytes[0]}: a later version of Tercet wrote it.`);
  const headerEnd = FIXED_BYTES + new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  const header = JSON.parse(decoder.decode(bytes.subarray(FIXED_BYTES, headerEnd))) as Header;
  let at = headerEnd;
  const body = (length: number) => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  return commandOf(header, body);
}

type Bodiless<Part extends { readonly body?: unknown }> = Omit<Part, 'body'> & { readonly length: number };

/** As logs of before there were other strategies have it. */
interface SingleLeaderOnly {
  readonly ack?: AckSettings;
}

type Header =
  | Exclude<Command, { kind: 'write' | 'local' | 'chunk' | 'create' | 'configure' }>
  | (Extract<Command, { kind: 'create' | 'configure' }> & SingleLeaderOnly)
  | (Omit<Extract<Command, { kind: 'write' }>, 'revisions'> & {
      readonly revisions: readonly Bodiless<LoggedRevision>[];
    })
  | (Omit<Extract<Command, { kind: 'local' }>, 'body'> & { readonly length: number })
  | (Omit<Extract<Command, { kind: 'chunk' }>, 'bytes'> & { readonly length: number });

/** No body at all, as against an empty one. */
const ABSENT = -1;

function headerOf(command: Command, bodies: Uint8Array[]): Header {
  switch (command.kind) {
    case 'write': {
      const revisions = command.revisions.map(({ body, ...rest }) => {
        bodies.push(body);
        return { ...rest, length: body.length };
      });
      return { ...command, revisions };
    }
    case 'local': {
      const { body, ...rest } = command;
      if (body !== undefined) bodies.push(body);
      return { ...rest, length: body?.length ?? ABSENT };
    }
    case 'chunk': {
      const { bytes, ...rest } = command;
      bodies.push(bytes);
      return { ...rest, length: bytes.length };
    }
    default:
      return command;
  }
}

function commandOf(header: Header, body: (length: number) => Uint8Array): Command {
  switch (header.kind) {
    case 'write': {
      const revisions = header.revisions.map(({ length, ...rest }) => ({ ...rest, body: body(length) }));
      return { ...header, revisions };
    }
    case 'local': {
      const { length, ...rest } = header;
      return { ...rest, body: length === ABSENT ? undefined : body(length) };
    }
    case 'chunk': {
      const { length, ...rest } = header;
      return { ...rest, bytes: body(length) };
    }
    case 'create':
    case 'configure': {
      const { ack, ...rest } = header;
      return ack === undefined ? rest : { ...rest, replication: { strategy: 'single-leader', ack } };
    }
    default:
      return header;
  }
}
