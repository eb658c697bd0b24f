/**
 * Hinted handoff: what owners missed is kept (hint-store.ts), and brought to them once they answer again.
 *
 *     write, n3 does not answer  ──► keep        hints of one moment in one commit
 *     n3 is heard of again       ──► bring       oldest first, a batch at a time, what became of each revision since
 *     n3 has a batch durable     ──► forget      it fails: the next try comes later, then later
 */

import { committedOf } from '../database/leaderless.ts';
import { type WholeRevision, wholeDocument } from '../database/whole-documents.ts';
import { TercetError } from '../errors.ts';
import type { Log } from '../runtime/log.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import type { Delivery, DeliveryOutcome } from './delivery.ts';
import type { Hint, HintStore, StoredHint } from './hint-store.ts';
import type { ReplicaSet } from './replica-sets.ts';

export interface HandoffOptions {
  readonly store: HintStore;
  readonly delivery: Delivery;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  readonly log: Log;
  readonly setOf: (identity: string) => ReplicaSet | undefined;
  /** Whether it is worth trying to reach a node. */
  readonly isThere: (node: string) => boolean;
  readonly backOff: { readonly msMin: number; readonly msMax: number };
}

const hintsPerBatch = 500;
const expiryMs = 60_000;

interface Backlog {
  isUnderWay: boolean;
  failures: number;
  cancelRetry: () => void;
}

export class Handoff {
  readonly #options: HandoffOptions;
  readonly #backlogs = new Map<string, Backlog>();
  #waiting: Hint[] = [];
  #work: Promise<void> = Promise.resolve();
  #cancelExpiry: () => void = () => {};
  #isClosed = false;

  constructor(options: HandoffOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, store } = this.#options;
    this.#cancelExpiry = clock.after(expiryMs, () => {
      void this.#guarded(async () => {
        await store.expire();
      });
      this.start();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelExpiry();
    for (const { cancelRetry } of this.#backlogs.values()) cancelRetry();
    await this.#work;
  }

  /** Durable a moment later: a hint is a shortcut, and nobody's write waits for it. */
  keep(owner: string, set: ReplicaSet, revisions: readonly WholeRevision[]): void {
    if (this.#waiting.length === 0) setImmediate(() => void this.#guarded(() => this.#keepWaiting()));
    for (const { id, revision } of revisions) this.#waiting.push(hintFor(owner, set, id, revision));
  }

  /** As {@link keep}, for one who counts the hint: resolves once it is durable. @throws TercetError */
  async keepNow(hints: readonly Hint[]): Promise<'stored' | 'refused'> {
    const kept = await this.#options.store.add(hints);
    for (const { owner } of hints) this.#retryLater(owner);
    return kept;
  }

  /** A node is there again: there is no reason to wait any longer. */
  back(owner: string): void {
    if (!this.#options.store.tallies().has(owner)) return;
    const backlog = this.#backlogOf(owner);
    backlog.failures = 0;
    backlog.cancelRetry();
    this.#bring(owner, backlog);
  }

  async #keepWaiting(): Promise<void> {
    const hints = this.#waiting;
    this.#waiting = [];
    const owners = new Set(hints.map(({ owner }) => owner));
    await this.#options.store.add(hints);
    for (const owner of owners) this.#retryLater(owner);
  }

  #backlogOf(owner: string): Backlog {
    let backlog = this.#backlogs.get(owner);
    if (backlog === undefined) {
      backlog = { isUnderWay: false, failures: 0, cancelRetry: () => {} };
      this.#backlogs.set(owner, backlog);
    }
    return backlog;
  }

  #retryLater(owner: string): void {
    const { backOff, clock, random } = this.#options;
    const backlog = this.#backlogOf(owner);
    if (backlog.isUnderWay || this.#isClosed) return;
    const delayMs = Math.min(backOff.msMax, backOff.msMin * 2 ** Math.min(backlog.failures, 30));
    backlog.cancelRetry();
    backlog.cancelRetry = clock.after(delayMs * (0.5 + random.next() / 2), () => this.#bring(owner, backlog));
  }

  #bring(owner: string, backlog: Backlog): void {
    if (backlog.isUnderWay || this.#isClosed) return;
    backlog.isUnderWay = true;
    void this.#guarded(async () => {
      const isDone = this.#options.isThere(owner) && (await this.#bringAll(owner));
      backlog.failures = isDone ? 0 : backlog.failures + 1;
    }).finally(() => {
      backlog.isUnderWay = false;
      if (this.#options.store.tallies().has(owner)) this.#retryLater(owner);
      else this.#backlogs.delete(owner);
    });
  }

  /** Whether the owner took all there were. */
  async #bringAll(owner: string): Promise<boolean> {
    for await (const hints of this.#options.store.ofOwner(owner)) {
      for (let at = 0; at < hints.length; at += hintsPerBatch) {
        if (this.#isClosed || !(await this.#bringBatch(owner, hints.slice(at, at + hintsPerBatch))))
          return false;
      }
    }
    return true;
  }

  async #bringBatch(owner: string, hints: readonly StoredHint[]): Promise<boolean> {
    const { clock, delivery, setOf, store } = this.#options;
    const identities = new Set(hints.map((hint) => hint.identity));
    const all = await Promise.all(
      [...identities].map(async (identity) => {
        const its = hints.filter((hint) => hint.identity === identity);
        const set = setOf(identity);
        const isOld = ({ storedAtMs }: StoredHint) =>
          set === undefined || clock.now() - storedAtMs > set.settings.hintWindowMs;
        const fresh = its.filter((hint) => !isOld(hint));
        await store.remove(its.filter(isOld), 'discarded');
        if (set === undefined || fresh.length === 0) return true;
        const revisions = revisionsOf(set, fresh);
        const kind = await new Promise<DeliveryOutcome>((resolve) => {
          if (revisions.length === 0) resolve('durable');
          else delivery.send({ to: owner, set, revisions }, resolve);
        });
        if (kind !== 'durable' && kind !== 'rejected') return false;
        await store.remove(fresh, kind === 'durable' ? 'delivered' : 'discarded');
        return true;
      }),
    );
    return all.every((isDone) => isDone);
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
  return { owner, database: database.name, identity, id, revision, content: undefined };
}

/** What became of the revisions since: several hints of one document are often one revision by now. */
function revisionsOf(set: ReplicaSet, hints: readonly StoredHint[]): readonly WholeRevision[] {
  const named = new Map<string, Set<string>>();
  for (const { id, revision } of hints) named.set(id, (named.get(id) ?? new Set()).add(revision));
  return [...named].flatMap(([id, revisions]) =>
    wholeDocument(committedOf(set.database), id, [...revisions]),
  );
}
