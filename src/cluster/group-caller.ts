/** Asks other nodes of the cluster, and answers them; what concerns the whole group is asked of its leader. */

import { pause } from '../runtime/pause.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { MembershipOutcome } from '../single-leader/events.ts';
import { lastPosition } from '../single-leader/log.ts';
import type { MembershipChange } from '../single-leader/membership.ts';
import {
  type CallAnswer,
  decodeAnswer,
  decodeCall,
  encodeCall,
  type GroupCall,
  type Hello,
  type Joining,
} from './group-calls.ts';
import type { GroupHome } from './group-home.ts';
import { nextJoiningStep } from './group-joining.ts';
import { callKind } from './group-kinds.ts';

const helloMsMax = 1_000;
/** A change of members waits for a majority to have it on disk. */
const callMsMax = 5_000;
const patienceMsMax = 3_000;
/** Nothing was done, and soon it may be. */
const passing: readonly MembershipOutcome[] = [
  'not_leader',
  'not_ready',
  'transferring',
  'change_in_progress',
];

export class GroupCaller {
  readonly #home: GroupHome;
  readonly #names: readonly string[];
  #mayGreet = true;

  constructor(home: GroupHome) {
    const { self, peers } = home.options;
    this.#home = home;
    this.#names = [self, ...peers].sort();
  }

  /** All nodes, this one included, in order. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Undefined: no answer, or not from a group. */
  async hello(peer: string): Promise<Hello | undefined> {
    const answer = await this.#ask(peer, { op: 'hello' }, helloMsMax);
    if (answer?.kind !== 'hello') return undefined;
    // From here until it is written down, "I know of no group" would be a lie, and the asker might found another.
    if (answer.hello.founders !== undefined && this.#home.record === undefined) this.#mayGreet = false;
    return answer.hello;
  }

  /** Undefined: nobody who leads could be reached. */
  async askLeader(call: GroupCall): Promise<CallAnswer | undefined> {
    const own = await this.#answer(call);
    if (own.kind !== 'elsewhere') return own;
    const { self } = this.#home.options;
    const { leader } = this.#home.standing();
    for (const peer of leader === undefined || leader === self ? this.#home.others() : [leader]) {
      const answer = await this.#ask(peer, call, callMsMax);
      if (answer !== undefined && answer.kind !== 'elsewhere') return answer;
    }
    return undefined;
  }

  /** Asks again for a moment where all it takes is that a leader begins its term, or another change ends. */
  async changeMembers(change: MembershipChange): Promise<MembershipOutcome> {
    const { options, settings } = this.#home;
    const deadline = options.clock.monotonic() + patienceMsMax;
    for (;;) {
      const answer = await this.askLeader({ op: 'change', change });
      const outcome = answer?.kind === 'change' ? answer.outcome : 'not_leader';
      if (!passing.includes(outcome) || options.clock.monotonic() >= deadline) return outcome;
      await pause(options.clock, settings.retryMs);
    }
  }

  async serve(bytes: Uint8Array): Promise<Uint8Array> {
    return encodeCall(await this.#answer(decodeCall(bytes)));
  }

  async #ask(peer: string, call: GroupCall, timeoutMs: number): Promise<CallAnswer | undefined> {
    try {
      const bytes = await this.#home.options.transport.request(peer, callKind, encodeCall(call), {
        timeoutMs,
      });
      return decodeAnswer(bytes);
    } catch (error) {
      if (error instanceof PeerRefusal) return undefined;
      if (!(error instanceof PeerRequestError)) throw error;
      const mayBeDone = call.op === 'change' && error.delivery === 'unknown';
      return mayBeDone ? { kind: 'change', outcome: 'unknown' } : undefined;
    }
  }

  async #answer(call: GroupCall): Promise<CallAnswer> {
    const { desk, replica } = this.#home;
    if (call.op === 'hello') return { kind: 'hello', hello: this.#ownHello() };
    if (replica?.raft.role.kind !== 'leader') return { kind: 'elsewhere' };
    switch (call.op) {
      case 'transfer':
        return { kind: 'transfer', outcome: await desk.transfer(call.to) };
      case 'change':
        return { kind: 'change', outcome: await desk.change(call.change) };
      case 'join':
        return { kind: 'change', outcome: await this.#join(call.joining) };
    }
  }

  #ownHello(): Hello {
    const { id, record, replica } = this.#home;
    if (record === undefined && !this.#mayGreet) throw new PeerRefusal('it is about to belong to a group');
    const last = replica === undefined ? undefined : lastPosition(replica.raft.log);
    return { id, names: this.#names, founders: record?.founders, last };
  }

  #join(joining: Joining): MembershipOutcome | Promise<MembershipOutcome> {
    const { replica, desk, options } = this.#home;
    const isPeer = (name: string) => options.peers.includes(name);
    const step = replica === undefined ? 'not_leader' : nextJoiningStep(replica.raft, joining, isPeer);
    return typeof step === 'string' ? step : desk.change(step);
  }
}
