/** What became of the documents of one write to a target. */

import {
  ContentFault,
  EndpointFault,
  isRefusal,
  isTroubleOfTheEnd,
  type Refusal,
  type TransferDocument,
  type WriteReport,
} from './endpoint.ts';

export class WriteTally {
  readonly #refused: Refusal[] = [];
  readonly #failed: Refusal[] = [];
  #rowsFailed = 0;

  refuse({ id, revision }: TransferDocument, reason: string): void {
    this.#refused.push({ id, revision, reason });
  }

  fail({ id, revision }: TransferDocument, reason: string): void {
    this.#failed.push({ id, revision, reason });
  }

  /**
   * A target's error for one document of several.
   * @throws EndpointFault when it tells of the target's own trouble
   */
  rowFailed(document: TransferDocument, error: string, reason: string): void {
    if (isTroubleOfTheEnd(error))
      throw new EndpointFault('transient', 'failed', `the target could not write a document: ${reason}`);
    if (isRefusal(error)) {
      this.refuse(document, reason);
    } else {
      this.fail(document, reason);
      this.#rowsFailed += 1;
    }
  }

  /**
   * Called after the rows of one request.
   * @throws EndpointFault when several documents were sent and each failed: then it is the target
   */
  requireSomeSuccess(sent: number): void {
    if (sent > 1 && this.#rowsFailed >= sent)
      throw new EndpointFault('transient', 'failed', `the target writes nothing: ${this.#failed[0]?.reason}`);
    this.#rowsFailed = 0;
  }

  /** Runs what reads a document's attachments; undefined, and written down, when one cannot be read. */
  async unlessUnreadable<Result>(
    document: TransferDocument,
    work: () => Promise<Result>,
  ): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ContentFault)) throw error;
      this.fail(document, error.message);
      return undefined;
    }
  }

  report(documents: number): WriteReport {
    const written = documents - this.#refused.length - this.#failed.length;
    return { written, refused: this.#refused, failed: this.#failed };
  }
}
