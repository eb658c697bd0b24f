/** The enemy of a leaderless database: it breaks what the profile allows, and mends it again. Nobody leads, so nobody is special. */

import { calmDisk } from '../disk.ts';
import { badLink, calmLink } from '../network.ts';
import type { SeededRandom } from '../random.ts';
import { microsecondsOf, type World } from '../world.ts';
import type { LeaderlessCluster } from './cluster.ts';
import type { LeaderlessNode } from './leaderless-node.ts';
import type { LeaderlessFault, LeaderlessProfile } from './profiles.ts';

const faultMsMin = 50;
const faultMsMax = 2_500;

export class LeaderlessNemesis {
  readonly #world: World;
  readonly #cluster: LeaderlessCluster;
  readonly #profile: LeaderlessProfile;
  readonly #random: SeededRandom;
  readonly #faults: readonly LeaderlessFault[];
  #isActive = true;

  constructor(world: World, cluster: LeaderlessCluster, profile: LeaderlessProfile) {
    this.#world = world;
    this.#cluster = cluster;
    this.#profile = profile;
    this.#random = world.random.fork('nemesis');
    this.#faults = profile.isSwarm ? profile.faults.filter(() => this.#random.chance(0.6)) : profile.faults;
  }

  start(): void {
    this.#world.note('nemesis', 'chose', this.#faults);
    this.#next();
  }

  healAll(): void {
    this.#isActive = false;
    this.#world.note('nemesis', 'heals', 'all');
    const { network, nodes } = this.#cluster;
    network.partition([nodes.map((node) => node.id)]);
    network.setEveryCondition(calmLink);
    for (const node of nodes) {
      node.disk.setCondition(calmDisk);
      node.resume();
      node.start();
    }
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

  #strike(kind: LeaderlessFault): void {
    this.#world.note('nemesis', 'strikes', kind);
    const { network, nodes } = this.#cluster;
    const victim = this.#random.pick(nodes);
    switch (kind) {
      case 'crash':
        return this.#crash([victim]);
      case 'crash_all':
        return this.#crash(nodes);
      case 'wipe':
        return this.#wipe();
      case 'pause':
        victim.pause();
        return this.#later(() => victim.resume());
      case 'cut_link': {
        const [from, to] = this.#random.sample(nodes, 2);
        network.setCut(from!.id, to!.id, true);
        return this.#later(() => network.setCut(from!.id, to!.id, false));
      }
      case 'slow_link':
        return this.#slowLink();
      case 'partition':
        return this.#partition();
      case 'bad_links':
        return this.#badLinks();
      case 'slow_replica':
        return this.#slow(victim);
      case 'full_disk':
        victim.disk.setCondition({ ...calmDisk, isFull: true });
        return this.#later(() => victim.disk.setCondition(calmDisk));
      case 'clock_jump':
        this.#cluster.oracle.areClocksRight = false;
        return victim.clock.jump(this.#random.between(-60_000, 60_000));
    }
  }

  #crash(nodes: readonly LeaderlessNode[]): void {
    for (const node of nodes) {
      node.crash();
      this.#later(() => node.start());
    }
  }

  /** One disk at a time, and the next one only once the last is whole again: fewer than W of a write's replicas. */
  #wipe(): void {
    const { oracle, owners } = this.#cluster;
    if (oracle.openLosses() > 0 || !owners.every((node) => node.isWhole())) return;
    const victim = this.#random.pick(owners);
    victim.wipe();
    this.#later(() => victim.start());
  }

  #partition(): void {
    const ids = this.#cluster.nodes.map((node) => node.id);
    const some = this.#random.sample(ids, this.#random.between(1, ids.length - 1));
    this.#world.note('nemesis', 'parts', some);
    this.#cluster.network.partition([some, ids.filter((id) => !some.includes(id))]);
    this.#later(() => this.#cluster.network.partition([ids]));
  }

  #slowLink(): void {
    const { network, nodes } = this.#cluster;
    const [from, to] = this.#random.sample(nodes, 2);
    const delayMs = this.#random.between(200, 1_200);
    network.setCondition(from!.id, to!.id, { ...calmLink, delayMsMin: delayMs / 2, delayMsMax: delayMs });
    this.#later(() => network.setCondition(from!.id, to!.id, calmLink));
  }

  #badLinks(): void {
    this.#cluster.network.setEveryCondition(badLink(this.#random));
    this.#later(() => this.#cluster.network.setEveryCondition(calmLink));
  }

  /** Alive, and later than everybody is used to: its disk, and its links in both directions. */
  #slow(victim: LeaderlessNode): void {
    const { network, nodes } = this.#cluster;
    const delayMs = this.#random.between(10, 250);
    const slowLink = { ...calmLink, delayMsMin: delayMs / 2, delayMsMax: delayMs };
    const set = (isSlow: boolean) => {
      for (const node of nodes) {
        if (node === victim) continue;
        network.setCondition(node.id, victim.id, isSlow ? slowLink : calmLink);
        network.setCondition(victim.id, node.id, isSlow ? slowLink : calmLink);
      }
      victim.disk.setCondition(isSlow ? { ...calmDisk, syncMsMin: 5, syncMsMax: delayMs } : calmDisk);
    };
    set(true);
    this.#later(() => set(false));
  }

  #later(mend: () => void): void {
    const durationMs = this.#random.between(faultMsMin, this.#random.pick([300, faultMsMax]));
    this.#world.after(microsecondsOf(durationMs), () => {
      if (this.#isActive) mend();
    });
  }
}
