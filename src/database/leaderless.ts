/** What only a leaderless database has. */

import type { Digest } from '../document/revision.ts';
import type { Clock } from '../runtime/ports.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import type { Store } from '../store/store.ts';
import { HashTree } from './hash-tree.ts';
import { type LeaderlessCounters, LeaderlessTurn } from './leaderless-turn.ts';

export interface LeaderlessOptions {
  /** Name of this node, in the stamps it makes: at most 255 ASCII characters. */
  readonly node: string;
}

interface LeaderlessContext {
  readonly store: Store;
  readonly keys: DatabaseKeys;
  readonly digest: Digest;
  readonly clock: Clock;
}

export class LeaderlessPart {
  /** For comparing replicas. */
  readonly tree: HashTree;
  readonly #context: LeaderlessContext;
  readonly #options: LeaderlessOptions;

  constructor(context: LeaderlessContext, options: LeaderlessOptions) {
    this.#context = context;
    this.#options = options;
    this.tree = new HashTree(context);
  }

  /** For the database: this part of a turn. */
  begin(counters: LeaderlessCounters | undefined): LeaderlessTurn {
    const { clock, digest, keys, store } = this.#context;
    const { node } = this.#options;
    return new LeaderlessTurn({
      ...{ store, keys, digest, counters, node, tree: this.tree },
      nowMs: () => clock.now(),
    });
  }
}
