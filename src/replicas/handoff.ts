/**
 * Hinted handoff: what owners missed is kept (hint-store.ts), and brought to them once they answer again. The core
 * (leaderless/hints.ts) says how much is kept and when to try; here time passes, and batches leave.
 *
 *     write, n3 does not answer  ──► keep        hints of one moment in one commit
 *     n3 is due, or heard again  ──► bring       oldest first, a batch at a time, what became of each revision since
 *     n3 has a batch durable     ──► forget      it fails: the next try comes later, then later
 */

import { committedOf } from '../database/leaderless.ts';
import { type WholeRevision, wholeDocument } from '../database/whole-documents.ts';
import { TercetError } from '../errors.ts';
import type { HintBook } from '../leaderless/hints.ts';
import type { Log } from '../runtime/log.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import { atTurnEnd } from '../runtime/turn-end.ts';
import { bytesOf, type Delivery, type DeliveryOutcome } from './delivery.ts';
import type { Hint, HintStore, HintWindows, StoredHint } from './hint-store.ts';
import type { ReplicaSet, ReplicaSets } from './replica-sets.ts';

export interface HandoffOptions {
  readonly store: HintStore;
  /** Counts what is in the store. */
  readonly book: HintBook;
  readonly delivery: Delivery;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  readonly log: Log;
  readonly sets: Pick<ReplicaSets, 'all' | 'byIdentity' | 'self' | 'successorOf'>;
  /** Whether it is worth trying to reach a node. */
  readonly isThere: (node: string) => boolean;
}

const expiryMs = 60_000;

export class Handoff {
  readonly #options: HandoffOptions;
  /** By owner: cancels the next try. */
  readonly #tries = new Map<string, () => void>();
  #waiting: Hint[] = [];
  #work: Promise<void> = Promise.resolve();
  #cancelExpiry: () => void = () => {};
  #isClosed = false;

  constructor(options: HandoffOptions) {
    this.#options = options;
  }

