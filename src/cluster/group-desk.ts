/**
 * What was asked of the core and not answered yet: gives every request its number, and every answer to who waits for it.
 *
 * Proposals of one turn of the event loop go to the core as one event, so that they become one write and one message.
 */

import type { NodeId } from '../replication/strategy.ts';
import { atTurnEnd } from '../runtime/turn-end.ts';
import type { AckRule } from '../single-leader/ack-policy.ts';
import type {
  MembershipOutcome,
  PromotionOutcome,
  Proposal,
  RaftNotice,
  RaftRequest,
  TransferOutcome,
} from '../single-leader/events.ts';
import type { ProposalResult, ReadBarrier } from './group.ts';
import { nameOf } from './group-node-id.ts';
import { Pending } from './group-pending.ts';

export type ReadAnswer = ({ readonly kind: 'ready' } & ReadBarrier) | { readonly kind: 'refused' };

export class GroupDesk {
  /** Hands a request to the core; undefined while there is none. */
  readonly #replica: () => { request(request: RaftRequest): void } | undefined;
  readonly #proposals = new Pending<ProposalResult>();
  readonly #reads = new Pending<ReadAnswer>();
  readonly #transfers = new Pending<TransferOutcome>();
  readonly #promotions = new Pending<PromotionOutcome>();
  readonly #changes = new Pending<MembershipOutcome>();
  #gathered: Proposal[] = [];
  #lastId = 0;

  constructor(replica: () => { request(request: RaftRequest): void } | undefined) {
    this.#replica = replica;
  }

  propose(data: Uint8Array, ack: AckRule): Promise<ProposalResult> {
    const id = this.#nextId();
    const result = this.#proposals.open(id);
    if (this.#gathered.length === 0) atTurnEnd(() => this.#flush());
    this.#gathered.push({ id, data, ack });
    return result;
  }

  read(): Promise<ReadAnswer> {
    return this.#ask(this.#reads, (id) => ({ kind: 'read', id }), { kind: 'refused' });
  }

  transfer(to: NodeId | undefined): Promise<TransferOutcome> {
    return this.#ask(this.#transfers, (id) => ({ kind: 'transfer', id, to }), 'not_leader');
  }

  promote(): Promise<PromotionOutcome> {
    return this.#ask(this.#promotions, (id) => ({ kind: 'promote', id }), 'no_voter');
  }

  force(forced: Omit<Extract<RaftRequest, { kind: 'force' }>, 'id' | 'kind'>): Promise<PromotionOutcome> {
    return this.#ask(this.#promotions, (id) => ({ kind: 'force', id, ...forced }), 'no_voter');
  }

  change(change: Extract<RaftRequest, { kind: 'change_membership' }>['change']): Promise<MembershipOutcome> {
    return this.#ask(this.#changes, (id) => ({ kind: 'change_membership', id, change }), 'not_leader');
  }

  /** Settles what a notice answers. */
  answer(notice: RaftNotice): void {
    switch (notice.kind) {
      case 'proposal_rejected':
        this.#proposals.settle(notice.id, rejected(notice));
        return;
      case 'acknowledged':
        this.#proposals.settle(notice.id, acknowledged(notice));
        return;
      case 'read_ready':
        this.#reads.settle(notice.id, { kind: 'ready', index: notice.index, by: notice.by });
        return;
      case 'read_refused':
        this.#reads.settle(notice.id, { kind: 'refused' });
        return;
      case 'transfer_ended':
        this.#transfers.settle(notice.id, notice.outcome);
        return;
      case 'promotion_ended':
        this.#promotions.settle(notice.id, notice.outcome);
        return;
      case 'membership_change_ended':
        this.#changes.settle(notice.id, notice.outcome);
        return;
      default:
        return;
    }
  }

  /** The core is gone: what it was asked for may have come about. */
  coreLost(): void {
    const unsent = this.#gathered;
    this.#gathered = [];
    for (const { id } of unsent) this.#proposals.settle(id, noGroup);
    this.#proposals.settleAll({ kind: 'unknown' });
    this.#reads.settleAll({ kind: 'refused' });
    this.#transfers.settleAll('not_leader');
    this.#promotions.settleAll('not_elected');
    this.#changes.settleAll('unknown');
  }

  #flush(): void {
    const proposals = this.#gathered;
    this.#gathered = [];
    const replica = this.#replica();
    if (proposals.length === 0) return;
    if (replica !== undefined) replica.request({ kind: 'propose', proposals });
    else for (const { id } of proposals) this.#proposals.settle(id, noGroup);
  }

  #ask<Answer>(pending: Pending<Answer>, make: (id: number) => RaftRequest, none: Answer): Promise<Answer> {
    const replica = this.#replica();
    if (replica === undefined) return Promise.resolve(none);
    const id = this.#nextId();
    const answer = pending.open(id);
    replica.request(make(id));
    return answer;
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }
}

const noGroup: ProposalResult = { kind: 'rejected', reason: 'no_group', leader: undefined };

function rejected({ reason, leader }: Extract<RaftNotice, { kind: 'proposal_rejected' }>): ProposalResult {
  return { kind: 'rejected', reason, leader: leader === undefined ? undefined : nameOf(leader) };
}

function acknowledged({ outcome, receipt }: Extract<RaftNotice, { kind: 'acknowledged' }>): ProposalResult {
  if (outcome === 'unknown') return { kind: 'unknown' };
  return { kind: 'acknowledged', outcome, receipt, index: receipt.index, term: receipt.term };
}
