/** Asks other nodes of the cluster, and answers them; what concerns the whole group is asked of its leader. */

import type { NodeId } from '../replication/strategy.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { MembershipOutcome } from '../single-leader/events.ts';
import type { MembershipChange } from '../single-leader/membership.ts';
import {
  type CallAnswer,
  decodeAnswer,
  decodeCall,
  encodeCall,
  type GroupCall,
  type Hello,
} from './group-calls.ts';
import type { GroupHome } from './group-home.ts';
import { nextJoiningStep } from './group-joining.ts';
import { callKind } from './group-kinds.ts';

const helloMsMax = 1_000;
/** A change of members waits for a majority to have it on disk. */
const callMsMax = 5_000;

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
    const { self, peers } = this.#home.options;
    const { leader } = this.#home.status();
    for (const peer of leader === undefined || leader === self ? peers : [leader]) {
      const answer = await this.#ask(peer, call, callMsMax);
      if (answer !== undefined && answer.kind !== 'elsewhere') return answer;
    }
    return undefined;
  }

  async changeMembers(change: MembershipChange): Promise<MembershipOutcome> {
    const answer = await this.askLeader({ op: 'change', change });
    return answer?.kind === 'change' ? answer.outcome : 'not_leader';
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
      if (error instanceof PeerRequestError || error instanceof PeerRefusal) return undefined;
      throw error;
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
        return { kind: 'change', outcome: await this.#join(call.id) };
    }
  }

  #ownHello(): Hello {
    const { id, record } = this.#home;
    if (record === undefined && !this.#mayGreet) throw new PeerRefusal('it is about to belong to a group');
    return { id, names: this.#names, founders: record?.founders };
  }

  #join(id: NodeId): MembershipOutcome | Promise<MembershipOutcome> {
    const { replica, desk } = this.#home;
    const step = replica === undefined ? 'not_leader' : nextJoiningStep(replica.raft, id);
    return typeof step === 'string' ? step : desk.change(step);
  }
}
