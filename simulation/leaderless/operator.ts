/**
 * Who takes owners that are gone out of the cluster and gives their places to others, one after the other, as an operator
 * does: an owner is destroyed or only believed to be, a leader removes it, another node has its place as soon as the leader
 * lets it, and somebody may crash while it is filled. One that was not dead goes on with what it knows, and may be taken in
 * again later, as a spare node with the disk that it has.
 *
 * Fewer than W replicas are lost at a time, so nothing acknowledged may be lost.
 */

import type { SeededRandom } from '../random.ts';
import { microsecondsOf, type World } from '../world.ts';
import type { LeaderlessCluster } from './cluster.ts';
import type { LeaderlessNode } from './leaderless-node.ts';

const retryMs = 60;
const gapMsMax = 400;

type Stage = 'removing' | 'replacing';

export class Operator {
  readonly #world: World;
  readonly #cluster: LeaderlessCluster;
  readonly #random: SeededRandom;
  #isActive = true;
  #present: { readonly victim: LeaderlessNode; readonly stage: Stage } | undefined;
  #isAsking = false;
  /** It may not have heard of much that was decided while it was out. */
  #returned: LeaderlessNode | undefined;

  constructor(world: World, cluster: LeaderlessCluster) {
    this.#world = world;
    this.#cluster = cluster;
    this.#random = world.random.fork('operator');
  }

  start(): void {
    this.#lead();
    this.#beginLater();
  }

  /** What was begun comes to its end, and nothing more is begun. */
  stop(): void {
    this.#isActive = false;
  }

  isIdle(): boolean {
    return this.#present === undefined;
  }

