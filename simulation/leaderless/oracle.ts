/** What the world knows and no replica does: every revision ever made and what it was made from, every disk that was lost. */

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
  readonly wipes: { readonly node: string; readonly at: number }[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  /** A revision came into the world; a merge may do so on several replicas. */
  made(told: ToldRevision, node: string): void {
    const { path, revision, parents } = told;
    const parent = path.ids[1];
    if (!this.#madeAt.has(revision)) this.#madeAt.set(revision, this.#world.now());
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

  wiped(node: string): void {
    this.wipes.push({ node, at: this.#world.now() });
  }

  /** Whether `revision` is among `of`, or one of these was made from it. */
  isKnownTo(revision: Revision, of: readonly Revision[]): boolean {
    return of.some((one) => this.#lineage(one).has(revision));
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
