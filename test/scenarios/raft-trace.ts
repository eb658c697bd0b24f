/** Says in one line what a Raft core did; its own words, so that a change of names in the code changes no story. */

import type { Entry, LogPosition } from '../../src/single-leader/entry.ts';
import type { LogWrite, RaftEffect, RaftNotice } from '../../src/single-leader/events.ts';
import type { RaftMessage } from '../../src/single-leader/messages.ts';
import type { Replica } from '../../src/single-leader/test-group.ts';

/** Undefined for what a story does not need. */
export function describeEffect({ id }: Replica, effect: RaftEffect): string | undefined {
  switch (effect.kind) {
    case 'persist':
      return `${id} writes ${describeWrite(effect.write)}`;
    case 'send': {
      const message = describeMessage(effect.message);
      return message === undefined ? undefined : `${id} → ${effect.to} ${message}`;
    }
    case 'apply':
      return `${id} applies ${describeEntries(effect.entries)}`;
    default: {
      const notice = describeNotice(effect);
      return notice === undefined ? undefined : `${id} ${notice}`;
    }
  }
}

function describePosition({ index, term }: LogPosition): string {
  return `${index}:${term}`;
}

function describeEntries(entries: readonly Entry[]): string {
  return entries.map((entry) => `${describePosition(entry)}${describeBody(entry)}`).join(' ');
}

function describeBody({ body }: Entry): string {
  switch (body.kind) {
    case 'data':
      return `(${new TextDecoder().decode(body.data)})`;
    case 'epoch':
      return `(epoch of ${body.leader})`;
    case 'membership':
      return `(members ${body.membership.members.map(({ id, kind }) => (kind === 'voter' ? id : `${id}:${kind}`))})`;
    case 'withheld':
      return '(withheld)';
  }
}

function describeWrite({ hardState, reset, truncateFrom, entries, start }: LogWrite): string {
  const parts = [
    hardState === undefined ? '' : `term ${hardState.term} vote ${hardState.vote ?? 'nobody'}`,
    hardState === undefined || hardState.lineage === 0 ? '' : `lineage ${hardState.lineage}`,
    reset ? 'a new log' : '',
    truncateFrom === undefined ? '' : `truncation from ${truncateFrom}`,
    start === undefined ? '' : `start ${describePosition(start)}`,
    entries.length === 0 ? '' : describeEntries(entries),
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function describeMessage(message: RaftMessage): string | undefined {
  const verdict = (granted: boolean) => (granted ? 'yes' : 'no');
  switch (message.kind) {
    case 'pre_vote_request':
      return `would you vote for me in ${message.term + 1}? my log ends ${describePosition(message.last)}`;
    case 'pre_vote_response':
      return `I would: ${verdict(message.granted)}`;
    case 'vote_request':
      return `vote for me in ${message.term} (${message.reason}), my log ends ${describePosition(message.last)}`;
    case 'vote_response':
      return `my vote in ${message.term}: ${verdict(message.granted)}`;
    case 'append_request': {
      const what = message.entries.length === 0 ? 'nothing' : describeEntries(message.entries);
      return `after ${describePosition(message.previous)} comes ${what}, commit ${message.commit}`;
    }
    case 'append_accepted':
      return `I have all through ${message.match}`;
    case 'append_rejected':
      return `I lack ${message.previousIndex}, try ${describePosition(message.hint)}`;
    case 'heartbeat_request':
      return message.round === 0 ? `all through ${message.commit} is committed` : undefined;
    case 'state_offer':
      return `fetch the state at ${describePosition(message.point)}`;
    case 'timeout_now':
      return 'stand now';
    case 'fenced':
      return `you are of the past, it is term ${message.term}`;
    case 'read_index_request':
    case 'read_index_response':
    case 'heartbeat_response':
      return undefined;
  }
}

function describeNotice(notice: RaftNotice): string | undefined {
  switch (notice.kind) {
    case 'role': {
      const leader = notice.role === 'follower' ? ` of ${notice.leader ?? 'nobody'}` : '';
      return `is ${notice.role}${leader} in term ${notice.term}`;
    }
    case 'recovered':
      return `hands over ${describeEntries(notice.entries)} of epoch ${notice.epoch?.term ?? 'unknown'}`;
    case 'acknowledged': {
      const holders = notice.receipt.durableOn.map(({ id }) => id).join(' ');
      return `tells the client of ${describePosition(notice.receipt)}: ${notice.outcome}, durable on ${holders}`;
    }
    case 'proposal_rejected':
      return `rejects a proposal: ${notice.reason}, ask ${notice.leader ?? 'later'}`;
    case 'transfer_ended':
      return `ends the transfer: ${notice.outcome}`;
    case 'promotion_ended':
      return `ends the promotion: ${notice.outcome}`;
    case 'membership_change_ended':
      return `ends the change of members: ${notice.outcome}`;
    case 'state_needed':
      return `needs the ${notice.scope} from ${notice.from}, at ${notice.atLeast} or later`;
    case 'fenced_out':
      return `is fenced out by lineage ${notice.lineage}`;
    case 'proposal_logged':
    case 'membership':
    case 'read_ready':
    case 'read_refused':
      return undefined;
  }
}
