/**
 * Edits of one moment, of as many requests, in one entry of the log: the log, the other nodes and their disks are asked once.
 *
 *     PUT a ─┐
 *     PUT b ─┼─► check each ─► log [a b] as one entry ─► acknowledged: each is told its own
 *     PUT c ─┘        └─ c is no leaf: told so, and nothing of it is logged
 *
 * 1. Edits of an entry are of different documents, and none of these was being written: who would have to wait for another
 *    write of its document goes alone, so that nobody waits with it.
 * 2. They ask for the same acknowledgement, so what becomes of the entry is what becomes of each.
 * 3. From the check to the lock nothing else happens, so no id needs to be locked for the check.
 */

import type { DocumentEdit, EditOutcome } from '../database/model.ts';
import type { WriteOptions, WriteReceipt } from '../database/writes.ts';
import { Moment } from '../runtime/moment.ts';
import type { LoggedRevision } from './commands.ts';
import type { IdLocks } from './id-locks.ts';

/** A log entry carries at most this many revisions and roughly this many bytes. */
const revisionsPerEntry = 256;
const entryBytes = 1_000_000;

/** One write of a request after its check. */
export interface Checked {
  readonly outcome: EditOutcome;
  /** Empty: failed, or known already. */
  readonly logged: readonly LoggedRevision[];
}

/**
 * A write that may not wait would have to: for another one of its document that is on its way, or until it is certain that a
 * refusal rests on what this node still leads. It was not begun.
 */
export class DocumentBusy extends Error {
  override readonly name = 'DocumentBusy';
}

interface Gathered {
  readonly edit: DocumentEdit;
  readonly options: WriteOptions;
  readonly resolve: (outcome: EditOutcome) => void;
  readonly reject: (cause: unknown) => void;
}

interface CheckedEdit extends Gathered, Checked {}

export interface GatheredEditsContext {
  readonly locks: IdLocks;
  /** What the edits would make of what is applied, each by itself; gives what it throws of one. @throws TercetError `not_leader` */
  readonly check: (edits: readonly DocumentEdit[]) => readonly (Checked | Error)[];
  /** Has one entry logged and acknowledged; `unlock` is called once it is applied, or never will be. */
  readonly log: (
    revisions: readonly LoggedRevision[],
    options: Pick<WriteOptions, 'ack' | 'onReceipt'>,
    unlock: () => void,
  ) => Promise<void>;
  /** Resolves once this node has confirmed that it leads. */
  readonly barrier: () => Promise<void>;
  /** For an edit that has to wait for another one of its document. */
  readonly alone: (edit: DocumentEdit, options: WriteOptions) => Promise<EditOutcome>;
}

export class GatheredEdits {
  readonly #context: GatheredEditsContext;
  readonly #moment = new Moment<undefined, Gathered>({
    ...{ itemsMax: revisionsPerEntry, bytesMax: entryBytes },
    send: (_, alike) => this.#take(alike),
  });

  constructor(context: GatheredEditsContext) {
    this.#context = context;
  }

  edit(edit: DocumentEdit, options: WriteOptions): Promise<EditOutcome> {
    const wish = options.ack === undefined ? '' : JSON.stringify(options.ack);
    return new Promise((resolve, reject) => {
      this.#moment.add(wish, undefined, { edit, options, resolve, reject }, edit.body.length);
    });
  }

  #take(alike: readonly Gathered[]): void {
    const { alone, locks } = this.#context;
    const taken = new Set<string>();
    const free: Gathered[] = [];
    const waiting: Gathered[] = [];
    for (const gathered of alike) {
      const { id } = gathered.edit;
      const isFree = !taken.has(id) && locks.isFree(id);
      (isFree ? free : waiting).push(gathered);
      taken.add(id);
    }
    if (free.length > 0) this.#begin(free);
    // Behind those of the same documents, which hold their ids by now.
    for (const { edit, options, reject, resolve } of waiting) {
      if (options.mayNotWait) reject(new DocumentBusy());
      else alone(edit, options).then(resolve, reject);
    }
  }

  #begin(alike: readonly Gathered[]): void {
    let checked: readonly (Checked | Error)[];
    try {
      checked = this.#context.check(alike.map(({ edit }) => edit));
    } catch (cause) {
      for (const { reject } of alike) reject(cause);
      return;
    }
    const news: CheckedEdit[] = [];
    const refused: CheckedEdit[] = [];
    for (const [place, gathered] of alike.entries()) {
      const one = checked[place]!;
      if (one instanceof Error) gathered.reject(one);
      else if (one.logged.length > 0) news.push(checkedEdit(gathered, one));
      else if (one.outcome.kind === 'written') gathered.resolve(one.outcome);
      else if (gathered.options.mayNotWait) gathered.reject(new DocumentBusy());
      else refused.push(checkedEdit(gathered, one));
    }
    for (const entry of inEntries(news)) void this.#log(entry);
    if (refused.length > 0) void this.#refuse(refused);
  }

  /** A leader that was deposed without knowing would refuse by what it no longer knows: refusing is reading, too. */
  async #refuse(refused: readonly CheckedEdit[]): Promise<void> {
    try {
      await this.#context.barrier();
      for (const { outcome, resolve } of refused) resolve(outcome);
    } catch (cause) {
      for (const { reject } of refused) reject(cause);
    }
  }

  async #log(entry: readonly CheckedEdit[]): Promise<void> {
    const { ack } = entry[0]!.options;
    const onReceipt = (receipt: WriteReceipt) => {
      for (const { options } of entry) options.onReceipt?.(receipt);
    };
    try {
      const unlock = this.#context.locks.hold(entry.map(({ edit }) => edit.id));
      await this.#context.log(revisionsOf(entry), { ack, onReceipt }, unlock);
    } catch (cause) {
      for (const { reject } of entry) reject(cause);
      return;
    }
    for (const { outcome, resolve } of entry) resolve(outcome);
  }
}

function checkedEdit(
  { edit, options, reject, resolve }: Gathered,
  { logged, outcome }: Checked,
): CheckedEdit {
  return { edit, options, resolve, reject, outcome, logged };
}

export function revisionsOf(entry: readonly Pick<Checked, 'logged'>[]): LoggedRevision[] {
  const revisions: LoggedRevision[] = [];
  for (const { logged } of entry) for (const revision of logged) revisions.push(revision);
  return revisions;
}

/** What one write makes stays in one entry. */
export function inEntries<Write extends Pick<Checked, 'logged'>>(news: readonly Write[]): Write[][] {
  const entries: Write[][] = [];
  let bytes = 0;
  let revisions = 0;
  for (const write of news) {
    const current = entries.at(-1);
    if (current === undefined || bytes > entryBytes || revisions >= revisionsPerEntry) {
      entries.push([write]);
      bytes = 0;
      revisions = 0;
    } else current.push(write);
    revisions += write.logged.length;
    for (const { body } of write.logged) bytes += body.length;
  }
  return entries;
}
