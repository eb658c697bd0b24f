/** The simulated nodes with their network, disks and clocks, and what the world can see of all of them at once. */

import { diskDigits, nameOf, nodeIdOf } from '../src/cluster/group-node-id.ts';
import type { NodeId } from '../src/replication/strategy.ts';
import type { Entry, Member, Membership, Term } from '../src/single-leader/entry.ts';
import type { RaftMessage } from '../src/single-leader/messages.ts';
import { renderDocuments } from './application.ts';
import type { Canary } from './canaries.ts';
import type { FinalState } from './checkers/convergence.ts';
import { FencingChecker } from './checkers/fencing.ts';
import { SimulatedClock } from './clock.ts';
import { decodeCommand, type Letter } from './commands.ts';
import { SimulatedDisk } from './disk.ts';
import type { AppliedWrite } from './history.ts';
import { areMajority, mayBeInForce } from './known-memberships.ts';
import { type KeptEntry, LostDisks } from './lost-disks.ts';
import { Network } from './network.ts';
import type { ReplicaSettings } from './replica.ts';
import { SimulatedNode } from './simulated-node.ts';
import { type Forced, Truth } from './truth.ts';
import type { World } from './world.ts';

export interface ClusterOptions {
  readonly world: World;
  readonly nodes: number;
  readonly settings: ReplicaSettings;
  readonly canary: Canary;
  readonly driftMillionthsMax: number;
  /** The last founder is a witness. */
  readonly hasWitness: boolean;
}

/** A node leads a term higher than any before; a leader's followers hold what it may not count as committed yet. */
export type LeaderMoment = 'elected' | 'holds_old_majority';

export class Cluster {
  readonly network: Network<Letter>;
  readonly fencing = new FencingChecker();
  /** The founders, and one more that waits to be taken in. */
  readonly nodes: readonly SimulatedNode[];
  readonly #world: World;
  readonly #truth = new Truth();
  readonly #lostDisks = new LostDisks();
  #watch: ((moment: LeaderMoment, node: SimulatedNode) => void) | undefined;
  #lastElectedTerm = 0;
  #forcing: Omit<Forced, 'at'> | undefined;
  #forcedAt = Number.POSITIVE_INFINITY;

  constructor(options: ClusterOptions) {
    const { world } = options;
    this.#world = world;
    const names = Array.from({ length: options.nodes + 1 }, (_, index) => `n${index + 1}`);
    const members = names.slice(0, -1).map((name, index): Member => {
      const isWitness = options.hasWitness && index === options.nodes - 1;
      return { id: nodeIdOf(name, '1'.padStart(diskDigits, '0')), kind: isWitness ? 'witness' : 'voter' };
    });
    const founders: Membership = { members, lineage: 0 as Term };
    this.network = new Network({
      world,
      nodes: names,
      deliver: (_from, to, letter) => this.node(to).receive(letter),
    });
    const random = world.random.fork('clocks');
    this.nodes = names.map((name, index) => {
      const drift = random.between(-options.driftMillionthsMax, options.driftMillionthsMax);
      return new SimulatedNode({
        name,
        world,
        disk: new SimulatedDisk({ world, node: name }),
        clock: new SimulatedClock(world, 1 + drift / 1_000_000),
        settings: options.settings,
        canary: options.canary,
        observer: this.#observer(),
        send: (from, to, message) => this.#send({ from, to, message }),
        founders: index < options.nodes ? founders : undefined,
      });
    });
  }

  start(): void {
    for (const node of this.nodes) node.start();
  }

  /** By name, or by the id of any member it was. */
  node(nameOrId: string): SimulatedNode {
    const name = nameOrId.includes('#') ? nameOf(nameOrId as NodeId) : nameOrId;
    const node = this.nodes.find((one) => one.name === name);
    if (node === undefined) throw new Error(`no node ${nameOrId}`);
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
    const lineage = this.lineage();
    const known = this.nodes.filter((node) => node.membership()?.lineage === lineage);
    known.sort((left, right) => (right.applied()?.index ?? 0) - (left.applied()?.index ?? 0));
    return known[0]?.membership()?.members ?? [];
  }

  /** The latest in which a membership was forced, as far as anybody has it in its log. */
  lineage(): number {
    return Math.max(0, ...this.nodes.map((node) => node.membership()?.lineage ?? 0));
  }

  /** Whether these members are a majority, whichever of the memberships known somewhere is in force. */
  isMajority(ids: readonly string[]): boolean {
    return areMajority(ids, mayBeInForce(this.nodes.flatMap((node) => node.known() ?? [])));
  }

  /** Somebody who was a member and is not the node of that name any more. */
  hasStaleMember(): boolean {
    return this.nodes.some((node) =>
      (node.membership()?.members ?? []).some(({ id }) => this.node(id).id !== id),
    );
  }

