/**
 * Fetches a state from the leader when its log no longer reaches back to this node.
 *
 *     the core needs it ─► open ─► pieces ─► missing contents ─► nothing is applied ─► one batch ─► the core goes on
 *                           ▲                                                            │
 *                           └──────────────── failed: once more, from the start ◄────────┘
 *
 * 1. The state in use is exchanged for another one by one batch, with the applied index and the core's log: there is no
 *    moment, not even after a crash, at which a mixture could be read or built upon. So nothing has to be remembered: a
 *    core that is still behind after a restart asks again.
 * 2. Changes are laid over the very state they were asked for: when entries were applied since, they do not fit.
 *
 * Left out: going on with a transfer that broke off half-way. A second one begins where this node is, as the first did.
 */

import type { Databases, PlacedDatabase } from '../database/databases.ts';
import { failure } from '../errors.ts';
import type { Log } from '../runtime/log.ts';
import type { Clock } from '../runtime/ports.ts';
import { DatabaseKeys } from '../store/keys.ts';
import type { Store } from '../store/store.ts';
import { appliedOperation, type Catalog } from './catalog.ts';
import type { Group, StateNeed } from './group.ts';
import { countersOf } from './state-transfer-changes.ts';
import {
  type DatabasePosition,
  decodeOpened,
  decodePiece,
  encodeJson,
  type OpenedState,
  type StateRequest,
} from './state-transfer-codec.ts';
import { StateDraft } from './state-transfer-draft.ts';

export interface StateTargetContext {
  readonly store: Store;
  readonly databases: Databases;
  readonly catalog: Catalog;
  readonly group: () => Pick<Group, 'installState' | 'status'>;
  readonly request: (peer: string, bytes: Uint8Array, timeoutMs: number) => Promise<Uint8Array>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Gathering what changed may take long. */
const openMsMax = 120_000;
const pieceMsMax = 30_000;
const retryMs = 250;
/** Afterwards it waits until the core asks again. */
const attemptsMax = 40;

export class StateTarget {
  readonly #context: StateTargetContext;
  #need: StateNeed | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(context: StateTargetContext) {
    this.#context = context;
  }

  /** A later need replaces the one that is not met yet, unless it is the same one again. */
  need(need: StateNeed): void {
    if (this.#need?.from !== need.from || this.#need.scope !== need.scope) this.#need = need;
    if (!this.#isClosed) this.#running ??= this.#run();
  }

  /** Resolves when nothing is being fetched. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log } = this.#context;
    for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
      const need = this.#need;
      if (need === undefined || this.#isClosed) break;
      try {
        await this.#fetch(need);
        // Should this not have been enough, the core asks again.
        this.#need = undefined;
      } catch (cause) {
        log.warn({ err: cause, from: need.from, attempt }, 'the state of the group could not be fetched');
        await this.#pause();
      }
    }
    this.#need = undefined;
    this.#running = undefined;
  }

  async #fetch(need: StateNeed): Promise<void> {
    const { catalog, databases, log, store } = this.#context;
    // Fenced out meanwhile, or taken in again: the core asks for what it needs now.
    if (need.scope !== this.#scopeNeeded()) return;
    const basis = catalog.appliedIndex();
    // The log of another leader may have reached back far enough.
    if (need.scope === 'changes' && basis >= need.atLeast) return;
    const have = need.scope === 'whole' ? [] : this.#positions();
    const open: StateRequest = { op: 'open', atLeast: need.atLeast, have };
    const opened = decodeOpened(await this.#ask(need.from, open, openMsMax));
    const draft = new StateDraft({ store, databases, catalog });
    try {
      await draft.begin(opened.databases);
      await this.#receive(need.from, opened, draft);
      await this.#install(need, { basis, opened, draft });
    } catch (cause) {
      draft.abandon();
      throw cause;
    }
    const { index } = opened.point;
    log.info({ from: need.from, basis, index }, 'fetched the state of the group');
  }

  /** As the core has it: what is here is not a part of what the group has, or a witness has nothing. */
  #scopeNeeded(): StateNeed['scope'] {
    const { fencedOut, id, members } = this.#context.group().status();
    const isWitness = members.some((member) => member.id === id && member.kind === 'witness');
    return fencedOut || isWitness ? 'whole' : 'changes';
  }

  #positions(): DatabasePosition[] {
    const { catalog, databases, store } = this.#context;
    const names = [...catalog.names()].filter(
      ([, name]) => databases.replication(name).strategy === 'single-leader',
    );
    return names.map(([reference, name]) => {
      const keys = new DatabaseKeys(databases.numberOf(name));
      const { lastSequence, purgeSequence } = countersOf(store, keys);
      return { reference, sequence: lastSequence, purgeSequence };
    });
  }

