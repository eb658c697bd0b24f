/** What the simulated replicas agree on: the data of log entries, as bytes, and what they say besides Raft. */

import type { Entry, StatePoint } from '../src/single-leader/entry.ts';
import type { RaftMessage } from '../src/single-leader/messages.ts';

export type Command =
  /** Checked by the leader: `expected` is what the document holds when this is applied. */
  | { readonly kind: 'write'; readonly document: string; readonly expected: number; readonly value: number }
  /** A write that left the log of a deposed leader, kept as a branch. */
  | { readonly kind: 'branch'; readonly document: string; readonly value: number };

/** Everything a replica has applied. */
export interface AppliedState {
  readonly index: number;
  /** Term of the last epoch entry among it. */
  readonly epochTerm: number;
  readonly documents: ReadonlyMap<string, number>;
  readonly branches: ReadonlySet<number>;
}

export type NodeMessage =
  | { readonly kind: 'raft'; readonly message: RaftMessage }
  | { readonly kind: 'state_request'; readonly atLeast: number }
  | { readonly kind: 'state'; readonly point: StatePoint; readonly state: AppliedState }
  /** Entries that left the sender's log: keep them as branches. */
  | { readonly kind: 'branches'; readonly entries: readonly Entry[] }
  | { readonly kind: 'branches_kept'; readonly entries: readonly Entry[] };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeCommand(command: Command): Uint8Array {
  return encoder.encode(JSON.stringify(command));
}

export function decodeCommand(data: Uint8Array): Command {
  return JSON.parse(decoder.decode(data)) as Command;
}

/** `received append_request`: the word for a message in the trace. */
export function messageName(message: NodeMessage): string {
  return message.kind === 'raft' ? message.message.kind : message.kind;
}
