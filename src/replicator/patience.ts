/**
 * What becomes of a document that an end does not give or take while it gives and takes others.
 *
 * It may never stop the replication of a whole database, for then whoever may write one document could. Refused for
 * good, it is named, counted and passed over. What merely fails is tried again a few times, and then passed over too;
 * the next edit of the document brings it along.
 */

import type { Clock } from '../runtime/ports.ts';
import type { Refusal, ReplicationEndpoint, TransferDocument, WantedRevisions } from './endpoint.ts';

const triesMax = 4;

/** What a batch is moved with. */
export interface Patience {
  readonly source: ReplicationEndpoint;
  readonly target: ReplicationEndpoint;
  readonly clock: Clock;
  readonly pauses: { readonly firstMs: number; readonly maxMs: number };
  /** Told of every revision that is passed over. */
  readonly onRefused: (refusal: Refusal) => void;
  readonly signal: AbortSignal;
}

/** Writes what can be written; gives how many were, and how many were passed over. */
export async function writePatiently(
  documents: readonly TransferDocument[],
  patience: Patience,
): Promise<{ readonly written: number; readonly refused: number }> {
  const { target, onRefused, signal } = patience;
  let written = 0;
  let refused = 0;
  let waiting = documents;
  for (let tries = 1; waiting.length > 0; tries++) {
    const report = await target.writeDocuments(waiting, signal);
    signal.throwIfAborted();
    const isLast = tries === triesMax;
    const passedOver = isLast ? [...report.refused, ...report.failed] : report.refused;
    for (const refusal of passedOver) onRefused(refusal);
    written += report.written;
    refused += passedOver.length;
    waiting = [];
    if (isLast || report.failed.length === 0) break;
    await pause(tries, patience);
    // Read anew: the content that could not be had may have belonged to a revision that was replaced meanwhile.
    for await (const chunk of fetchPatiently(wantedOf(report.failed), patience)) {
      waiting = [...waiting, ...chunk.documents];
      refused += chunk.refused;
    }
  }
  return { written, refused };
}

/** Fetches what can be fetched, in chunks; each says how many revisions were passed over. */
export async function* fetchPatiently(
  wanted: WantedRevisions,
  patience: Patience,
): AsyncIterable<{ readonly documents: readonly TransferDocument[]; readonly refused: number }> {
  const { source, onRefused, signal } = patience;
  let waiting = wanted;
  for (let tries = 1; waiting.size > 0; tries++) {
    const isLast = tries === triesMax;
    const failed: Refusal[] = [];
    for await (const chunk of source.fetchDocuments(waiting, signal)) {
      signal.throwIfAborted();
      const passedOver = isLast ? [...chunk.refused, ...chunk.failed] : chunk.refused;
      for (const refusal of passedOver) onRefused(refusal);
      if (!isLast) failed.push(...chunk.failed);
      yield { documents: chunk.documents, refused: passedOver.length };
    }
    waiting = wantedOf(failed);
    if (waiting.size > 0) await pause(tries, patience);
  }
}

function wantedOf(named: readonly Refusal[]): WantedRevisions {
  const wanted = new Map<string, string[]>();
  for (const { id, revision } of named) wanted.set(id, [...(wanted.get(id) ?? []), revision]);
  return wanted;
}

/** Ends early, with an error, when the attempt is abandoned. */
async function pause(tries: number, { clock, pauses, signal }: Patience): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(Math.min(pauses.maxMs, pauses.firstMs * 2 ** (tries - 1)), done);
    signal.addEventListener('abort', done);
  });
  signal.throwIfAborted();
}
