/**
 * One write that the client coordinates:
 *
 *     n1  PUT, base v6 ──► v7 is made ─┐
 *     n2                               ├─ PUT, base v6 ──► v7 is made       W = 2: the caller is told
 *     n3                               └─ PUT, base v6 ──► never heard of v6: is sent v7 with its history
 *
 * One replica is asked first, as Voldemort's clients do, because somebody must know whether the base is still the latest:
 * if it is not, that is a conflict and nothing was written. The others are then asked to make the same edit, which is the
 * same revision there, as its id follows from what it says; who cannot make it is sent it, with how merges before it ended
 * branches. A replica that does not answer keeps nobody waiting, and has missed a write: no hint is kept for it, as a
 * client's memory is not durable.
 */

import { hasDerivedForm } from '../document/tree-projection.ts';
import { assert } from '../errors.ts';
import {
  addWriteReply,
  startWrite,
  type WriteReply,
  type WriteState,
  writeOutcome,
} from '../leaderless/write-coordinator.ts';
import { RequestError } from './http-requests.ts';
import { QuorumError } from './quorum-error.ts';
import { type DocumentInput, type EditAnswer, isNowhere, type ReplicaCalls } from './replica-calls.ts';
import type { ReplicaGroup } from './replica-group.ts';

export interface ReplicaWritten {
  readonly id: string;
  readonly rev: string;
  /** Replicas that had it durable when this was told: W of them or more. */
  readonly durableOn: readonly string[];
}

type Made = Extract<EditAnswer, { kind: 'made' }>;

/**
 * @throws RequestError 409 `conflict`, and whatever else all replicas answer alike
 * @throws QuorumError `partial`, `unknown`, `failed`
 */
export async function writeToReplicas(
  group: ReplicaGroup,
  edit: DocumentInput,
  w: number,
): Promise<ReplicaWritten> {
  return new WriteRound(group, edit, w).run();
}

class WriteRound {
  readonly #group: ReplicaGroup;
  readonly #edit: DocumentInput;
  readonly #w: number;
  readonly #attempts = new Map<string, Promise<EditAnswer>>();
  readonly #errors = new Map<string, unknown>();
  #state: WriteState;

  constructor(group: ReplicaGroup, edit: DocumentInput, w: number) {
    this.#group = group;
    this.#edit = edit;
    this.#w = w;
    const owners = group.names;
    this.#state = startWrite({ owners, standIns: [], w, pw: 0, quorum: 'strict', suspected: [] }).state;
  }