  /** The leader tells what was decided; another one leads where it is gone. */
  #lead(): void {
    this.#leader()?.lead();
    this.#after(100, () => this.#lead());
  }

  #beginLater(): void {
    this.#after(this.#random.between(50, gapMsMax), () => {
      if (!this.#isActive) return;
      if (this.#random.chance(0.5)) this.#takeInAgain();
      const victim = this.#random.pick(this.#cluster.owners);
      if (!this.#mayGo()) return this.#beginLater();
      this.#world.note('operator', 'loses', { owner: victim.id });
      if (this.#random.chance(0.5)) victim.destroy();
      else this.#isolate(victim);
      this.#present = { victim, stage: 'removing' };
      this.#go();
    });
  }

  /** Fewer than W are lost at a time; with W = 1 that cannot be, and at most one is. */
  #mayGo(): boolean {
    const { oracle, settings } = this.#cluster;
    return this.#spares().length > 0 && oracle.openLosses() <= Math.max(0, settings.w - 2);
  }

  /** Some of the others do not hear of it any more, or it hears nothing of some, or all is well: it only seemed to be gone. */
  #isolate(victim: LeaderlessNode): void {
    const { network, nodes } = this.#cluster;
    for (const { id } of nodes) {
      if (id === victim.id) continue;
      if (this.#random.chance(0.4)) network.setCut(id, victim.id, true);
      if (this.#random.chance(0.4)) network.setCut(victim.id, id, true);
    }
  }

  #go(): void {
    if (this.#present === undefined) return;
    this.#after(this.#random.between(retryMs / 2, 2 * retryMs), () => this.#go());
    const leader = this.#leader();
    const { stage, victim } = this.#present;
    if (leader === undefined || this.#isAsking) return;
    if (stage === 'removing') this.#remove(victim, leader);
    else this.#replace(victim, leader);
  }

  #remove(victim: LeaderlessNode, leader: LeaderlessNode): void {
    const { group, oracle } = this.#cluster;
    // One that leads has handed over before.
    if (leader === victim) {
      group.leader = undefined;
      return;
    }
    group.change('remove', victim.id);
    this.#decided('removed', victim);
    oracle.lost(victim.id, { isGone: true });
    this.#present = { victim, stage: 'replacing' };
  }

  #replace(victim: LeaderlessNode, leader: LeaderlessNode): void {
    const { group } = this.#cluster;
    const spares = this.#spares();
    if (spares.length === 0) return;
    const returned = spares.find((node) => node === this.#returned);
    const by = returned !== undefined && this.#random.chance(0.5) ? returned : this.#random.pick(spares);
    this.#isAsking = true;
    const giveUp = this.#after(2_000, () => {
      this.#isAsking = false;
    });
    leader.confirmRemoved({ node: victim.id, by: by.id }, (hindrance) => {
      giveUp();
      if (!this.#isAsking || group.leader !== leader.id) {
        this.#isAsking = false;
        return;
      }
      this.#isAsking = false;
      this.#world.note('operator', 'asked', { hindrance });
      if (hindrance !== undefined) return;
      group.replaceOwner(victim.id, { by: by.id, disk: by.diskId });
      this.#decided('replaced', victim);
      this.#present = undefined;
      if (this.#random.chance(0.5)) this.#keepFromHearing(leader, by);
      this.#disturb(by);
      this.#beginLater();
    });
  }

  /** Somebody hears of it later than others do, most often the new owner. */
  #keepFromHearing(leader: LeaderlessNode, by: LeaderlessNode): void {
    const { group, network } = this.#cluster;
    const deaf = this.#random.chance(0.5) ? by.id : this.#random.pick(group.owners()).node;
    if (deaf === leader.id || !this.#isActive) return;
    network.setCut(leader.id, deaf, true);
    this.#after(this.#random.between(100, 1_000), () => network.setCut(leader.id, deaf, false));
  }

  /** The new owner falls while it is filled, once or twice. */
  #disturb(node: LeaderlessNode): void {
    if (!this.#isActive || !this.#random.chance(0.5)) return;
    this.#after(this.#random.between(20, 500), () => {
      if (!this.#isActive || node.isDestroyed) return;
      node.crash();
      this.#after(this.#random.between(20, 300), () => {
        node.start();
        this.#disturb(node);
      });
    });
  }

  #takeInAgain(): void {
    const { group, nodes } = this.#cluster;
    const out = nodes.filter(({ id, isDestroyed }) => !isDestroyed && !group.members().includes(id));
    if (out.length === 0 || this.#leader() === undefined) return;
    const node = this.#random.pick(out);
    if (this.#random.chance(0.3)) {
      node.wipe();
      node.start();
    }
    group.change('add', node.id);
    this.#returned = node;
    this.#decided('taken in again', node);
  }

  #decided(what: string, { id }: LeaderlessNode): void {
    const { group, oracle } = this.#cluster;
    const owners = group.owners().map(({ node }) => node);
    this.#world.note('operator', what, { node: id, owners, members: group.members() });
    oracle.placed(group.owners(), group.members());
  }

  /** Members that own nothing, and lack nothing that they once counted for. */
  #spares(): readonly LeaderlessNode[] {
    const { group, nodes, oracle } = this.#cluster;
    const members = group.members();
    return nodes.filter(
      ({ id, isDestroyed }) =>
        members.includes(id) && !isDestroyed && !group.isOwner(id) && !oracle.isLost(id),
    );
  }

  /** A member that is up and reaches a majority of them, the present one as long as it does. */
  #leader(): LeaderlessNode | undefined {
    const { group, network } = this.#cluster;
    const members = group.members().map((id) => this.#cluster.node(id));
    const mayLead = (node: LeaderlessNode) => {
      const reached = members.filter(
        (other) => other.isUp() && (other === node || network.areConnected(node.id, other.id)),
      );
      return node.isUp() && reached.length > members.length / 2;
    };
    const present = members.find(({ id }) => id === group.leader);
    if (present !== undefined && mayLead(present)) return present;
    const candidates = members.filter(mayLead);
    const leader = candidates.length === 0 ? undefined : this.#random.pick(candidates);
    group.leader = leader?.id;
    return leader;
  }

  #after(delayMs: number, run: () => void): () => void {
    return this.#world.after(microsecondsOf(delayMs), run);
  }
}