  async #receive(from: string, { session }: OpenedState, draft: StateDraft): Promise<void> {
    for (let piece = 0; ; piece += 1) {
      const answer = await this.#ask(from, { op: 'next', session, piece }, pieceMsMax);
      const { isLast, records } = decodePiece(answer);
      await draft.take(records);
      if (isLast) break;
    }
    await draft.complete(async (reference, suffixes) => {
      const keys = suffixes.map((suffix) => Buffer.from(suffix).toString('hex'));
      return decodePiece(await this.#ask(from, { op: 'contents', reference, keys }, pieceMsMax)).records;
    });
  }

  async #install(
    { scope }: StateNeed,
    {
      basis,
      opened,
      draft,
    }: { readonly basis: number; readonly opened: OpenedState; readonly draft: StateDraft },
  ): Promise<void> {
    const { catalog, databases, group } = this.#context;
    const { point } = opened;
    await catalog.alone(async () => {
      if (catalog.appliedIndex() !== basis) throw new Error('entries were applied meanwhile');
      // What is on its way to being applied belongs to the state that goes, and must not come after the other.
      const { applied, commit } = group().status();
      if (scope === 'whole' && commit > applied) throw new Error('not all is applied yet');
      if (scope === 'changes' && point.index <= basis)
        throw new Error('the state is older than what is here');
      await this.#makeRoom(scope, draft);
      const placed = draft.placed.map((database) => this.#placed(database));
      const names = new Set(placed.map(({ name }) => name));
      const dropped = [...catalog.names().values()].filter((name) => databases.has(name) && !names.has(name));
      let visible: (() => void) | undefined;
      const isDurable = await databases.exchange({ placed, dropped }, async (operations) => {
        const batch = [...operations, ...(await draft.operations()), appliedOperation(point)];
        visible = await group().installState({ point, scope }, batch);
        return visible !== undefined;
      });
      if (!isDurable) throw new Error('the replica ended before the state was durable, or needs another one');
      catalog.stateInstalled(point.index);
      visible?.();
    });
  }

  /**
   * What the group dropped since goes. Where the group went on without this node, it may never have known what is here, and
   * content that the log does not carry would be lost with it: that stays, as this node's alone.
   */
  async #makeRoom(scope: StateNeed['scope'], draft: StateDraft): Promise<void> {
    const { catalog, databases } = this.#context;
    const kept = new Set(draft.placed.map((database) => database.kept));
    for (const { offered } of draft.placed) if (!kept.has(offered.name)) await catalog.makeRoom(offered.name);
    if (scope === 'changes') return;
    for (const name of catalog.names().values()) {
      const isElsewhere = databases.replication(name).strategy === 'single-leader';
      if (!isElsewhere && !kept.has(name)) await catalog.setAside(name);
    }
  }

  #placed({ offered, number, kept }: StateDraft['placed'][number]): PlacedDatabase {
    const { catalog, databases } = this.#context;
    const { incarnation, replication } = catalog.createOptions(offered);
    const own = kept === undefined ? incarnation : databases.get(kept).incarnation;
    return { name: offered.name, number, incarnation: own, replication };
  }

  /** Ends early when this is closed. */
  #ask(peer: string, request: StateRequest, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const closing = failure('service_unavailable', 'The node is closing.');
      if (this.#isClosed) return reject(closing);
      this.#wake = () => reject(closing);
      // What is kept must not keep all of what arrived with it alive, nor change with it.
      const answer = this.#context.request(peer, encodeJson(request), timeoutMs);
      answer.then((bytes) => resolve(new Uint8Array(bytes)), reject);
    });
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#context.clock.after(retryMs, () => resolve());
      this.#wake = () => {
        cancel();
        resolve();
      };
      if (this.#isClosed) this.#wake();
    });
  }
}
