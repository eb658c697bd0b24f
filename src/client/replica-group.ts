/** The replicas of one database as a coordinating client knows them: whom to ask first, and what still goes on. */

import { Pace } from './pace.ts';
import type { HeldDocument, ReplicaCalls, RevisionDocument } from './replica-calls.ts';

/** What went wrong with one replica; the request may have succeeded all the same. */
export interface ReplicaFault {
  readonly replica: string;
  readonly during: 'write' | 'read' | 'repair';
  readonly error: unknown;
}

export interface ReplicaGroupOptions {
  readonly replicas: readonly ReplicaCalls[];
  readonly timeoutMs: number;
  readonly onFault: (fault: ReplicaFault) => void;
}

export class ReplicaGroup {
  readonly #replicas: ReadonlyMap<string, ReplicaCalls>;
  readonly #options: ReplicaGroupOptions;
  readonly #pace = new Pace();
  readonly #background = new Set<Promise<void>>();

  constructor(options: ReplicaGroupOptions) {
    this.#options = options;
    this.#replicas = new Map(options.replicas.map((replica) => [replica.name, replica]));
  }

  get names(): readonly string[] {
    return [...this.#replicas.keys()];
  }

  replica(name: string): ReplicaCalls {
    return this.#replicas.get(name)!;
  }

  /** To be sent on: what was read shows attachments without their contents. */
  whole({ document, from }: HeldDocument): Promise<RevisionDocument> | RevisionDocument {
    if (document._attachments === undefined) return document;
    return this.replica(from).revision(document._id, document._rev);
  }

  /** The quickest first. */
  inOrder(): readonly ReplicaCalls[] {
    return this.#pace.inOrder(this.names).map((name) => this.replica(name));
  }

  patienceMs(name: string): number {
    return this.#pace.patienceMs(name);
  }

  /** Remembers how long the replica took. Answers that tell of a failure count as none. */
  async timed<Answer>(name: string, answering: Promise<Answer>): Promise<Answer> {
    const startedAt = performance.now();
    const hasFailed = (kind: unknown) => kind === 'refused' || kind === 'unknown';
    try {
      const answer = await answering;
      if (hasFailed((answer as { kind?: unknown }).kind)) this.#pace.failed(name, this.#options.timeoutMs);
      else this.#pace.answered(name, performance.now() - startedAt);
      return answer;
    } catch (error) {
      this.#pace.failed(name, this.#options.timeoutMs);
      throw error;
    }
  }

  tellFault(fault: ReplicaFault): void {
    this.#options.onFault(fault);
  }

  /** Work that goes on when its caller has been answered; it must not reject. */
  begin(work: Promise<void>): void {
    this.#background.add(work);
    void work.finally(() => this.#background.delete(work));
  }

  /** Resolves when nothing goes on any more. */
  async settled(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
  }
}
