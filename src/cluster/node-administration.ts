/**
 * Nodes come and go while writes go on: what an operator asks, checked, done, and said in the operator's words.
 *
 *   add      meet the node at its URL (streams both ways) ─► hello ─► a change of members in the log
 *   promote  a learner that has caught up becomes a voter
 *   remove   and is forgotten, unless `--peers` names it
 *
 * Who is asked is the leader (HTTP takes the request there), so that whoever is to be taken in was reached by the one who
 * will have to.
 */

import { isLoopback, isNodeName, type LeaderChoice, nodeUrl, type Peer } from '../config.ts';
import { failure, type TercetError } from '../errors.ts';
import type { AdmittedNode, ClusterNodes, NewNode } from '../http/services.ts';
import { pause } from '../runtime/pause.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Clock } from '../runtime/ports.ts';
import type { Addresses } from './addresses.ts';
import type { Group, MemberStatus } from './group.ts';
import type { AdmissionOutcome } from './group-administration.ts';

/** From inviting a node to a stream in its direction; a node where nobody listens is not waited for as long. */
const meetingMsMax = 5_000;
const startingMsMax = 1_000;
const pollMs = 25;

export interface NodeAdministrationContext {
  readonly group: () => Group;
  readonly addresses: Addresses;
  /** Undefined for a node that has no secret to share. */
  readonly transport: Pick<PeerTransport, 'linkState'> | undefined;
  /** Nodes on other machines may be taken in. */
  readonly hasSecret: boolean;
  readonly leaderChoice: LeaderChoice;
  readonly clock: Clock;
}

export class NodeAdministration implements ClusterNodes {
  readonly #context: NodeAdministrationContext;

  constructor(context: NodeAdministrationContext) {
    this.#context = context;
  }

  async add({ name, url, kind }: NewNode): Promise<AdmittedNode> {
    const peer = this.#checked({ name, url });
    const { addresses, group } = this.#context;
    addresses.invite(peer);
    let outcome: AdmissionOutcome = 'unreachable';
    try {
      await this.#meet(peer);
      outcome = await group().addMember({ name, kind, url: peer.url });
    } finally {
      // A member is known by the membership from then on; one that may have become one is waited for.
      if (outcome !== 'committed' && outcome !== 'unknown') addresses.withdraw(name);
    }
    if (outcome !== 'committed') throw refusal(outcome, name, this.#members());
    return this.#shown(name);
  }

  async promote(name: string): Promise<AdmittedNode> {
    const member = this.#memberNamed(name);
    if (member.kind === 'voter') throw failure('conflict', `${name} is a voter already.`);
    if (member.kind === 'witness') {
      throw failure(
        'conflict',
        `${name} is a witness, which has no documents: remove it, and add it as a learner.`,
      );
    }
    const outcome = await this.#context.group().promoteLearner(member.id);
    if (outcome !== 'committed') throw refusal(outcome, name, this.#members());
    return this.#shown(name);
  }

  async remove(name: string): Promise<void> {
    const member = this.#memberNamed(name);
    const { id, role } = this.#context.group().status();
    if (member.id === id && role === 'leader') await this.#handOver(name);
    const outcome = await this.#context.group().removeMember(member.id);
    if (outcome !== 'committed') throw refusal(outcome, name, this.#members());
  }

  /** Nobody need miss a leader that goes: its successor removes it. @throws TercetError */
  async #handOver(name: string): Promise<void> {
    const hasSuccessor = this.#members().some((other) => other.kind === 'voter' && other.name !== name);
    if (!hasSuccessor) return;
    if (this.#context.leaderChoice === 'appointed') {
      throw failure(
        'precondition_failed',
        `${name} leads: appoint another one first, with "tercet promote".`,
      );
    }
    if ((await this.#context.group().transferLeadership(undefined)) === 'done') throw failure('not_leader');
  }

  #checked({ name, url: text }: Peer): Peer {
    const { addresses, hasSecret, transport } = this.#context;
    if (!isNodeName(name)) {
      throw failure('bad_request', `${JSON.stringify(name)} cannot be a node's name: use for example n4.`);
    }
    const url = nodeUrl(text);
    if (url === undefined) {
      throw failure(
        'bad_request',
        `${JSON.stringify(text)} is no URL of a node: write it without path or password, for example http://10.0.0.4:5984.`,
      );
    }
    const { members, self } = this.#context.group().status();
    const present = members.find((member) => member.name === name);
    if (present !== undefined) throw failure('conflict', `${name} is a ${present.kind} already.`);
    if (name === self) throw failure('conflict', `${name} is the node that was asked.`);
    const fixed = addresses.urlOf(name);
    if (fixed !== undefined && fixed !== url) {
      throw failure(
        'conflict',
        `${self} was told that ${name} is at ${fixed}: use that, or correct its --peers.`,
      );
    }
    const other = addresses.peers().find((peer) => peer.url === url && peer.name !== name);
    if (other !== undefined) throw failure('conflict', `${url} is the address of ${other.name}.`);
    if (transport === undefined || (!hasSecret && !isLoopback(new URL(url).hostname))) {
      throw failure(
        'precondition_failed',
        `${self} was started without a secret, by which nodes know each other: restart all with the same --secret-file.`,
      );
    }
    if (addresses.urlOf(self) === undefined) {
      throw failure(
        'precondition_failed',
        `${self} does not know where others reach it: restart it with --advertise http://HOST:PORT.`,
      );
    }
    return { name, url };
  }

  /** @throws TercetError service_unavailable with what is in the way */
  async #meet({ name, url }: Peer): Promise<void> {
    const { clock, transport } = this.#context;
    const invitedAt = clock.monotonic();
    for (;;) {
      const state = transport?.linkState(name);
      if (state?.kind === 'up') return;
      const patienceMs = state?.kind !== 'down' ? meetingMsMax : state.isRefused ? 0 : startingMsMax;
      if (clock.monotonic() - invitedAt >= patienceMs) {
        const why = state?.kind === 'down' ? state.reason : 'it does not answer';
        throw failure(
          'service_unavailable',
          `${name} cannot be reached at ${url} (${why}): is it running, with --node ${name} and --join? Nothing was changed.`,
        );
      }
      await pause(clock, pollMs);
    }
  }

  #members(): readonly MemberStatus[] {
    return this.#context.group().status().members;
  }

  #memberNamed(name: string): MemberStatus {
    const members = this.#members();
    const member = members.find((each) => each.name === name || each.id === name);
    if (member === undefined) throw noSuchMember(name, members);
    return member;
  }

