/**
 * Who looks after the cluster: takes in again whoever came back with an empty disk or was fenced out, and appoints a leader
 * where leaders are appointed and there is none.
 *
 * It speaks to whoever it can reach, and makes the same steps as a leader makes for a node that asks (group-joining.ts).
 */

import type { Cluster } from './cluster.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { microsecondsOf, type World } from './world.ts';

const lookEveryMs = 250;

export interface OperatorOptions {
  readonly world: World;
  readonly cluster: Cluster;
  readonly appointsLeaders: boolean;
}

export class Operator {
  readonly #options: OperatorOptions;
  readonly #joining = new Set<string>();
  #reachable: readonly SimulatedNode[];

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#reachable = options.cluster.nodes;
  }

  start(): void {
    this.#options.world.after(microsecondsOf(lookEveryMs), () => {
      this.#look();
      this.start();
    });
  }

  /** These nodes are all that work. */
  reach(nodes: readonly SimulatedNode[]): void {
    this.#reachable = nodes;
  }

  takeIn(nodes: readonly SimulatedNode[]): void {
    for (const { name } of nodes) this.#joining.add(name);
  }

  /** Everybody who should be is a member. */
  isIdle(): boolean {
    return this.#joining.size === 0;
  }

  #look(): void {
    const { appointsLeaders, cluster } = this.#options;
    const leader = cluster.leader();
    const mayBeAsked = leader !== undefined && leader.lineage() === cluster.lineage();
    if (mayBeAsked && this.#reachable.includes(leader)) this.#takeNextIn(leader);
    else if (appointsLeaders) this.#appoint();
  }

  /** Of those that work: whoever was heard a moment ago and is cut off for good would be one more vote to miss. */
  #takeNextIn(leader: SimulatedNode): void {
    const { cluster } = this.#options;
    const name = [...this.#joining].find((each) => this.#reachable.includes(cluster.node(each)));
    if (name === undefined) return;
    const { id } = cluster.node(name);
    const step = leader.joiningStep(id);
    // Others have their turn, should this one be slow.
    this.#joining.delete(name);
    if (step !== 'already_so') this.#joining.add(name);
    if (typeof step === 'object')
      leader.request((request) => ({ kind: 'change_membership', id: request, change: step }));
  }

  /** The voter that has most of the log can be elected; who is none would say so. */
  #appoint(): void {
    const lineage = this.#options.cluster.lineage();
    const isEligible = (node: SimulatedNode) =>
      node.isUp() && node.isVoter() && node.membership()?.lineage === lineage;
    const [best] = this.#reachable.filter(isEligible).sort((left, right) => byLog(right, left));
    best?.request((id) => ({ kind: 'promote', id }));
  }
}

/** The one with the shorter log first. */
export function byLog(left: SimulatedNode, right: SimulatedNode): number {
  const [one, other] = [left.lastPosition(), right.lastPosition()];
  return (one?.term ?? 0) - (other?.term ?? 0) || (one?.index ?? 0) - (other?.index ?? 0);
}
