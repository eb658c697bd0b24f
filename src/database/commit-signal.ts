/** Wakes live feeds when something was committed, and ends them when their database is gone. */
export class CommitSignal {
  readonly #waiters = new Set<() => void>();
  #ended: Error | undefined;

  /** Resolves at the next commit, or at the abort; rejects once the signal has ended. */
  next(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = () => {
        this.#waiters.delete(done);
        signal?.removeEventListener('abort', done);
        if (this.#ended === undefined) resolve();
        else reject(this.#ended);
      };
      this.#waiters.add(done);
      signal?.addEventListener('abort', done);
      if (signal?.aborted === true || this.#ended !== undefined) done();
    });
  }

  committed(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }

  end(cause: Error): void {
    this.#ended = cause;
    this.committed();
  }
}
