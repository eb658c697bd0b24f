/** What a leader sends to the others, and what their answers tell it; flow control is in progress.ts. */

import type { NodeId } from '../replication/strategy.ts';
import type { Entry, LogIndex, MemberKind } from './entry.ts';
import { lesser, plus } from './entry.ts';
import { entryAt, lastIndex, lastPossibleAgreement, termAt } from './log.ts';
import { membershipOf, pointAt } from './log-changes.ts';
import { memberOf } from './membership.ts';
import type { AppendAccepted, AppendRejected, HeartbeatResponse } from './messages.ts';
import { send } from './outbox.ts';
import type { Progress } from './progress.ts';
import {
  createProgress,
  isStalled,
  mayAppend,
  offerState,
  probeFrom,
  recordAccepted,
  recordAppend,
  retry,
} from './progress.ts';
import type { LeaderRole, Raft } from './state.ts';

/** What an entry takes beside its data: index, term and kind. */
const entryOverheadBytes = 24;

function bytesOf({ body }: Entry): number {
  return entryOverheadBytes + (body.kind === 'data' ? body.data.length : 0);
}

/** One progress for every other member; new ones begin by probing at the end of the log. */
export function syncProgress(raft: Raft, role: LeaderRole): void {
  const members = membershipOf(raft)?.members ?? [];
  for (const id of [...role.progress.keys()]) {
    if (!members.some((member) => member.id === id)) role.progress.delete(id);
  }
  for (const { id } of members) {
    if (id !== raft.self && !role.progress.has(id))
      role.progress.set(id, createProgress(plus(lastIndex(raft.log), 1), raft.now));
  }
}

/** Sends everyone what they lack, as far as they may be sent any. */
export function sendAppends(raft: Raft, role: LeaderRole): void {
  for (const [id, progress] of role.progress) {
    while (mayAppend(progress, raft.options) && needsAppend(raft, progress)) {
      const previousTerm = termAt(raft.log, plus(progress.next, -1));
      if (previousTerm === undefined) offer(raft, id, progress);
      else sendAppend(raft, id, progress, previousTerm);
    }
    tellCommit(raft, id, progress);
  }
}

function needsAppend(raft: Raft, progress: Progress): boolean {
  return progress.mode === 'probe' || progress.next <= lastIndex(raft.log);
}

/** Appends on their way, or those that follow, bring the commit index along; an idle member is told at once. */
function tellCommit(raft: Raft, to: NodeId, progress: Progress): void {
  const commit = lesser(raft.commit, progress.match);
  if (progress.inflight.length > 0 || progress.commitTold >= commit) return;
  progress.commitTold = commit;
  send(raft, to, { kind: 'heartbeat_request', commit, round: 0 });
}

function sendAppend(raft: Raft, to: NodeId, progress: Progress, previousTerm: AppendRejected['term']): void {
  const { entries, bytes } = batchFrom(raft, progress.next, kindOf(raft, to));
  const previous = { index: plus(progress.next, -1), term: previousTerm };
  const last = plus(previous.index, entries.length);
  send(raft, to, { kind: 'append_request', previous, entries, commit: raft.commit });
  progress.commitTold = lesser(raft.commit, last);
  recordAppend(progress, { last, bytes, sentAt: raft.now });
}

function kindOf(raft: Raft, id: NodeId): MemberKind | undefined {
  const membership = membershipOf(raft);
  return membership === undefined ? undefined : memberOf(membership, id)?.kind;
}

function batchFrom(
  raft: Raft,
  from: LogIndex,
  kind: MemberKind | undefined,
): { readonly entries: Entry[]; readonly bytes: number } {
  const entries: Entry[] = [];
  let bytes = 0;
  for (
    let entry = entryAt(raft.log, from);
    entry !== undefined;
    entry = entryAt(raft.log, plus(entry.index, 1))
  ) {
    const sent = kind === 'witness' ? withheld(entry) : entry;
    const size = bytesOf(sent);
    if (entries.length > 0 && bytes + size > raft.options.appendBytesMax) break;
    entries.push(sent);
    bytes += size;
  }
  return { entries, bytes };
}

function withheld(entry: Entry): Entry {
  if (entry.body.kind !== 'data') return entry;
  return { index: entry.index, term: entry.term, body: { kind: 'withheld' } };
}

function offer(raft: Raft, to: NodeId, progress: Progress): void {
  send(raft, to, { kind: 'state_offer', point: pointAt(raft, raft.commit) });
  offerState(progress, raft.now);
}

export function sendHeartbeats(raft: Raft, role: LeaderRole): void {
  role.heartbeatAt = raft.now;
  role.reads.round += 1;
  role.reads.sent.push({ round: role.reads.round, at: raft.now });
  for (const [id, { match }] of role.progress) {
    const commit = lesser(raft.commit, match);
    send(raft, id, { kind: 'heartbeat_request', commit, round: role.reads.round });
  }
}

/** An answer of this term, from whoever gave it: undefined for one who is no member any more. */
export function heardFrom(raft: Raft, role: LeaderRole, from: NodeId): Progress | undefined {
  const progress = role.progress.get(from);
  if (progress !== undefined) progress.heardAt = raft.now;
  return progress;
}

export function receiveAccepted(raft: Raft, progress: Progress, { match }: AppendAccepted): void {
  recordAccepted(progress, match, raft.log.start.index);
}

/** The member lacks what the append builds on: goes back to the last place where the logs may agree (§5.3). */
export function receiveRejected(
  raft: Raft,
  progress: Progress,
  { previousIndex, hint }: AppendRejected,
): void {
  const isStale =
    progress.mode === 'state_transfer' ||
    previousIndex <= progress.match ||
    (progress.mode === 'probe' && previousIndex !== progress.next - 1);
  if (isStale) return;
  progress.stalls = 0;
  const agreement = lastPossibleAgreement(raft.log, hint.index, hint.term);
  // Not even the start of the log is agreed on: what comes before it is gone, so a state will be offered.
  const isBeforeStart = agreement.term > hint.term;
  probeFrom(progress, isBeforeStart ? agreement.index : plus(agreement.index, 1));
}

/** The member lives, so what it has not answered for long is lost. */
export function receiveHeartbeatResponse(raft: Raft, progress: Progress, { round }: HeartbeatResponse): void {
  progress.round = Math.max(progress.round, round);
  const { options, now } = raft;
  const isOverdue =
    progress.mode === 'state_transfer'
      ? now - progress.offeredAt >= options.stateTransferTicksMax
      : isStalled(progress, now, options);
  if (isOverdue) retry(progress);
}
