/** Messages: who may say anything at all, and who hears it. */

import type { NodeId } from '../replication/strategy.ts';
import {
  isDeafTo,
  isForcing,
  receivePreVoteRequest,
  receivePreVoteResponse,
  receiveTimeoutNow,
  receiveVoteRequest,
  receiveVoteResponse,
} from './candidate.ts';
import type { Term } from './entry.ts';
import { receiveAppend, receiveHeartbeat, receiveStateOffer } from './follower.ts';
import type {
  AppendAccepted,
  AppendRejected,
  HeartbeatResponse,
  RaftMessage,
  ReadIndexRequest,
} from './messages.ts';
import { forgetHeld, send } from './outbox.ts';
import { readOnLeader, receiveReadIndex } from './reads.ts';
import { heardFrom, receiveAccepted, receiveHeartbeatResponse, receiveRejected } from './replicate.ts';
import { becomeFollower } from './roles.ts';
import type { Raft } from './state.ts';

/** Lineage first, then term: a term counts only among those who agree on who the group is. */
export function receive(raft: Raft, from: NodeId, message: RaftMessage): void {
  if (isForcing(raft.role)) return;
  if (message.lineage > raft.lineage) enterLineage(raft, message.lineage);
  // A pre-vote changes nobody's term: who gives it may be in a lower one, and says which one it is for.
  const isOfLowerTerm = message.term < raft.term && message.kind !== 'pre_vote_response';
  const isBehind = message.lineage < raft.lineage || isOfLowerTerm;
  if (isBehind) {
    if (wantsAnswer(message)) send(raft, from, { kind: 'fenced' });
    return;
  }
  if (message.term > raft.term) {
    if (message.kind === 'vote_request' && isDeafTo(raft, message)) return;
    // Who asks for a pre-vote wants no term changed yet (thesis §9.6).
    if (message.kind !== 'pre_vote_request') becomeFollower(raft, message.term, undefined);
  }
  dispatch(raft, from, message);
}

/** Others went on under a forced membership: whatever this replica was, it is nobody now. */
function enterLineage(raft: Raft, lineage: Term): void {
  raft.lineage = lineage;
  raft.outbox.unsaved.hardState = true;
  forgetHeld(raft.outbox);
  becomeFollower(raft, raft.term, undefined);
}

function wantsAnswer({ kind }: RaftMessage): boolean {
  switch (kind) {
    case 'pre_vote_request':
    case 'vote_request':
    case 'append_request':
    case 'heartbeat_request':
    case 'state_offer':
    case 'read_index_request':
      return true;
    case 'pre_vote_response':
    case 'vote_response':
    case 'append_accepted':
    case 'append_rejected':
    case 'heartbeat_response':
    case 'read_index_response':
    case 'timeout_now':
    case 'fenced':
      return false;
  }
}

function dispatch(raft: Raft, from: NodeId, message: RaftMessage): void {
  switch (message.kind) {
    case 'pre_vote_request':
      receivePreVoteRequest(raft, from, message);
      return;
    case 'pre_vote_response':
      receivePreVoteResponse(raft, from, message);
      return;
    case 'vote_request':
      receiveVoteRequest(raft, from, message);
      return;
    case 'vote_response':
      receiveVoteResponse(raft, from, message);
      return;
    case 'append_request':
      receiveAppend(raft, from, message);
      return;
    case 'heartbeat_request':
      receiveHeartbeat(raft, from, message);
      return;
    case 'state_offer':
      receiveStateOffer(raft, from, message);
      return;
    case 'timeout_now':
      receiveTimeoutNow(raft);
      return;
    case 'read_index_response':
      if (raft.role.kind === 'follower') receiveReadIndex(raft, raft.role, message);
      return;
    case 'append_accepted':
    case 'append_rejected':
    case 'heartbeat_response':
    case 'read_index_request':
      dispatchToLeader(raft, from, message);
      return;
    case 'fenced':
      // All it says is in its term and lineage.
      return;
  }
}

type ToLeader = AppendAccepted | AppendRejected | HeartbeatResponse | ReadIndexRequest;

function dispatchToLeader(raft: Raft, from: NodeId, message: ToLeader): void {
  const { role } = raft;
  if (role.kind !== 'leader') return;
  const progress = heardFrom(raft, role, from);
  if (progress === undefined) return;
  switch (message.kind) {
    case 'append_accepted':
      receiveAccepted(raft, progress, message);
      return;
    case 'append_rejected':
      receiveRejected(raft, progress, message);
      return;
    case 'heartbeat_response':
      receiveHeartbeatResponse(raft, progress, message);
      return;
    case 'read_index_request':
      readOnLeader(raft, role, { kind: 'follower', node: from, request: message.request });
      return;
  }
}
