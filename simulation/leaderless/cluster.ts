/** The nodes of a simulated leaderless database, who of them owns it, and the network between them. */

import { placementOf } from '../../src/leaderless/placement.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import { SimulatedClock } from '../clock.ts';
import { SimulatedDisk } from '../disk.ts';
import { Network } from '../network.ts';
import type { World } from '../world.ts';
import type { LeaderlessCanary } from './canaries.ts';
import { Group, type LeaderlessReplication } from './group.ts';
import type { FinalReplica } from './history.ts';
import { LeaderlessNode } from './leaderless-node.ts';
import type { PeerMessage } from './messages.ts';
import { Oracle } from './oracle.ts';

export interface LeaderlessClusterOptions {
  readonly world: World;
  readonly nodes: number;
  readonly settings: LeaderlessSettings;
  readonly canary: LeaderlessCanary;
  /** Owners are replaced. */
  readonly isReplacing?: boolean;
}

const driftMillionthsMax = 200;
const firstDisk = '00000000';

export class LeaderlessCluster {
  readonly oracle: Oracle;
  readonly network: Network<PeerMessage>;
  readonly nodes: readonly LeaderlessNode[];
  readonly settings: LeaderlessSettings;
  readonly group: Group;

  constructor({ world, nodes, settings, canary, isReplacing = false }: LeaderlessClusterOptions) {
    this.settings = settings;
    this.oracle = new Oracle(world);
    const names = Array.from({ length: nodes }, (_, index) => `n${index + 1}`);
    const identity = `seed ${world.seed}`;
    const { owners, standIns } = placementOf({ database: identity, nodes: names, n: settings.n }, digest128);
    this.group = new Group({ members: names, replication: replicationOf(identity, owners, settings) });
    this.oracle.placed(this.group.owners(), names);
    this.network = new Network({
      world,
      nodes: names,
      deliver: (from, to, message) => this.node(to).receive(from, message),
    });
    const random = world.random.fork('clocks');
    this.nodes = names.map((id) => {
      const rate = 1 + random.between(-driftMillionthsMax, driftMillionthsMax) / 1_000_000;
      return new LeaderlessNode({
        ...{ id, world, identity, isReplacing, settings, canary, oracle: this.oracle, group: this.group },
        peers: [...owners, ...standIns],
        disk: new SimulatedDisk({ world, node: id }),
        clock: new SimulatedClock(world, rate),
        send: (from, to, message) => this.network.send(from, to, message),
      });
    });
  }

  /** As the group has decided, whoever has heard of it. */
  get owners(): readonly LeaderlessNode[] {
    return this.group.owners().map(({ node }) => this.node(node));
  }

  /** Whom clients ask: owners, and nodes that take themselves for such. */
  get coordinators(): readonly LeaderlessNode[] {
    const others = this.nodes.filter((node) => !this.group.isOwner(node.id) && node.isOwner());
    return [...this.owners, ...others];
  }

  node(id: string): LeaderlessNode {
    const found = this.nodes?.find((node) => node.id === id);
    if (found === undefined) throw new Error(`no node ${id}`);
    return found;
  }

  start(): void {
    for (const node of this.nodes) node.start(true);
  }

  /** What the owners hold at the end, and what others keep for them. */
  finals(): readonly FinalReplica[] {
    const members = this.group.members();
    // What one that was taken out keeps for others nobody takes from it any more.
    const hinted = this.nodes.filter(({ id }) => members.includes(id)).flatMap((node) => node.hinted());
    return this.owners.map((node) => {
      const store = node.store()!;
      return {
        node: node.id,
        documents: new Map(store.ids().map((id) => [id, store.leaves(id)])),
        graves: store.graves().flatMap(({ leaves }) => leaves),
        quarantined: store.quarantined().map(({ revision }) => revision),
        hinted,
      };
    });
  }

  /** Whether all owners are up and hold the same documents and graves. */
  isEqual(): boolean {
    const roots = this.owners.map((node) => node.store()?.sums(0, [0])[0]);
    return roots.every((root) => root !== undefined && root === roots[0]);
  }
}

function replicationOf(
  identity: string,
  owners: readonly string[],
  settings: LeaderlessSettings,
): LeaderlessReplication {
  const chosen = owners.map((node) => ({ node, disk: firstDisk }));
  return { strategy: 'leaderless', reference: 1, identity, settings, owners: chosen };
}
