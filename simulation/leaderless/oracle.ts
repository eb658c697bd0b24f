/** What the world knows and no replica does: every revision ever made and what it was made from, every disk that was lost. */

import type { ReplicaOwner } from '../../src/database/model.ts';
import { type Revision, revisionOf } from '../../src/document/revision.ts';
import type { World } from '../world.ts';
import type { ToldRevision } from './messages.ts';

export interface Forgotten {
  readonly id: string;
  readonly leaves: readonly Revision[];
  readonly node: string;
  readonly at: number;
  /** How long ago the last of these was made. */
  readonly ageMs: number;
}

/** What a replica had is gone. */
export interface Loss {
  readonly node: string;
  readonly at: number;
  /** With the node, for good, so what it still says does not count; else with its disk. */
  readonly isGone: boolean;
  /** When the replica was filled again, or the one in its place. */
  until: number;
}

interface Placed {
  readonly at: number;
  readonly owners: readonly ReplicaOwner[];
  readonly members: readonly string[];
}

export class Oracle {
  readonly #world: World;
  readonly #parents = new Map<Revision, readonly Revision[]>();
  readonly #lineages = new Map<Revision, ReadonlySet<Revision>>();
  readonly #madeAt = new Map<Revision, number>();
  readonly forgottenDocuments: Forgotten[] = [];
  /** Wall clocks say what time it is, but for their drift. */
  areClocksRight = true;
  /** Documents of which an owner lacks something that nobody could note to tell it. */
  readonly unhinted = new Set<string>();
  readonly losses: Loss[] = [];
  readonly #placements: Placed[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  /** A revision came into the world; a merge may do so on several replicas. */
  made(told: ToldRevision, node: string): void {
    const { path, revision, parents } = told;
    const parent = path.ids[1];
    // A merge is as old as the last of the writes that it settles, whenever replicas come to know of both.
    const settled =
      parents !== undefined && parents.length > 1 ? parents.map((each) => this.#madeAt.get(each)) : [];
    const madeAt = settled.reduce<number>((last, at = 0) => Math.max(last, at), 0) || this.#world.now();
    if (!this.#madeAt.has(revision)) this.#madeAt.set(revision, madeAt);
    this.#parents.set(
      revision,
      parents ?? (parent === undefined ? [] : [revisionOf(path.start - 1, parent)]),
    );
    this.#world.note(node, 'made', { id: told.id, revision, deleted: told.deleted });
  }

  forgotten(id: string, leaves: readonly Revision[], node: string): void {
    const at = this.#world.now();
    const madeAt = leaves.map((leaf) => this.#madeAt.get(leaf) ?? 0);
    this.forgottenDocuments.push({ id, leaves, node, at, ageMs: (at - Math.max(...madeAt)) / 1_000 });
    this.#world.note(node, 'forgot', { id, leaves });
  }

  lost(node: string, { isGone }: Pick<Loss, 'isGone'>): void {
    // What one had that was taken out was lost then, whatever becomes of its disk.
    if (!isGone && !this.wasMember(node, this.#world.now())) return;
    if (isGone && this.losses.some((loss) => loss.isGone && loss.node === node && this.#isOpen(loss))) return;
    this.losses.push({ node, at: this.#world.now(), isGone, until: Number.POSITIVE_INFINITY });
  }

  /**
   * A replica says that it was filled since it became an owner: what it has is what those had whose place it took, unless it
   * has not heard that its place is another's.
   */
  whole(node: string, since: string): void {
    const { members, owners } = this.placementAt(this.#world.now());
    const own = owners.find((owner) => owner.node === node);
    if (own === undefined || (own.joined ?? '') !== since || !members.includes(node)) return;
    for (const loss of this.losses) {
      const isOfPlace = loss.node === node || own.replaced?.includes(loss.node) === true;
      if (isOfPlace && this.#isOpen(loss)) loss.until = this.#world.now();
    }
  }

  /** How many replicas are not filled again yet. */
  openLosses(): number {
    return new Set(this.losses.filter((loss) => this.#isOpen(loss)).map(({ node }) => node)).size;
  }

  isLost(node: string): boolean {
    return this.losses.some((loss) => loss.node === node && this.#isOpen(loss));
  }

  /** The group decided this. */
  placed(owners: readonly ReplicaOwner[], members: readonly string[]): void {
    this.#placements.push({ at: this.#world.now(), owners, members });
  }

  /** Who owned the database then, and who could be asked by others. */
  placementAt(at: number): Omit<Placed, 'at'> {
    return this.#placements.findLast((placed) => placed.at <= at)!;
  }

  wasOwner(node: string, at: number): boolean {
    return this.placementAt(at).owners.some((owner) => owner.node === node);
  }

  wasMember(node: string, at: number): boolean {
    return this.placementAt(at).members.includes(node);
  }

  /** Whether `revision` is among `of`, or one of these was made from it. */
  isKnownTo(revision: Revision, of: readonly Revision[]): boolean {
    return of.some((one) => this.#lineage(one).has(revision));
  }

  #isOpen({ until }: Loss): boolean {
    return until === Number.POSITIVE_INFINITY;
  }

  /** A revision and all it was made from. */
  #lineage(revision: Revision): ReadonlySet<Revision> {
    const known = this.#lineages.get(revision);
    if (known !== undefined) return known;
    const lineage = new Set<Revision>([revision]);
    for (const parent of this.#parents.get(revision) ?? []) {
      for (const ancestor of this.#lineage(parent)) lineage.add(ancestor);
    }
    if (this.#parents.has(revision)) this.#lineages.set(revision, lineage);
    return lineage;
  }
}
