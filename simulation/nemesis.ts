/**
 * The enemy: it breaks what the profile allows, at times that the seed draws, and mends it again.
 *
 * A run has three phases. In the first everything may break. In the second a majority is mended for good while the others stay
 * broken, so what is left must make progress. In the third everything is mended, and all must come to agree.
 */

import { assert } from '../src/errors.ts';
import { asTerm } from '../src/single-leader/entry.ts';
import type { Cluster, LeaderMoment } from './cluster.ts';
import { calmDisk } from './disk.ts';
import { FigureEight } from './figure-eight.ts';
import { badLink, calmLink } from './network.ts';
import { byLog, type Operator } from './operator.ts';
import type { FaultKind, Profile } from './profiles.ts';
import type { SeededRandom } from './random.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { microsecondsOf, type World } from './world.ts';

export interface NemesisOptions {
  readonly world: World;
  readonly cluster: Cluster;
  readonly operator: Operator;
  readonly profile: Profile;
  /** Those of the profile that this run meets. */
  readonly faults: readonly FaultKind[];
}

const faultMsMin = 50;
const faultMsMax = 3_000;
const settleMs = 250;
/** As wall clocks give it, in milliseconds: higher than any term that was elected. */
const forcedTerm = 1_800_000_000_000;

export class Nemesis {
  readonly #world: World;
  readonly #cluster: Cluster;
  readonly #operator: Operator;
  readonly #profile: Profile;
  readonly #random: SeededRandom;
  readonly #faults: readonly FaultKind[];
  #isActive = true;
  #hasForced = false;

  constructor({ world, cluster, operator, profile, faults }: NemesisOptions) {
    this.#world = world;
    this.#cluster = cluster;
    this.#operator = operator;
    this.#profile = profile;
    this.#faults = faults;
    this.#random = world.random.fork('nemesis');
  }

  start(): void {
    this.#note('chose', this.#faults);
    if (this.#faults.includes('new_leader')) {
      this.#cluster.watch((moment, node) => this.#strikeNewLeader(moment, node));
    }
    if (this.#faults.includes('figure_8')) this.#stageFigureEight();
    this.#next();
  }

  /** Mends a majority for good, leaves the rest broken in one way or another, and says who is mended. */
  healMajority(): readonly SimulatedNode[] {
    this.#isActive = false;
    const ids = this.#chooseMajority();
    this.#note('heals', ids);
    this.#healAll();
    if (this.#profile.faults.length > 0) {
      for (const node of this.#cluster.nodes) if (!ids.includes(node.id)) this.#breakForGood(node);
    }
    const healed = ids.map((id) => this.#cluster.node(id));
    this.#operator.reach(healed);
    return healed;
  }

  /** Mends everything, and takes nothing back any more. */
  healAll(): void {
    this.#isActive = false;
    this.#note('heals', 'all');
    this.#operator.reach(this.#cluster.nodes);
    this.#healAll();
  }

  #chooseMajority(): string[] {
    // What a witness has a position of only a voter can tell: those that are mended must have it among them.
    const nodes = this.#cluster.nodes.filter((node) => !node.isWitness());
    const shuffled = this.#random.sample(nodes, nodes.length).map((node) => node.id);
    const count = shuffled.findIndex((_, index) => this.#cluster.isMajority(shuffled.slice(0, index + 1)));
    assert(count >= 0, 'those whose disks are left are a majority');
    return shuffled.slice(0, count + 1).sort();
  }

  #next(): void {
    const { gapMsMin, gapMsMax } = this.#profile;
    if (this.#faults.length === 0) return;
    this.#world.after(microsecondsOf(this.#random.between(gapMsMin, gapMsMax)), () => {
      if (!this.#isActive) return;
      this.#strike(this.#random.pick(this.#faults));
      this.#next();
    });
  }

  #stageFigureEight(): void {
    const [world, cluster, random] = [this.#world, this.#cluster, this.#random];
    new FigureEight({ world, cluster, random, isActive: () => this.#isActive }).start();
  }

  /** What a leader began is then on some disks only, in an order that the next leader may not know. */
  #strikeNewLeader(moment: LeaderMoment, node: SimulatedNode): void {
    if (!this.#isActive || moment !== 'elected' || this.#random.chance(0.3)) return;
    this.#world.after(microsecondsOf(this.#random.next() * this.#random.pick([0, 2, 10, 60])), () => {
      if (!this.#isActive || !node.isLeader()) return;
      this.#note('strikes', 'new_leader');
      if (this.#random.chance(0.5)) this.#crash([node]);
      else this.#isolate(node);
    });
  }

  #part(some: readonly string[], rest: readonly string[]): void {
    this.#note('parts', [some, rest]);
    this.#cluster.network.partition([some, rest]);
    this.#later(() => this.#cluster.network.partition([[...some, ...rest]]));
  }

  #strike(kind: FaultKind): void {
    this.#note('strikes', kind);
    switch (kind) {
      case 'crash':
        return this.#crash([this.#victim()]);
      case 'crash_all':
        return this.#crash(this.#cluster.nodes);
      case 'pause':
        return this.#pause(this.#victim());
      case 'cut_link':
        return this.#cutLink();
      case 'partition':
        return this.#partition();
      case 'isolate_leader':
        return this.#isolate(this.#cluster.leader() ?? this.#victim());
      case 'new_leader':
      case 'figure_8':
      case 'witness':
        // These wait for their moments, see start(), or are a way to be.
        return;
      case 'appointed':
        return this.#victim().request((id) => ({ kind: 'promote', id }));
      case 'wipe':
        return this.#wipe(this.#victim());
      case 'force':
        return this.#force();
      case 'bad_links':
        return this.#badLinks();
      case 'slow_disk':
      case 'full_disk':
        return this.#badDisk(this.#victim(), kind === 'full_disk');
      case 'clock_jump':
        return this.#victim().clock.jump(this.#random.between(-60_000, 60_000));
      case 'transfer':
        return this.#cluster.leader()?.request((id) => ({ kind: 'transfer', id, to: undefined }));
      case 'membership':
        return this.#changeMembership();
    }
  }

  /** The leader more often than chance would have it. */
  #victim(): SimulatedNode {
    const leader = this.#cluster.leader();
    return leader !== undefined && this.#random.chance(0.4) ? leader : this.#random.pick(this.#cluster.nodes);
  }

  #crash(nodes: readonly SimulatedNode[]): void {
    for (const node of nodes) {
      node.crash();
      this.#later(() => node.start());
    }
  }

