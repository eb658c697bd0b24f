/** What one node asks of another beside the core's own messages: rare, answered, and therefore JSON. */

import type { NodeId } from '../replication/strategy.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import type { LogPosition, MemberKind } from '../single-leader/entry.ts';
import type { MembershipOutcome, TransferOutcome } from '../single-leader/events.ts';
import type { MembershipChange } from '../single-leader/membership.ts';
import { isNodeId, isPeerUrl } from './group-node-id.ts';
import { objectIn } from './peer-json.ts';

export type GroupCall =
  /** Who are you, and which group are you in? */
  | { readonly op: 'hello' }
  /** Take me in, one step further: I have a new disk, or a membership was forced without me. */
  | { readonly op: 'join'; readonly joining: Joining }
  | { readonly op: 'transfer'; readonly to: NodeId | undefined }
  | { readonly op: 'change'; readonly change: MembershipChange };

export interface Joining {
  readonly id: NodeId;
  readonly url?: string | undefined;
  /** What it was before a membership was forced without it. */
  readonly was?: MemberKind | undefined;
}

export interface Hello {
  readonly id: NodeId;
  /** All nodes that it was told of, itself included, in order. */
  readonly names: readonly string[];
  /** Who founded its group; undefined: it has none. */
  readonly founders: readonly NodeId[] | undefined;
  /** Where its log ends. */
  readonly last?: LogPosition | undefined;
}

/** `elsewhere`: it does not lead. */
export type CallAnswer =
  | { readonly kind: 'hello'; readonly hello: Hello }
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'transfer'; readonly outcome: TransferOutcome }
  | { readonly kind: 'change'; readonly outcome: MembershipOutcome };

const changeKinds: readonly unknown[] = ['add_learner', 'add_witness', 'promote_learner', 'move', 'remove'];
const memberKinds: readonly unknown[] = ['voter', 'witness', 'learner'];

export function encodeCall(value: GroupCall | CallAnswer): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** @throws PeerRefusal */
export function decodeCall(bytes: Uint8Array): GroupCall {
  const { op, joining, to, change } = objectIn(bytes);
  if (op === 'hello') return { op };
  if (op === 'join' && isJoining(joining)) return { op, joining };
  if (op === 'transfer' && (to === undefined || isNodeId(to))) return { op, to };
  if (op === 'change' && isChange(change)) return { op, change };
  throw new PeerRefusal('not a call of a group');
}

/** @throws PeerRefusal */
export function decodeAnswer(bytes: Uint8Array): CallAnswer {
  const answer = objectIn(bytes);
  const { kind, outcome } = answer;
  if (kind === 'elsewhere') return { kind };
  if (kind === 'hello') return { kind, hello: helloIn(answer.hello) };
  if ((kind === 'transfer' || kind === 'change') && typeof outcome === 'string')
    return answer as unknown as CallAnswer;
  throw new PeerRefusal('not an answer of a group');
}

function helloIn(value: unknown): Hello {
  const { id, names, founders, last } = (value ?? {}) as Partial<Record<string, unknown>>;
  const areNames = Array.isArray(names) && names.every((name) => typeof name === 'string');
  const areFounders = founders === undefined || (Array.isArray(founders) && founders.every(isNodeId));
  if (!isNodeId(id) || !areNames || !areFounders) throw new PeerRefusal('not a greeting');
  return { id, names, founders, last: isPosition(last) ? last : undefined };
}

function isPosition(value: unknown): value is LogPosition {
  const { index, term } = (value ?? {}) as Partial<Record<string, unknown>>;
  return Number.isSafeInteger(index) && Number.isSafeInteger(term);
}

function isChange(value: unknown): value is MembershipChange {
  const { kind, node, url } = (value ?? {}) as Partial<Record<string, unknown>>;
  return changeKinds.includes(kind) && isNodeId(node) && (kind === 'move' ? isPeerUrl(url) : isMaybeUrl(url));
}

function isJoining(value: unknown): value is Joining {
  const { id, url, was } = (value ?? {}) as Partial<Record<string, unknown>>;
  return isNodeId(id) && isMaybeUrl(url) && (was === undefined || memberKinds.includes(was));
}

function isMaybeUrl(value: unknown): boolean {
  return value === undefined || isPeerUrl(value);
}
