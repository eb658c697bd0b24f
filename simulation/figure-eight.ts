/**
 * Figure 8 of the Raft paper, staged again and again: why a leader may not count entries of earlier terms.
 *
 *   1. n1 is elected, and cut off at once with n2: what begins its term is on those two only.
 *   2. The other three elect n5, which is cut off at once, alone: what begins its term is on its own disk only. n1 and n2
 *      are back.
 *   3. n1 or n2 is elected again, and gives the others what was left from step 1. Once a majority has that, but not what
 *      begins the new term, the leader is cut off. n5 is back, and may win: its last term is higher. It replaces the entry
 *      of step 1, on a majority or not.
 *
 * A leader that called the entry committed in step 3 has told a lie. Chance alone stages this too rarely to rely on.
 */

import type { Cluster, LeaderMoment } from './cluster.ts';
import type { SeededRandom } from './random.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { microsecondsOf, type World } from './world.ts';

const patienceMs = 4_000;

type Scene = 'first_leader' | 'second_leader' | 'third_leader' | 'last_leader';

export interface FigureEightOptions {
  readonly world: World;
  readonly cluster: Cluster;
  readonly random: SeededRandom;
  readonly isActive: () => boolean;
}

export class FigureEight {
  readonly #options: FigureEightOptions;
  #scene: Scene = 'first_leader';
  /** Grows with every change of scene, so that an old one's patience does not end a later one. */
  #changes = 0;

  constructor(options: FigureEightOptions) {
    this.#options = options;
  }

  start(): void {
    this.#options.cluster.watch((moment, node) => {
      // Not within the step in which it is seen.
      this.#options.world.after(0, () => this.#see(moment, node));
    });
  }

  #see(moment: LeaderMoment, node: SimulatedNode): void {
    if (!this.#options.isActive() || !node.isLeader()) return;
    if (this.#scene === 'first_leader' && moment === 'elected') {
      this.#cutOff(node, 1);
      this.#turnTo('second_leader');
    } else if (this.#scene === 'second_leader' && moment === 'elected') {
      this.#cutOff(node, 0);
      this.#turnTo('third_leader');
    } else if (this.#scene === 'third_leader' && moment === 'holds_old_majority') {
      this.#cutOff(node, 0);
      this.#turnTo('last_leader');
    }
  }

  #turnTo(scene: Scene): void {
    this.#scene = scene;
    this.#changes += 1;
    const change = this.#changes;
    this.#options.world.after(microsecondsOf(patienceMs), () => {
      if (!this.#options.isActive() || change !== this.#changes) return;
      this.#options.cluster.network.partition([this.#options.cluster.nodes.map((node) => node.name)]);
      this.#scene = 'first_leader';
      // A new play begins with the next election.
      this.#cutOff(
        this.#options.cluster.leader() ?? this.#options.random.pick(this.#options.cluster.nodes),
        0,
      );
    });
  }

  /** Parts a node and so many others from the rest, and unites the rest. */
  #cutOff(node: SimulatedNode, companions: number): void {
    const { world, cluster, random } = this.#options;
    const others = cluster.nodes.filter((other) => other !== node).map(({ name }) => name);
    const some = [node.name, ...random.sample(others, companions)];
    const rest = others.filter((id) => !some.includes(id));
    world.note('nemesis', 'parts', { scene: this.#scene, groups: [some, rest] });
    cluster.network.partition([some, rest]);
  }
}
