/**
 * Edits of one moment, of as many requests, in one write round: replicas, turns and timers are troubled once for all of them.
 *
 *     PUT a ─┐
 *     PUT b ─┼─► one turn ─► one round to the others ─► each request is told of its own edit
 *     PUT c ─┘
 *
 * They are edits like those of one bulk request: each has an outcome of its own, and what is said of where they are, and how
 * many have them, is said of all. So only those are taken together that ask for the same counts, and only small ones.
 */

import type { DocumentEdit, EditOutcome } from '../database/model.ts';
import type { QuorumReceipt, WriteOptions } from '../database/writes.ts';
import { assert, TercetError } from '../errors.ts';
import { Moment } from '../runtime/moment.ts';

/** With more, by bytes of bodies or by number, others go in a round of their own. */
const bodyBytesMax = 1_000_000;
const editsMax = 250;

interface Gathered {
  readonly edit: DocumentEdit;
  readonly options: WriteOptions;
  readonly resolve: (outcome: EditOutcome) => void;
  readonly reject: (cause: unknown) => void;
}

type Counts = WriteOptions['quorum'];

/** Outcomes in the order of the edits. */
type Write = (edits: readonly DocumentEdit[], options: WriteOptions) => Promise<EditOutcome[]>;

export class GatheredEdits {
  readonly #write: Write;
  readonly #moment = new Moment<Counts, Gathered>({
    ...{ itemsMax: editsMax, bytesMax: bodyBytesMax },
    send: (quorum, gathered) => void this.#send(quorum, gathered),
  });

  constructor(write: Write) {
    this.#write = write;
  }

  edit(edit: DocumentEdit, options: WriteOptions): Promise<EditOutcome> {
    const { quorum } = options;
    const name = quorum === undefined ? '' : JSON.stringify(quorum);
    return new Promise((resolve, reject) => {
      this.#moment.add(name, quorum, { edit, options, resolve, reject }, edit.body.length);
    });
  }

  async #send(quorum: Counts, gathered: readonly Gathered[]): Promise<void> {
    const onQuorum = (receipt: QuorumReceipt): void => {
      for (const { options } of gathered) options.onQuorum?.(receipt);
    };
    try {
      const edits = gathered.map(({ edit }) => edit);
      const outcomes = await this.#write(edits, { ...(quorum && { quorum }), onQuorum });
      assert(outcomes.length === edits.length, 'every edit has an outcome');
      for (const [place, { resolve }] of gathered.entries()) resolve(outcomes[place]!);
    } catch (cause) {
      // A defect that one of them meets is not the others': the turn that met it was thrown away.
      const isOneAlone = gathered.length > 1 && !(cause instanceof TercetError);
      for (const one of gathered) {
        if (isOneAlone) void this.#send(quorum, [one]);
        else one.reject(cause);
      }
    }
  }
}
