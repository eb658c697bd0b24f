/** What the log is made of: indexes, terms, entries, and the facts that hold at a point of it. */

import type { NodeId } from '../replication/strategy.ts';

declare const termBrand: unique symbol;
declare const logIndexBrand: unique symbol;

/** Raft's election number; 0 before the first election. */
export type Term = number & { readonly [termBrand]: true };

/** A place in the log. The first entry has index 1; 0 is the place before it. */
export type LogIndex = number & { readonly [logIndexBrand]: true };

export function asTerm(value: number): Term {
  return value as Term;
}

export function asIndex(value: number): LogIndex {
  return value as LogIndex;
}

/** The index `count` entries further on, or back. */
export function plus(index: LogIndex, count: number): LogIndex {
  return (index + count) as LogIndex;
}

export function lesser(left: LogIndex, right: LogIndex): LogIndex {
  return left < right ? left : right;
}

export function greater(left: LogIndex, right: LogIndex): LogIndex {
  return left > right ? left : right;
}

/** An index together with the term of the entry there: equal positions mean equal logs up to there (§5.3). */
export interface LogPosition {
  readonly index: LogIndex;
  readonly term: Term;
}

/**
 * - `voter` has documents, votes and may lead.
 * - `witness` votes and keeps the positions of entries, but no documents; it never leads.
 * - `learner` has documents and neither votes nor counts.
 */
export type MemberKind = 'voter' | 'witness' | 'learner';

export interface Member {
  readonly id: NodeId;
  readonly kind: MemberKind;
  /** Where the others reach it, for the node around the core; the core never looks at it. */
  readonly url?: string;
}

export interface Membership {
  readonly members: readonly Member[];
  /**
   * The term in which somebody forced this membership on what was left of a group; 0 if nobody ever did. Those who
   * hold a membership of a lower lineage have no say towards those with a higher one, whatever their terms.
   */
  readonly lineage: Term;
}

/** A leadership record: who led in a term, and from which entry on. */
export interface Epoch {
  readonly term: Term;
  readonly leader: NodeId;
  readonly firstIndex: LogIndex;
}

export type EntryBody =
  /** Opaque to the core. */
  | { readonly kind: 'data'; readonly data: Uint8Array }
  /** Begins an epoch: the entry without data that a new leader starts its term with (§8). */
  | { readonly kind: 'epoch'; readonly leader: NodeId }
  | { readonly kind: 'membership'; readonly membership: Membership }
  /** Stands for data in a witness's log. */
  | { readonly kind: 'withheld' };

export interface Entry extends LogPosition {
  readonly body: EntryBody;
}

/** What a state made of all entries through `index` has to carry along, now that those entries are gone. */
export interface StatePoint extends LogPosition {
  /** Undefined: this replica does not belong to a group yet and waits to be taken in. */
  readonly membership: Membership | undefined;
  /** Oldest first. */
  readonly epochs: readonly Epoch[];
}
