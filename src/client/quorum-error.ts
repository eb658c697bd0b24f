/** Fewer replicas than asked for. */
export class QuorumError extends Error {
  /**
   * - `partial`: a write is durable on `reached`, which are fewer than W. It is not taken back, and will be seen.
   * - `unknown`: no replica said that it has the write, and one of them may have it.
   * - `failed`: the write is definitely nowhere.
   * - `unreached`: fewer than R answered a read, or could be repaired.
   */
  readonly outcome: 'partial' | 'unknown' | 'failed' | 'unreached';
  /** Names of the replicas that count. */
  readonly reached: readonly string[];
  /** W or R. */
  readonly needed: number;
  /** The revision of a partial write. */
  readonly rev: string | undefined;
  /** What went wrong with the others, by name. */
  readonly errors: ReadonlyMap<string, unknown>;
  /** As {@link RequestError} has it: after `unknown` look before writing again. */
  readonly writeOutcome: 'did_not_happen' | 'unknown';

  constructor(facts: Pick<QuorumError, 'outcome' | 'reached' | 'needed' | 'rev' | 'errors'>) {
    const { errors, needed, outcome, reached, rev } = facts;
    const who = reached.length === 0 ? 'none' : reached.join(', ');
    super(`${outcome}: ${who} of ${needed} needed replicas${shownErrors(errors)}`);
    this.name = 'QuorumError';
    this.outcome = outcome;
    this.reached = reached;
    this.needed = needed;
    this.rev = rev;
    this.errors = errors;
    this.writeOutcome = outcome === 'failed' || outcome === 'unreached' ? 'did_not_happen' : 'unknown';
  }
}

function shownErrors(errors: ReadonlyMap<string, unknown>): string {
  return [...errors].map(([name, error]) => `; ${name}: ${String(error)}`).join('');
}
