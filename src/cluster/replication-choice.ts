/**
 * How a database of the group is replicated: what the log says of it, and what a node makes of that.
 *
 *     log: create "cart", identity 7f3a…, leaderless     n1: incarnation of its own, from identity and disk
 *                                                        n2: another one
 *
 * An incarnation names one sequence of changes (see replication/position.ts). The replicas of a single-leader database
 * apply one log and count alike, so they share the one that the log names. Those of any other count each on its own:
 * a token of one must be foreign to the others, and to the same node with another disk, or a client that is led from one
 * to the next would skip changes. What such a database is called by all its nodes is its identity.
 */

import type { Databases } from '../database/databases.ts';
import type { ReplicaOwner, Replication, ReplicationChoice } from '../database/model.ts';
import { failure } from '../errors.ts';
import type { OwnerReplacement } from '../http/services.ts';
import { digest128 } from '../runtime/digest.ts';
import type { DatabaseRef } from './commands.ts';
import type { MemberStatus } from './group.ts';
import { diskOf } from './group-node-id.ts';

const incarnationLength = 16;

/** What is chosen, without what the group adds. */
export function choiceOf(replication: Replication): ReplicationChoice {
  switch (replication.strategy) {
    case 'multi-leader':
      return { strategy: replication.strategy };
    case 'single-leader':
      return { strategy: replication.strategy, ack: replication.ack };
    case 'leaderless': {
      const { owners, settings, strategy } = replication;
      return { strategy, settings, ...(owners && { owners }) };
    }
  }
}

export function replicationOf(
  choice: ReplicationChoice,
  { reference, identity }: { readonly reference: DatabaseRef; readonly identity: string },
): Replication {
  return choice.strategy === 'single-leader' ? { ...choice, reference } : { ...choice, reference, identity };
}

/** The same for the same disk, whether it is told of the database by the log or by a state. */
export function incarnationOf(
  { strategy }: ReplicationChoice,
  { identity, diskUuid }: { readonly identity: string; readonly diskUuid: string },
): string {
  if (strategy === 'single-leader') return identity;
  return digest128(Buffer.from(`${identity} ${diskUuid}`)).slice(0, incarnationLength);
}

/** Chooses N of these nodes for a database of that identity, always the same ones. */
export type PlaceOwners = (question: {
  readonly identity: string;
  readonly nodes: readonly string[];
  readonly n: number;
}) => readonly string[];

interface Placing {
  readonly identity: string;
  readonly members: readonly MemberStatus[];
  readonly place: PlaceOwners;
}

/** A witness has no documents; a learner may never become a member with a say, and a database keeps its owners. */
export function canOwn({ kind }: Pick<MemberStatus, 'kind'>): boolean {
  return kind === 'voter';
}

/**
 * What the log says of a new database: of a leaderless one also who holds it, because a list that follows the members would
 * give the quorums of before and after a change nobody in common.
 * @throws TercetError `bad_request` when there are fewer than N who can
 */
export function withOwners(
  choice: ReplicationChoice,
  { identity, members, place }: Placing,
): ReplicationChoice {
  if (choice.strategy !== 'leaderless') return choice;
  const { n } = choice.settings;
  const disks = new Map(members.filter(canOwn).map(({ id, name }) => [name, diskOf(id)]));
  if (n > disks.size) {
    throw failure('bad_request', `n=${n} replicas need as many voters; the cluster has ${disks.size}.`);
  }
  const nodes = place({ identity, nodes: [...disks.keys()], n });
  return { ...choice, owners: nodes.map((node) => ({ node, disk: disks.get(node)! })) };
}

/** @throws TercetError `bad_request` for another N: who is to come or go would have to be filled, or waited for, first */
export function mustKeepOwners(present: ReplicationChoice, wanted: ReplicationChoice): void {
  if (present.strategy !== 'leaderless' || wanted.strategy !== 'leaderless') return;
  const { n } = present.settings;
  if (wanted.settings.n !== n) throw failure('bad_request', `The database keeps its n=${n} replicas.`);
}

/**
 * Who is to take over, as the log will say it: its place is that of the owner that goes.
 * @throws TercetError `bad_request`, `precondition_failed` while the one that goes may still answer anybody
 */
export function replacingOwner(
  present: Replication,
  { by, node }: OwnerReplacement,
  { joined, members }: { readonly joined: string; readonly members: readonly MemberStatus[] },
): ReplicaOwner {
  const owners = present.strategy === 'leaderless' ? present.owners : undefined;
  if (owners === undefined) {
    throw failure(
      'bad_request',
      'The database has no owners that were chosen: it follows the list of nodes.',
    );
  }
  if (!owners.some((owner) => owner.node === node)) throw failure('bad_request', `${node} is no owner.`);
  if (owners.some((owner) => owner.node === by)) throw failure('bad_request', `${by} is an owner already.`);
  const successor = members.find((member) => member.name === by && canOwn(member));
  if (successor === undefined) throw failure('bad_request', `${by} is no voter of the cluster.`);
  if (members.some(({ name }) => name === node)) {
    throw failure(
      'precondition_failed',
      `${node} is a member of the cluster: only an owner that is gone for good is replaced. Stop it, and take it out with "tercet node remove ${node}" first.`,
    );
  }
  return { node: by, disk: diskOf(successor.id), joined };
}

/** What applying makes of it: nothing, where the owner was replaced meanwhile. */
export function withReplacedOwner(
  present: Replication,
  { by, node }: { readonly node: string; readonly by: ReplicaOwner },
): Replication {
  if (present.strategy !== 'leaderless' || present.owners === undefined) return present;
  const { owners } = present;
  if (owners.some((owner) => owner.node === by.node)) return present;
  const replaced = (owner: ReplicaOwner) => [...(owner.replaced ?? []), node];
  const changed = owners.map((owner) => (owner.node === node ? { ...by, replaced: replaced(owner) } : owner));
  return { ...present, owners: changed };
}

/** What the group calls a database of its that is here. */
export function identityOf(databases: Databases, name: string): string {
  const replication = databases.replication(name);
  return 'identity' in replication ? replication.identity : databases.get(name).incarnation;
}
