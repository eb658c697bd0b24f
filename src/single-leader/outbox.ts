/**
 * What a step leaves behind: one write for the disk, and messages, some of which must wait for it.
 *
 *     step 1: vote for n2      →  persist (ticket 7); the vote itself is held until 7 is durable
 *     step 2: persisted 7      →  send the vote
 *
 * A step's changes become one write with one ticket. A message held in that step waits for that ticket. Held messages
 * of a term that is over are dropped: what this replica promised then, it no longer means.
 *
 * Invariants:
 * 1. Between steps nothing is unsaved.
 * 2. `persisted <= issued`, and every held message waits for a ticket in between.
 */

import { assert } from '../errors.ts';
import type { NodeId } from '../replication/strategy.ts';
import type { Entry, LogIndex, StatePoint } from './entry.ts';
import type { LogWrite, RaftEffect, RaftNotice } from './events.ts';
import { lastIndex } from './log.ts';
import type { RaftMessage } from './messages.ts';
import type { Raft } from './state.ts';

interface Held {
  readonly to: NodeId;
  readonly message: RaftMessage;
  /** Undefined until the step that held it ends. */
  ticket: number | undefined;
}

/** A write under way, and through which index the log is durable with it. */
interface Underway {
  readonly ticket: number;
  through: LogIndex;
}

interface Unsaved {
  hardState: boolean;
  reset: boolean;
  truncateFrom: LogIndex | undefined;
  entries: Entry[];
  start: StatePoint | undefined;
  /** Told before the write: what it is about to forget. */
  recovered: RaftNotice[];
}

export interface Outbox {
  issued: number;
  persisted: number;
  underway: Underway[];
  held: Held[];
  unsaved: Unsaved;
}

export function createOutbox(): Outbox {
  return { issued: 0, persisted: 0, underway: [], held: [], unsaved: nothingUnsaved() };
}

function nothingUnsaved(): Unsaved {
  return {
    hardState: false,
    reset: false,
    truncateFrom: undefined,
    entries: [],
    start: undefined,
    recovered: [],
  };
}

type Unstamped<Message> = Message extends RaftMessage ? Omit<Message, 'term' | 'lineage'> : never;

/** Completes what its sender has just made for this: a copy would cost many times as much. */
function stamped({ lineage, term }: Raft, message: Unstamped<RaftMessage>): RaftMessage {
  return Object.assign(message, { term, lineage }) as RaftMessage;
}

/** For what promises nothing that the disk must know first. */
export function send(raft: Raft, to: NodeId, message: Unstamped<RaftMessage>): void {
  raft.effects.push({ kind: 'send', to, message: stamped(raft, message) });
}

/** Sends once everything that was changed through the end of this step is durable. */
export function sendWhenDurable(raft: Raft, to: NodeId, message: Unstamped<RaftMessage>): void {
  raft.outbox.held.push({ to, message: stamped(raft, message), ticket: undefined });
}

export function notify(raft: Raft, notice: RaftNotice): void {
  raft.effects.push(notice);
}

export function forgetHeld(outbox: Outbox): void {
  outbox.held = [];
}

/** Writes on their way no longer make anything from `from` on durable. */
export function truncateUnderway(outbox: Outbox, from: LogIndex): void {
  for (const write of outbox.underway) {
    if (write.through >= from) write.through = (from - 1) as LogIndex;
  }
}

/** The disk holds everything through `ticket`. */
export function recordPersisted(raft: Raft, ticket: number): void {
  const { outbox, log } = raft;
  assert(ticket <= outbox.issued, 'only what was written can become durable');
  if (ticket <= outbox.persisted) return;
  outbox.persisted = ticket;
  for (const write of outbox.underway) {
    if (write.ticket <= ticket && write.through > log.persisted) log.persisted = write.through;
  }
  outbox.underway = outbox.underway.filter((write) => write.ticket > ticket);
}

/**
 * Ends a step: its effects, in the order the driver needs them. What is handed over comes before the write that
 * forgets it, and the write comes before everything that may rest on it.
 */
export function seal(raft: Raft): readonly RaftEffect[] {
  const write = takeWrite(raft);
  releaseHeld(raft);
  const effects = raft.effects;
  raft.effects = [];
  return write.length === 0 ? effects : [...write, ...effects];
}

function takeWrite(raft: Raft): RaftEffect[] {
  const { outbox, log } = raft;
  const { entries, hardState, recovered, reset, start, truncateFrom } = outbox.unsaved;
  const isEmpty = !hardState && !reset && entries.length === 0;
  if (isEmpty && truncateFrom === undefined && start === undefined) return [];
  outbox.unsaved = nothingUnsaved();
  outbox.issued += 1;
  outbox.underway.push({ ticket: outbox.issued, through: lastIndex(log) });
  const { term, vote, lineage } = raft;
  const state = hardState ? { term, vote, lineage } : undefined;
  const write: LogWrite = { hardState: state, reset, truncateFrom, entries, start };
  return [...recovered, { kind: 'persist', ticket: outbox.issued, write }];
}

function releaseHeld(raft: Raft): void {
  const { outbox } = raft;
  if (outbox.held.length === 0) return;
  for (const held of outbox.held) held.ticket ??= outbox.issued;
  const ready = outbox.held.filter((held) => (held.ticket as number) <= outbox.persisted);
  outbox.held = outbox.held.filter((held) => (held.ticket as number) > outbox.persisted);
  for (const { to, message } of withoutOvertaken(ready)) raft.effects.push({ kind: 'send', to, message });
}

/** Several appends made durable by one fsync need one answer: the one that goes furthest. */
function withoutOvertaken(ready: readonly Held[]): readonly Held[] {
  return ready.filter(({ to, message }, at) => {
    if (message.kind !== 'append_accepted') return true;
    return !ready.some(
      (other, place) =>
        other.to === to &&
        other.message.kind === 'append_accepted' &&
        (other.message.match > message.match || (other.message.match === message.match && place > at)),
    );
  });
}

export function checkOutbox({ outbox }: Raft): void {
  const { unsaved, issued, persisted, held } = outbox;
  const isSaved = !unsaved.hardState && !unsaved.reset && unsaved.entries.length === 0;
  assert(
    isSaved && unsaved.truncateFrom === undefined,
    'outbox invariant 1: nothing is unsaved between steps',
  );
  assert(persisted <= issued, 'outbox invariant 2: only issued tickets are durable');
  const isWaiting = held.every(
    ({ ticket }) => ticket !== undefined && ticket > persisted && ticket <= issued,
  );
  assert(isWaiting, 'outbox invariant 2: held messages wait for a ticket on its way');
}