  /** Replaces the disk of a node. What only this disk had is gone. */
  wipe(node: SimulatedNode): void {
    // The power fails first: what is on its way to a disk may still get there.
    node.crash();
    const others = this.nodes.filter((other) => other !== node).flatMap(keptEntries);
    this.#lostDisks.lose(node.id, { entries: keptEntries(node), applied: node.appliedOnDisk() }, others);
    node.wipe();
  }

  /** A node was told to go on without the others. Its disk may have refused: whether it did shows later. */
  forcing(forced: Omit<Forced, 'at'>): void {
    this.#forcing = forced;
  }

  /** The one order of the writes, as far as any node has applied it. */
  appliedWrites(): AppliedWrite[] {
    return this.#truth.writes();
  }

  truth(): Truth {
    return this.#truth;
  }

  /** Values that came back, or that the disk of a node which was removed still holds, or one that is no more. */
  recoveredValues(): ReadonlySet<number> {
    const members = new Set<string>(this.membership().map((member) => member.id));
    const outside = this.nodes.filter((node) => !members.has(node.id));
    const values = outside.flatMap(keptEntries).map(({ value }) => value);
    return new Set([...this.#truth.recovered(), ...this.#lostDisks.destroyed(), ...values]);
  }

  /** A member has something yet that is to come back. */
  isHandingOver(): boolean {
    return this.membership().some(({ id }) => this.node(id).id === id && this.node(id).handsOver());
  }

  /** What the members hold that are up. */
  finalStates(): FinalState[] {
    return this.membership().flatMap(({ id }) => {
      const node = this.node(id);
      if (node.id !== id) return [];
      const state = node.applied();
      const documents = state === undefined ? 'nothing' : renderDocuments(state);
      return [{ node: id, index: node.appliedIndex(), documents: node.isWitness() ? undefined : documents }];
    });
  }

  /** All works again: tells the checkers who is in which lineage. */
  seeEnd(): void {
    const at = this.#world.now();
    const forced = this.#forcing;
    if (forced !== undefined && forced.lineage === this.lineage())
      this.#truth.forced({ ...forced, at: this.#forcedAt });
    const known = this.nodes.filter((node) => node.isUp() && node.membership() !== undefined);
    this.fencing.seeEnd(known.map((node) => ({ at, node: node.id, lineage: node.lineage() })));
  }

  #send(letter: Letter): void {
    const { from, to, message } = letter;
    if (message.kind === 'raft') {
      if (isPromise(message.message)) this.fencing.seePromise(from, message.message);
      if (message.message.kind === 'append_accepted')
        this.#lostDisks.said(from, message.message.term, message.message.match);
    }
    const [here, there] = [nameOf(from as NodeId), nameOf(to as NodeId)];
    // To who it was before its disk was replaced: nobody is left to hear it.
    if (here !== there) this.network.send(here, there, letter);
  }

  #seeNode(node: SimulatedNode): void {
    const [term, isLeader, lineage] = [node.term(), node.isLeader(), node.lineage()];
    this.fencing.see({ at: this.#world.now(), node: node.id, term, isLeader, lineage });
    if (!isLeader) return;
    if (lineage === this.#forcing?.lineage) this.#forcedAt = Math.min(this.#forcedAt, this.#world.now());
    if (term > this.#lastElectedTerm) {
      this.#lastElectedTerm = term;
      this.#watch?.('elected', node);
    }
    if (node.holdsOldMajority()) this.#watch?.('holds_old_majority', node);
  }

  #observer() {
    return {
      seeNode: (node: SimulatedNode) => this.#seeNode(node),
      seeApplied: (node: SimulatedNode, entries: readonly Entry[]) => {
        for (const entry of entries) this.#seeApplied(node, entry);
      },
      durableOn: (index: number, term: number) => [
        ...this.nodes.filter((node) => node.holds(index, term)).map((node) => node.id),
        ...this.#lostDisks.heldBy(index, term),
      ],
    };
  }

  #seeApplied(node: SimulatedNode, { index, term, body }: Entry): void {
    // A witness knows where something stands, not what.
    if (body.kind === 'withheld') return;
    const command = body.kind === 'data' ? decodeCommand(body.data) : undefined;
    const what = command === undefined ? body.kind : `${command.kind} ${command.value}`;
    const [at, lineage] = [this.#world.now(), node.lineage()];
    const content = `${what} of term ${term}`;
    this.fencing.seeApplied({ at, node: node.id, index, lineage, content });
    this.#truth.see({ index, term, lineage, command });
  }
}

function keptEntries(node: SimulatedNode): KeptEntry[] {
  return node
    .entriesOnDisk()
    .flatMap(({ body, index, term }) =>
      body.kind === 'data' ? [{ index, term, value: decodeCommand(body.data).value }] : [],
    );
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
