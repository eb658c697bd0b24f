/** What the simulated replicas agree on: the data of log entries, as bytes, and what they say besides Raft. */

import type { Entry, StatePoint } from '../src/single-leader/entry.ts';
import type { RaftMessage } from '../src/single-leader/messages.ts';

export type Command =
  | WriteCommand
  /** A write that left the log of a deposed leader comes back: as what is current, or as a branch. */
  | (Omit<WriteCommand, 'kind' | 'isToldEarly'> & {
      readonly kind: 'recovered';
      readonly isCurrent: boolean;
    });

export interface WriteCommand {
  readonly kind: 'write';
  readonly document: string;
  /** Checked by the leader: what the document holds when this is applied. */
  readonly expected: number;
  readonly value: number;
  /** Its client may be told before it is committed. */
  readonly isToldEarly: boolean;
}

/** Everything a replica has applied. */
export interface AppliedState {
  readonly index: number;
  /** Term of the last epoch entry among it. */
  readonly epochTerm: number;
  readonly documents: ReadonlyMap<string, number>;
  /** Values that came back. */
  readonly recovered: ReadonlySet<number>;
}

export type NodeMessage =
  | { readonly kind: 'raft'; readonly message: RaftMessage }
  | { readonly kind: 'state_request'; readonly atLeast: number }
  | { readonly kind: 'state'; readonly point: StatePoint; readonly state: AppliedState }
  /** Entries that left the sender's log: keep what they say. */
  | { readonly kind: 'recovered'; readonly entries: readonly Entry[] }
  | { readonly kind: 'recovered_kept'; readonly entries: readonly Entry[] };

/** From one member to another; a machine whose disk was replaced is no longer the one that is meant. */
export interface Letter {
  readonly from: string;
  readonly to: string;
  readonly message: NodeMessage;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeCommand(command: Command): Uint8Array {
  return encoder.encode(JSON.stringify(command));
}

/** Entries travel by reference here, so every node has the same bytes, which nobody changes. */
const decoded = new WeakMap<Uint8Array, Command>();

export function decodeCommand(data: Uint8Array): Command {
  const known = decoded.get(data);
  if (known !== undefined) return known;
  const command = JSON.parse(decoder.decode(data)) as Command;
  decoded.set(data, command);
  return command;
}

/** What a trace tells of a message; few are ever rendered. */
export class ReceivedMessage {
  readonly from: string;
  readonly message: NodeMessage;

  constructor(from: string, message: NodeMessage) {
    this.from = from;
    this.message = message;
  }

  toJSON(): object {
    return { from: this.from, ...(this.message.kind === 'raft' ? this.message.message : this.message) };
  }
}
