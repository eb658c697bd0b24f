/** The simulated nodes with their network, disks and clocks, and what the world can see of all of them at once. */

import { majorityOf } from '../src/replication/quorum.ts';
import type { NodeId } from '../src/replication/strategy.ts';
import type { Entry, Member, Membership, Term } from '../src/single-leader/entry.ts';
import { electors } from '../src/single-leader/membership.ts';
import type { RaftMessage } from '../src/single-leader/messages.ts';
import { renderDocuments } from './application.ts';
import type { Canary } from './canaries.ts';
import type { FinalState } from './checkers/convergence.ts';
import { FencingChecker } from './checkers/fencing.ts';
import { SimulatedClock } from './clock.ts';
import { decodeCommand, type NodeMessage } from './commands.ts';
import { SimulatedDisk } from './disk.ts';
import type { AppliedWrite } from './history.ts';
import { Network } from './network.ts';
import type { ReplicaSettings } from './replica.ts';
import { SimulatedNode } from './simulated-node.ts';
import type { World } from './world.ts';

export interface ClusterOptions {
  readonly world: World;
  readonly nodes: number;
  readonly settings: ReplicaSettings;
  readonly canary: Canary;
  readonly driftMillionthsMax: number;
}

/** A node leads a term higher than any before; a leader's followers hold what it may not count as committed yet. */
export type LeaderMoment = 'elected' | 'holds_old_majority';

export class Cluster {
  readonly network: Network<NodeMessage>;
  readonly fencing = new FencingChecker();
  /** The founders, and one more that waits to be taken in. */
  readonly nodes: readonly SimulatedNode[];
  readonly #world: World;
  readonly #applied = new Map<number, AppliedWrite>();
  /** Values that came back, and the first index at which they did. */
  readonly #recovered = new Map<number, number>();
  #watch: ((moment: LeaderMoment, node: SimulatedNode) => void) | undefined;
  #lastElectedTerm = 0;

  constructor(options: ClusterOptions) {
    const { world } = options;
    this.#world = world;
    const ids = Array.from({ length: options.nodes + 1 }, (_, index) => `n${index + 1}` as NodeId);
    const members = ids.slice(0, -1).map((id): Member => ({ id, kind: 'voter' }));
    const founders: Membership = { members, lineage: 0 as Term };
    this.network = new Network({
      world,
      nodes: ids,
      deliver: (from, to, message) => this.node(to).receive(from, message),
    });
    const random = world.random.fork('clocks');
    this.nodes = ids.map((id, index) => {
      const drift = random.between(-options.driftMillionthsMax, options.driftMillionthsMax);
      return new SimulatedNode({
        id,
        world,
        disk: new SimulatedDisk({ world, node: id }),
        clock: new SimulatedClock(world, 1 + drift / 1_000_000),
        settings: options.settings,
        canary: options.canary,
        observer: this.#observer(),
        send: (from, to, message) => this.#send(from, to, message),
        founders: index < options.nodes ? founders : undefined,
      });
    });
  }

  start(): void {
    for (const node of this.nodes) node.start();
  }

  node(id: string): SimulatedNode {
    const node = this.nodes.find((one) => one.id === id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  /** Calls back at moments that are worth an accident. */
  watch(see: (moment: LeaderMoment, node: SimulatedNode) => void): void {
    this.#watch = see;
  }

  /** The one that leads in the highest term. */
  leader(): SimulatedNode | undefined {
    const leaders = this.nodes.filter((node) => node.isUp() && node.isLeader());
    return leaders.sort((left, right) => right.term() - left.term())[0];
  }

  /** As the node that has applied most knows it. */
  membership(): readonly Member[] {
    const known = this.nodes.filter((node) => node.membership() !== undefined);
    known.sort((left, right) => (right.applied()?.index ?? 0) - (left.applied()?.index ?? 0));
    return known[0]?.membership()?.members ?? [];
  }

  /** Whether these nodes are a majority, whichever of the memberships known somewhere is in force. */
  isMajority(ids: readonly string[]): boolean {
    return this.nodes.every((node) => {
      const voters = electors(node.membership() ?? { members: [], lineage: 0 as Term });
      const present = voters.filter((member) => ids.includes(member.id)).length;
      return voters.length === 0 || present >= majorityOf(voters.length);
    });
  }

  /** The one order of the writes, as far as any node has applied it. */
  appliedWrites(): AppliedWrite[] {
    const isFirst = ({ index, value, isLate }: AppliedWrite) =>
      !isLate || this.#recovered.get(value) === index;
    return [...this.#applied.values()].filter(isFirst).sort((left, right) => left.index - right.index);
  }

  /** Values that came back as branches, or that the disk of a node which was removed still holds. */
  recoveredValues(): ReadonlySet<number> {
    const members = new Set<string>(this.membership().map((member) => member.id));
    const outside = this.nodes.filter((node) => !members.has(node.id));
    const held = outside.flatMap((node) => node.entriesOnDisk());
    const values = held.flatMap(({ body }) => (body.kind === 'data' ? [decodeCommand(body.data).value] : []));
    return new Set([...this.#recovered.keys(), ...values]);
  }

  /** What the members hold that are up. */
  finalStates(): FinalState[] {
    return this.membership().flatMap((member) => {
      const state = this.node(member.id).applied();
      const index = state?.index ?? 0;
      return [
        { node: member.id, index, documents: state === undefined ? 'nothing' : renderDocuments(state) },
      ];
    });
  }

  #send(from: string, to: string, message: NodeMessage): void {
    if (message.kind === 'raft' && isPromise(message.message)) {
      this.fencing.seePromise(from, message.message.term);
    }
    this.network.send(from, to, message);
  }

  #seeNode(node: SimulatedNode): void {
    const [term, isLeader] = [node.term(), node.isLeader()];
    this.fencing.see({ at: this.#world.now(), node: node.id, term, isLeader });
    if (!isLeader) return;
    if (term > this.#lastElectedTerm) {
      this.#lastElectedTerm = term;
      this.#watch?.('elected', node);
    }
    if (node.holdsOldMajority()) this.#watch?.('holds_old_majority', node);
  }

  #observer() {
    return {
      seeNode: (node: SimulatedNode) => this.#seeNode(node),
      seeApplied: (node: string, entries: readonly Entry[]) => {
        for (const entry of entries) this.#seeApplied(node, entry);
      },
      durableOn: (index: number, term: number) =>
        this.nodes.filter((node) => node.holds(index, term)).map((node) => node.id),
    };
  }

  #seeApplied(node: string, { index, term, body }: Entry): void {
    const command = body.kind === 'data' ? decodeCommand(body.data) : undefined;
    const what = command === undefined ? body.kind : `${command.kind} ${command.value}`;
    const content = `${what} of term ${term}`;
    this.fencing.seeApplied({ at: this.#world.now(), node, index, content });
    if (command === undefined || this.#applied.has(index)) return;
    const { document, expected, value } = command;
    const isLate = command.kind === 'recovered';
    if (isLate) this.#recovered.set(value, Math.min(index, this.#recovered.get(value) ?? index));
    if (isLate && !command.isCurrent) return;
    this.#applied.set(index, { index, document, expected, value, isLate });
  }
}

/** Messages that a node must stand by: the disk had what they rest on. */
function isPromise(message: RaftMessage): boolean {
  switch (message.kind) {
    case 'append_request':
    case 'append_accepted':
    case 'heartbeat_request':
      return true;
    case 'vote_response':
      return message.granted;
    default:
      return false;
  }
}