  #shown(name: string): AdmittedNode {
    const { id, kind, url } = this.#memberNamed(name);
    return { name, id, kind, url: this.#context.addresses.urlOf(name) ?? url };
  }
}

function noSuchMember(name: string, members: readonly MemberStatus[]): TercetError {
  const names = members.map((member) => member.name).toSorted();
  return failure('not_found', `${JSON.stringify(name)} is no member; there are ${names.join(', ')}.`);
}

/** Why it was not done, and what to do about it. */
function refusal(
  outcome: Exclude<AdmissionOutcome, 'committed'>,
  name: string,
  members: readonly MemberStatus[],
): TercetError {
  switch (outcome) {
    case 'already_so':
      return failure('conflict', `${name} is that already.`);
    case 'no_such_member':
      return noSuchMember(name, members);
    case 'other_group':
      return failure(
        'conflict',
        `${name} has a group of its own, because it ran alone: start it with --join and an empty data directory.`,
      );
    case 'unreachable':
      return failure('service_unavailable', `${name} does not answer; nothing was changed.`);
    case 'last_voter':
      return failure('precondition_failed', `${name} is the last voter: add another one first.`);
    case 'no_majority':
      return failure(
        'precondition_failed',
        `Too few of the voters that there would be are in touch, and the group could not go on: bring them back, or remove those that are gone first.`,
      );
    case 'lagging': {
      const lag = members.find((member) => member.name === name)?.lagEntries;
      const behind = lag === undefined ? 'is still catching up' : `lacks ${lag} entries`;
      return failure('precondition_failed', `${name} ${behind}: try again when it has caught up.`);
    }
    case 'not_leader':
      return failure('no_leader', 'Nobody leads at the moment; nothing was changed.');
    case 'not_ready':
    case 'transferring':
    case 'change_in_progress':
      return failure('service_unavailable', 'Another change is under way; nothing was changed.', {
        retryAfterSeconds: 1,
      });
    case 'unknown':
      return failure(
        'write_outcome_unknown',
        'The leader was lost while the change was on its way: see what the members are now.',
      );
  }
}
