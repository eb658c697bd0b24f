/**
 * Handing leadership over without waiting for anybody's silence (thesis §3.10).
 *
 *     no new proposals ─► the target gets the whole log ─► timeout_now ─► it stands, and wins a term
 *
 * If it does not within an election timeout, the leader goes on as before, but without leases in this term: the target
 * may still stand, late, and the others would let it.
 */

import type { NodeId } from '../replication/strategy.ts';
import type { TransferOutcome } from './events.ts';
import { lastIndex } from './log.ts';
import { membershipOf } from './log-changes.ts';
import { memberOf } from './membership.ts';
import { notify, send } from './outbox.ts';
import type { LeaderRole, Raft } from './state.ts';

export function requestTransfer(raft: Raft, id: number, wanted: NodeId | undefined): void {
  const end = (outcome: TransferOutcome) => notify(raft, { kind: 'transfer_ended', id, outcome });
  const { role } = raft;
  if (role.kind !== 'leader') {
    end('not_leader');
    return;
  }
  if (role.transfer !== undefined) {
    end('already_transferring');
    return;
  }
  const to = wanted ?? bestSuccessor(raft, role);
  if (to === undefined || !isEligible(raft, to)) {
    end('no_such_voter');
    return;
  }
  role.transfer = { id, to, deadline: raft.now + raft.options.electionTicksMax, isTold: false };
}

function isEligible(raft: Raft, id: NodeId): boolean {
  const membership = membershipOf(raft);
  return id !== raft.self && membership !== undefined && memberOf(membership, id)?.kind === 'voter';
}

/** Of those heard lately the one that is furthest. */
function bestSuccessor(raft: Raft, role: LeaderRole): NodeId | undefined {
  const candidates = [...role.progress].filter(
    ([id, { heardAt }]) => isEligible(raft, id) && raft.now - heardAt < raft.options.electionTicksMin,
  );
  candidates.sort(([, left], [, right]) => right.match - left.match);
  return candidates[0]?.[0];
}

export function advanceTransfer(raft: Raft, role: LeaderRole): void {
  const { transfer } = role;
  if (transfer === undefined) return;
  if (raft.now >= transfer.deadline || !isEligible(raft, transfer.to)) {
    role.transfer = undefined;
    notify(raft, { kind: 'transfer_ended', id: transfer.id, outcome: 'timed_out' });
  }
  if (transfer.isTold || role.progress.get(transfer.to)?.match !== lastIndex(raft.log)) return;
  role.transfer = { ...transfer, isTold: true };
  role.reads.isLeaseForfeited = true;
  send(raft, transfer.to, { kind: 'timeout_now' });
}