  async run(): Promise<ReplicaWritten> {
    const made = await this.#firstMade();
    return new Promise((resolve, reject) => {
      const tellWhenDecided = () => {
        const outcome = writeOutcome(this.#state);
        if (outcome.kind === 'open') return;
        const durableOn = outcome.receipt.owners;
        if (outcome.kind === 'met') resolve({ id: this.#edit._id, rev: made.revision, durableOn });
        else reject(this.#quorumError(made.revision));
      };
      this.#reply({ from: made.by, kind: 'durable' });
      tellWhenDecided();
      for (const replica of this.#group.inOrder()) {
        if (replica.name !== made.by) this.#group.begin(this.#bring(replica, made).then(tellWhenDecided));
      }
    });
  }

  /**
   * Asks one after the other, the next one when an answer is late or helps nobody.
   * @throws RequestError when the edit was made from something that is not the latest
   */
  async #firstMade(): Promise<Made> {
    const open = new Set<Promise<EditAnswer>>();
    for (const replica of this.#group.inOrder()) {
      open.add(this.#attempt(replica));
      const judged = await judgement(open, this.#group.patienceMs(replica.name));
      if (judged !== undefined) return this.#accepted(judged, open);
    }
    const judged = await judgement(open);
    if (judged !== undefined) return this.#accepted(judged, open);
    throw await this.#nobodyMadeIt();
  }

  /** One says that it must not be; somebody whose answer was late may have made it all the same, and then it is there. */
  async #accepted(judged: EditAnswer, open: ReadonlySet<Promise<EditAnswer>>): Promise<Made> {
    if (judged.kind === 'made') return judged;
    const made = (await Promise.all(open)).find((answer) => answer.kind === 'made');
    if (made !== undefined) return made;
    const { error } = judged;
    const isDefinite = [...this.#errors.values()].every(isNowhere);
    if (!(error instanceof RequestError) || isDefinite) throw error;
    throw new RequestError(error.status, error.error, error.reason, 'unknown');
  }

  async #nobodyMadeIt(): Promise<unknown> {
    const answers = await Promise.all(this.#attempts.values());
    for (const { by, kind } of answers) {
      this.#reply({ from: by, kind: kind === 'unknown' ? 'unknown' : 'refused' });
    }
    const [first, ...others] = [...this.#errors.values()];
    const areAlike =
      first instanceof RequestError &&
      others.every((error) => error instanceof RequestError && isSameFailure(error, first));
    return areAlike ? first : this.#quorumError(undefined);
  }

  #quorumError(rev: string | undefined): QuorumError {
    const outcome = writeOutcome(this.#state);
    assert(outcome.kind !== 'open' && outcome.kind !== 'met', 'a write that failed is decided');
    return new QuorumError({
      ...{ outcome: outcome.kind, needed: this.#w, rev, errors: this.#errors },
      reached: outcome.receipt.owners,
    });
  }

  #attempt(replica: ReplicaCalls): Promise<EditAnswer> {
    const known = this.#attempts.get(replica.name);
    if (known !== undefined) return known;
    const attempt = this.#group.timed(replica.name, replica.edit(this.#edit)).then((answer) => {
      if (answer.kind !== 'made') this.#errors.set(answer.by, answer.error);
      return answer;
    });
    this.#attempts.set(replica.name, attempt);
    return attempt;
  }

  /** Sees to it that the replica has what was made, if it answers at all. */
  async #bring(replica: ReplicaCalls, made: Made): Promise<void> {
    const answer = await this.#attempt(replica);
    const isThere = answer.kind === 'made' && answer.revision === made.revision;
    if (isThere) return this.#reply({ from: replica.name, kind: 'durable' });
    if (answer.kind === 'refused' || answer.kind === 'unknown') {
      this.#group.tellFault({ replica: replica.name, during: 'write', error: answer.error });
      return this.#reply({ from: replica.name, kind: answer.kind });
    }
    try {
      await this.#send(replica, made);
      this.#errors.delete(replica.name);
      this.#reply({ from: replica.name, kind: 'durable' });
    } catch (error) {
      this.#errors.set(replica.name, error);
      this.#group.tellFault({ replica: replica.name, during: 'write', error });
      this.#reply({ from: replica.name, kind: isNowhere(error) ? 'refused' : 'unknown' });
    }
  }

  /**
   * Where merges came before, how they end the branches that they took in goes along: one that has not heard of the merge would show
   * these, alive, beside what was made, or merge them with it. An end does not say of which merge it is, and one that came since
   * may have ended other branches, so all leaves go along then.
   */
  async #send(replica: ReplicaCalls, { by, revision }: Made): Promise<void> {
    const maker = this.#group.replica(by);
    const { held } = await maker.holding(this.#edit._id);
    const document = await maker.revision(this.#edit._id, revision);
    const ends = held.filter((leaf) => hasDerivedForm(leaf.revision));
    if (ends.length === 0) return replica.insert(document);
    const others = held.filter((leaf) => !ends.includes(leaf) && leaf.revision !== revision);
    const whole = await Promise.all(others.map((leaf) => this.#group.whole(leaf)));
    await replica.insertTogether([...ends.map((end) => end.document), document, ...whole]);
  }

  #reply(reply: WriteReply): void {
    this.#state = addWriteReply(this.#state, reply).state;
  }
}

function isSameFailure(a: RequestError, b: RequestError): boolean {
  return a.status === b.status && a.writeOutcome === b.writeOutcome;
}

/**
 * The first answer that settles what becomes of an edit: that it was made, or that it must not be. Undefined when no
 * answer that comes in time does; those that came are taken out of `open`.
 */
async function judgement(
  open: Set<Promise<EditAnswer>>,
  patienceMs?: number,
): Promise<EditAnswer | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late =
    patienceMs === undefined
      ? []
      : [
          new Promise<undefined>((resolve) => {
            timer = setTimeout(() => resolve(undefined), patienceMs);
          }),
        ];
  try {
    while (open.size > 0) {
      const answers = [...open].map((promise) => promise.then((answer) => ({ promise, answer })));
      const next = await Promise.race([...answers, ...late]);
      if (next === undefined) return undefined;
      open.delete(next.promise);
      if (next.answer.kind === 'made' || next.answer.kind === 'superseded') return next.answer;
    }
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
