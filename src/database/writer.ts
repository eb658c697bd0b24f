/**
 * The one writer of a database: gathers waiting writes into turns, one turn on its way to the disk at a time.
 *
 * While a turn's batch becomes durable the next writes gather; they are checked only once it is, against committed
 * state. So a write is never checked against something that a crash could take back, and one fsync carries them all.
 */

import { atTurnEnd } from '../runtime/turn-end.ts';
import type { CommitOptions } from '../store/store.ts';
import type { Turn, TurnResult } from './turn.ts';

/** A turn ends when its batch has this many bytes, so that no batch holds the event loop or the disk for long. */
const TURN_BYTES_MAX = 4_000_000;

type Work = (turn: Turn) => void;

interface Task {
  /** Runs in a turn; throws to fail alone. May run again, on another turn, before either is committed. */
  readonly run: Work;
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
  readonly options: CommitOptions;
}

export interface WriterHost {
  readonly begin: () => Turn;
  /** Makes the turn durable and then visible. */
  readonly commit: (result: TurnResult, options: CommitOptions) => Promise<void>;
}

export class Writer {
  readonly #host: WriterHost;
  #waiting: Task[] = [];
  #running: Promise<void> | undefined;

  constructor(host: WriterHost) {
    this.#host = host;
  }

  /** Runs `work` in a coming turn; resolves with its result when the turn is durable. */
  submit<Result>(work: (turn: Turn) => Result, options: CommitOptions = {}): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      let result: Result;
      this.#waiting.push({
        run: (turn) => {
          result = work(turn);
        },
        resolve: () => resolve(result),
        reject,
        options,
      });
      // A turn starts after the current batch of socket events, so that requests read together are written together.
      this.#running ??= new Promise((done) => atTurnEnd(() => void this.#drain().finally(done)));
    });
  }

  /** Resolves when everything submitted so far is durable or refused. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#waiting.length > 0) await this.#turn();
    } finally {
      this.#running = undefined;
    }
  }

  async #turn(): Promise<void> {
    const { tasks, turn } = this.#gather();
    try {
      const patienceMs = Math.min(...tasks.map(({ options }) => options.patienceMs ?? 0));
      await this.#host.commit(turn.finish(), { patienceMs });
    } catch (cause) {
      for (const task of tasks) task.reject(cause);
      return;
    }
    for (const task of tasks) task.resolve();
  }

  /** Runs what waits, until the turn is full; a task that fails leaves nothing of itself in the turn. */
  #gather(): { readonly turn: Turn; readonly tasks: readonly Task[] } {
    let turn = this.#host.begin();
    let tasks: Task[] = [];
    let taken = 0;
    while (taken < this.#waiting.length && (taken === 0 || turn.bytes < TURN_BYTES_MAX)) {
      const task = this.#waiting[taken]!;
      const before = turn.mutations;
      try {
        task.run(turn);
        tasks.push(task);
        taken += 1;
      } catch (cause) {
        task.reject(cause);
        this.#waiting.splice(taken, 1);
        if (turn.mutations === before) continue;
        // It failed half-way: the others begin again without it, on a fresh turn.
        turn = this.#host.begin();
        tasks = [];
        taken = 0;
      }
    }
    this.#waiting = this.#waiting.slice(taken);
    return { turn, tasks };
  }
}
