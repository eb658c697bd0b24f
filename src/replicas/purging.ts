/**
 * Purging removes a revision as if it had never been, so every replica has to do it at once: one that was left out would
 * bring the revision back to the others.
 */

import type { PurgeOutcome } from '../database/model.ts';
import type { Revision } from '../document/revision.ts';
import { failure } from '../errors.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Liveness } from './liveness.ts';
import { decodeAnswer, encodeQuestion } from './questions.ts';
import { questionKind } from './replica-kinds.ts';

export interface Purging {
  readonly identity: string;
  /** All owners but this node. */
  readonly others: readonly string[];
  readonly request: ReadonlyMap<string, readonly string[]>;
  readonly here: () => Promise<PurgeOutcome>;
  readonly liveness: Pick<Liveness, 'isSuspected'>;
  readonly transport: Pick<PeerTransport, 'request'>;
}

const answerMsMax = 5_000;

/**
 * Gives what was purged on any of the replicas.
 * @throws TercetError `service_unavailable` when a replica is away; `write_outcome_unknown` when one went meanwhile
 */
export async function purgeEverywhere(purging: Purging): Promise<PurgeOutcome> {
  const { here, liveness, others } = purging;
  const away = others.filter((node) => liveness.isSuspected(node));
  if (away.length > 0) {
    throw failure(
      'service_unavailable',
      `A purge needs every replica, and ${away.join(', ')} cannot be reached; nothing was purged.`,
    );
  }
  const outcomes = await Promise.all(others.map((node) => purgeOn(node, purging)));
  const purged = [await here(), ...outcomes.flatMap((outcome) => (outcome === undefined ? [] : [outcome]))];
  const failed = others.filter((_, at) => outcomes[at] === undefined);
  if (failed.length > 0) {
    throw failure(
      'write_outcome_unknown',
      `${failed.join(', ')} did not say that the revisions are purged there; purge them again.`,
    );
  }
  return union(purged);
}

async function purgeOn(
  node: string,
  { identity, request, transport }: Purging,
): Promise<PurgeOutcome | undefined> {
  const question = encodeQuestion({ op: 'purge', identity, request: [...request] });
  try {
    const bytes = await transport.request(node, questionKind, question, { timeoutMs: answerMsMax });
    const answer = decodeAnswer(bytes);
    return answer.kind === 'purged' ? new Map(answer.purged as [string, Revision[]][]) : undefined;
  } catch (error) {
    if (error instanceof PeerRequestError) return undefined;
    throw error;
  }
}

function union(outcomes: readonly PurgeOutcome[]): PurgeOutcome {
  const all = new Map<string, Set<Revision>>();
  for (const outcome of outcomes) {
    for (const [id, revisions] of outcome) {
      const known = all.get(id) ?? new Set();
      for (const revision of revisions) known.add(revision);
      all.set(id, known);
    }
  }
  return new Map([...all].map(([id, revisions]) => [id, [...revisions]]));
}
