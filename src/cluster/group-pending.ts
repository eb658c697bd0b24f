/** Promises by the number that their answer will carry: each settles once, whatever happens. */

export class Pending<Answer> {
  readonly #open = new Map<number, (answer: Answer) => void>();

  open(id: number): Promise<Answer> {
    return new Promise((resolve) => this.#open.set(id, resolve));
  }

  settle(id: number, answer: Answer): void {
    const resolve = this.#open.get(id);
    this.#open.delete(id);
    resolve?.(answer);
  }

  settleAll(answer: Answer): void {
    for (const id of [...this.#open.keys()]) this.settle(id, answer);
  }
}