  #pause(node: SimulatedNode): void {
    node.pause();
    this.#later(() => node.resume());
  }

  #cutLink(): void {
    const [from, to] = this.#random.sample(this.#cluster.nodes, 2);
    if (from === undefined || to === undefined) return;
    this.#cluster.network.setCut(from.name, to.name, true);
    this.#later(() => this.#cluster.network.setCut(from.name, to.name, false));
  }

  #partition(): void {
    const ids = this.#cluster.nodes.map((node) => node.name);
    const some = this.#random.sample(ids, this.#random.between(1, ids.length - 1));
    const rest = ids.filter((id) => !some.includes(id));
    this.#part(some, rest);
  }

  #isolate(node: SimulatedNode): void {
    this.#setAlone(node, true);
    this.#later(() => this.#setAlone(node, false));
  }

  #setAlone(node: SimulatedNode, isAlone: boolean): void {
    for (const other of this.#cluster.nodes) {
      if (other === node) continue;
      this.#cluster.network.setCut(node.name, other.name, isAlone);
      this.#cluster.network.setCut(other.name, node.name, isAlone);
    }
  }

  #badLinks(): void {
    this.#cluster.network.setEveryCondition(badLink(this.#random));
    this.#later(() => this.#cluster.network.setEveryCondition(calmLink));
  }

  #badDisk(node: SimulatedNode, isFull: boolean): void {
    const stallMs = this.#random.between(50, 1_500);
    node.disk.setCondition({ syncMsMin: 2, syncMsMax: 40, stall: 0.1, stallMs, isFull });
    this.#later(() => node.disk.setCondition(calmDisk));
  }

  /** One at a time, and only who can be spared: who loses more disks than that has lost what was on them. */
  #wipe(node: SimulatedNode): void {
    const { nodes } = this.#cluster;
    const rest = nodes.filter((other) => other !== node).map(({ id }) => id);
    const isLast =
      !this.#operator.isIdle() || this.#cluster.hasStaleMember() || !this.#cluster.isMajority(rest);
    if (isLast) return;
    this.#cluster.wipe(node);
    this.#operator.takeIn([node]);
    this.#later(() => node.start());
  }

  /** Cuts a minority off and has it go on alone: once in a run, as whoever does it twice has no majority to come back. */
  #force(): void {
    const voters = this.#cluster.membership().filter(({ kind }) => kind === 'voter');
    const up = voters.map(({ id }) => this.#cluster.node(id)).filter((node) => node.isUp());
    const members = this.#random.sample(
      up,
      this.#random.between(1, Math.max(1, Math.ceil(voters.length / 2) - 1)),
    );
    const isReady = this.#operator.isIdle() && !this.#cluster.hasStaleMember() && voters.length > 1;
    if (this.#hasForced || !isReady || members.length === 0) return;
    this.#hasForced = true;
    const others = this.#cluster.nodes.filter((node) => !members.includes(node));
    this.#part(
      members.map(({ name }) => name),
      others.map(({ name }) => name),
    );
    this.#world.after(microsecondsOf(this.#random.between(0, 1_000)), () => {
      // Whose disk was replaced meanwhile is none of those that the operator names: it has nothing to go on with.
      const named = members.filter((node) => voters.some(({ id }) => id === node.id));
      this.#forceOn(named, others);
    });
  }

  #forceOn(members: readonly SimulatedNode[], others: readonly SimulatedNode[]): void {
    const [best] = members.filter((node) => node.isUp()).sort((left, right) => byLog(right, left));
    const last = best?.lastPosition();
    if (!this.#isActive || best === undefined || last === undefined) return;
    const term = asTerm(forcedTerm);
    const voters = members.map(({ id }) => ({ id, kind: 'voter' as const }));
    best.request((id) => ({ kind: 'force', id, term, members: voters }));
    if (best.lineage() !== term) return;
    this.#cluster.forcing({ lineage: term, index: last.index + 1 });
    // A witness among them is to be a voter, on the disk that it has.
    this.#operator.takeIn(others.filter((node) => node.membership() !== undefined));
  }

  /** Takes the node in that is outside, in two steps, or takes one out. */
  #changeMembership(): void {
    if (!this.#operator.isIdle() || this.#cluster.hasStaleMember()) return;
    const members = this.#cluster.membership();
    const learner = members.find((member) => member.kind === 'learner');
    const outside = this.#cluster.nodes.find((node) => !members.some((member) => member.id === node.id));
    const change =
      learner !== undefined
        ? { kind: 'promote_learner' as const, node: learner.id }
        : outside !== undefined
          ? { kind: this.#kindToBe(outside), node: outside.id }
          : { kind: 'remove' as const, node: this.#victim().id };
    this.#cluster.leader()?.request((id) => ({ kind: 'change_membership', id, change }));
  }

  /** A witness that was taken out may come back as one, or as more than that, on the disk that it has. */
  #kindToBe(node: SimulatedNode): 'add_learner' | 'add_witness' {
    return node.isWitness() && this.#random.chance(0.3) ? 'add_witness' : 'add_learner';
  }

  #breakForGood(node: SimulatedNode): void {
    const { network, nodes } = this.#cluster;
    const way = this.#random.pick(['crash', 'pause', 'alone', 'deaf', 'mute', 'full', 'slow'] as const);
    this.#note('leaves', { node: node.id, way });
    if (way === 'crash') node.crash();
    else if (way === 'pause') node.pause();
    else if (way === 'alone') this.#setAlone(node, true);
    else if (way === 'full' || way === 'slow') {
      node.disk.setCondition({
        syncMsMin: 20,
        syncMsMax: 100,
        stall: 0.1,
        stallMs: 500,
        isFull: way === 'full',
      });
    } else {
      for (const other of nodes) {
        if (other === node) continue;
        if (way === 'deaf') network.setCut(other.name, node.name, true);
        else network.setCut(node.name, other.name, true);
      }
    }
  }

  #healAll(): void {
    const { network, nodes } = this.#cluster;
    network.partition([nodes.map((node) => node.name)]);
    network.setEveryCondition(calmLink);
    for (const node of nodes) {
      node.disk.setCondition(calmDisk);
      node.resume();
      node.start();
    }
  }

  /** Mends a fault after a while, unless a later phase has taken over. */
  #later(mend: () => void): void {
    const durationMs = this.#random.between(faultMsMin, this.#random.pick([settleMs, faultMsMax]));
    this.#world.after(microsecondsOf(durationMs), () => {
      if (this.#isActive) mend();
    });
  }

  #note(what: string, detail: unknown): void {
    this.#world.note('nemesis', what, detail);
  }
}
