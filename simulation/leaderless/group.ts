/**
 * What the cluster's group has decided: who is a member, and who took whose place. That a majority agrees on it is simulated
 * elsewhere (../world.ts and what builds on it); here an entry is decided at once, where whoever leads reaches a majority,
 * and nodes hear of it one after the other, from the leader, as far as messages reach them: group-view.ts.
 */

import { replacingOwner, withReplacedOwner } from '../../src/cluster/replication-choice.ts';
import type { ReplicaOwner, Replication } from '../../src/database/model.ts';

export type LeaderlessReplication = Extract<Replication, { strategy: 'leaderless' }>;

export type GroupEntry =
  | { readonly kind: 'add' | 'remove'; readonly node: string }
  | { readonly kind: 'replace_owner'; readonly node: string; readonly by: ReplicaOwner };

/** What there is before the first entry. */
export interface GroupStart {
  readonly members: readonly string[];
  readonly replication: LeaderlessReplication;
}

/** The members when all of these are in the log. */
export function membersAfter(start: GroupStart, entries: readonly GroupEntry[]): readonly string[] {
  let members = start.members;
  for (const { kind, node } of entries) {
    if (kind === 'add') members = [...members, node];
    if (kind === 'remove') members = members.filter((member) => member !== node);
  }
  return members;
}

export function replicationAfter(present: LeaderlessReplication, entry: GroupEntry): LeaderlessReplication {
  return entry.kind === 'replace_owner'
    ? (withReplacedOwner(present, entry) as LeaderlessReplication)
    : present;
}

export class Group {
  readonly start: GroupStart;
  readonly #entries: GroupEntry[] = [];
  #replication: LeaderlessReplication;
  /** Tells the others what was decided. */
  leader: string | undefined;

  constructor(start: GroupStart) {
    this.start = start;
    this.#replication = start.replication;
  }

  entries(): readonly GroupEntry[] {
    return this.#entries;
  }

  members(): readonly string[] {
    return membersAfter(this.start, this.#entries);
  }

  owners(): readonly ReplicaOwner[] {
    return this.#replication.owners!;
  }

  isOwner(node: string): boolean {
    return this.owners().some((owner) => owner.node === node);
  }

  change(kind: 'add' | 'remove', node: string): void {
    this.#decide({ kind, node });
  }

  /** @throws TercetError where the rules of the log say no */
  replaceOwner(node: string, { by, disk }: { readonly by: string; readonly disk: string }): ReplicaOwner {
    const members = this.members().map((name) => ({
      ...{ id: `${name}#${name === by ? disk : '00000000'}`, name, kind: 'voter' as const },
    }));
    const joined = `entry ${this.#entries.length}`;
    const replacement = replacingOwner(this.#replication, { by, node }, { joined, members });
    this.#decide({ kind: 'replace_owner', node, by: replacement });
    return replacement;
  }

  #decide(entry: GroupEntry): void {
    this.#entries.push(entry);
    this.#replication = replicationAfter(this.#replication, entry);
  }
}
