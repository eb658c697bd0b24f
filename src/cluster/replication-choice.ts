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
import type { Replication, ReplicationChoice } from '../database/model.ts';
import { digest128 } from '../runtime/digest.ts';
import type { DatabaseRef } from './commands.ts';

const incarnationLength = 16;

/** What is chosen, without what the group adds. */
export function choiceOf(replication: Replication): ReplicationChoice {
  switch (replication.strategy) {
    case 'multi-leader':
      return { strategy: replication.strategy };
    case 'single-leader':
      return { strategy: replication.strategy, ack: replication.ack };
    case 'leaderless':
      return { strategy: replication.strategy, settings: replication.settings };
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

/** What the group calls a database of its that is here. */
export function identityOf(databases: Databases, name: string): string {
  const replication = databases.replication(name);
  return 'identity' in replication ? replication.identity : databases.get(name).incarnation;
}