  /** What was kept before the process started is brought too. */
  start(): void {
    for (const owner of this.#options.book.backlogs().keys()) this.#tryWhenDue(owner);
    this.#expireLater();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelExpiry();
    for (const cancel of this.#tries.values()) cancel();
    await this.#work;
  }

  /** Durable a moment later: a hint is a shortcut, and nobody's write waits for it. */
  keep(owner: string, set: ReplicaSet, revisions: readonly WholeRevision[]): void {
    if (this.#waiting.length === 0) atTurnEnd(() => void this.#guarded(() => this.#keepWaiting()));
    for (const { id, revision } of revisions) this.#waiting.push(hintFor(owner, set, id, revision));
  }

  /** As {@link keep}, for one who counts the hint: resolves once it is durable. @throws TercetError */
  async keepNow(hints: readonly Hint[]): Promise<'stored' | 'refused'> {
    const kept = await this.#options.store.add(hints);
    for (const { owner } of hints) this.#tryWhenDue(owner);
    return kept;
  }

  /** A node is there again: there is no reason to wait any longer. */
  back(owner: string): void {
    this.#options.book.ownerIsBack(owner);
    this.#tryWhenDue(owner);
  }

  async #keepWaiting(): Promise<void> {
    const hints = this.#waiting;
    this.#waiting = [];
    await this.keepNow(hints);
  }

  #expireLater(): void {
    const { clock, store } = this.#options;
    this.#cancelExpiry = clock.after(expiryMs, () => {
      void this.#guarded(() => store.expire(this.#windows()));
      this.#expireLater();
    });
  }

  #windows(): HintWindows {
    const { sets } = this.#options;
    return {
      windowMsOf: (identity) => sets.byIdentity(identity)?.settings.hintWindowMs,
      windowMsMin: Math.min(...sets.all().map(({ settings }) => settings.hintWindowMs)),
    };
  }

  #tryWhenDue(owner: string): void {
    const { book, clock } = this.#options;
    const dueMs = book.dueAt(owner);
    this.#tries.get(owner)?.();
    this.#tries.delete(owner);
    if (dueMs === undefined || this.#isClosed) return;
    const delayMs = Math.max(0, dueMs - clock.monotonic());
    this.#tries.set(
      owner,
      clock.after(delayMs, () => this.#bring(owner)),
    );
  }

  #bring(owner: string): void {
    const { book, clock, isThere } = this.#options;
    if (!book.begin(owner, clock.monotonic())) return this.#tryWhenDue(owner);
    void this.#guarded(async () => {
      try {
        await this.#handOn(owner);
        if (isThere(owner)) await this.#bringAll(owner);
        else book.failed(owner, this.#moment());
      } catch (error) {
        book.failed(owner, this.#moment());
        throw error;
      }
    }).finally(() => this.#tryWhenDue(owner));
  }

  /** Where another one took the owner's place, its hints are that one's; where that is this node, it has what they name. */
  async #handOn(owner: string): Promise<void> {
    const { sets, store } = this.#options;
    const successorOf = ({ identity }: Pick<Hint, 'identity'>) => sets.successorOf(identity, owner);
    if (sets.all().every((set) => successorOf(set) === undefined)) return;
    for await (const hints of store.ofOwner(owner)) {
      const moving = hints.filter((hint) => successorOf(hint) !== undefined);
      const others = moving
        .map((hint): Hint => ({ ...hint, owner: successorOf(hint) ?? owner }))
        .filter((hint) => hint.owner !== sets.self);
      // What there is no room for stays as it is, and is tried again.
      if (others.length > 0 && (await this.keepNow(others)) === 'refused') return;
      await store.remove(moving, 'handed_on');
    }
  }

  /** A batch is under way when this begins, and whenever it waits. */
  async #bringAll(owner: string): Promise<void> {
    const { book, clock, store } = this.#options;
    let isAny = false;
    for await (const hints of store.ofOwner(owner)) {
      let left = hints;
      while (left.length > 0) {
        const taken = this.#isClosed ? 0 : await this.#bringBatch(owner, left);
        if (taken === 0) return book.failed(owner, this.#moment());
        left = left.slice(taken);
        isAny = true;
        book.delivered(owner);
        if (!book.begin(owner, clock.monotonic())) return;
      }
    }
    // What was kept meanwhile is due at once; what is counted and not to be found is not looked for all the time.
    if (isAny) book.delivered(owner);
    else book.failed(owner, this.#moment());
  }

  /** Brings what of these, oldest first, goes at once. Gives how many hints are done with; 0: the owner did not take them. */
  async #bringBatch(owner: string, hints: readonly StoredHint[]): Promise<number> {
    const { book, delivery, sets, store } = this.#options;
    const windows = this.#windows();
    const loaded: (readonly WholeRevision[])[] = [];
    const taken = book.batchLength(this.#sizes(hints, windows, loaded));
    const batch = hints.slice(0, taken);
    await store.removeEnded(batch, windows);
    const identities = new Set(batch.map((hint) => hint.identity));
    const outcomes = await Promise.all(
      [...identities].map(async (identity) => {
        const its = batch.filter((hint) => hint.identity === identity);
        const set = sets.byIdentity(identity);
        const revisions = loaded.flatMap((its, at) => (batch[at]?.identity === identity ? its : []));
        const kind = await new Promise<DeliveryOutcome>((resolve) => {
          if (set === undefined || revisions.length === 0) resolve('durable');
          // Named as the one whom it is for: whoever kept a hint need not be an owner.
          else delivery.send({ to: owner, set, revisions, owner }, resolve);
        });
        if (kind !== 'durable' && kind !== 'rejected') return false;
        await store.remove(its, kind === 'durable' ? 'delivered' : 'discarded');
        return true;
      }),
    );
    return outcomes.every((isDone) => isDone) ? taken : 0;
  }

  /** Reads what became of the revisions since, one hint after the other, as far as somebody asks how large it is. */
  *#sizes(
    hints: readonly StoredHint[],
    windows: HintWindows,
    loaded: (readonly WholeRevision[])[],
  ): Iterable<number> {
    const { sets, store } = this.#options;
    const seen = new Set<string>();
    for (const hint of hints) {
      const set = store.endOf(hint, windows) === undefined ? sets.byIdentity(hint.identity) : undefined;
      const found =
        set === undefined ? [] : wholeDocument(committedOf(set.database), hint.id, [hint.revision]);
      // Several hints of one document are often one revision by now.
      const news = found.filter(({ revision }) => !seen.has(`${hint.identity} ${hint.id} ${revision}`));
      for (const { revision } of news) seen.add(`${hint.identity} ${hint.id} ${revision}`);
      loaded.push(news);
      yield bytesOf(news);
    }
  }

  #moment() {
    const { clock, random } = this.#options;
    return { nowMs: clock.monotonic(), random: random.next() };
  }

  /** Work that goes on behind the requests; what stops it is told to the operator. */
  #guarded(work: () => Promise<void>): Promise<void> {
    const guarded = work().catch((error: unknown) => {
      const level = error instanceof TercetError ? 'warn' : 'error';
      this.#options.log[level]({ err: error }, 'hints for other nodes cannot be kept or brought');
    });
    this.#work = Promise.all([this.#work, guarded]).then(() => undefined);
    return guarded;
  }
}

export function hintFor(
  owner: string,
  { database, identity }: Pick<ReplicaSet, 'database' | 'identity'>,
  id: string,
  revision: string,
): Hint {
  return { owner, database: database.name, identity, id, revision };
}
