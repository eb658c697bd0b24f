/** Reads of leaderless databases: what R of N replicas know of a document together. */

import { type DocumentReader, joinedReader } from '../database/joined-reads.ts';
import type { WholeRevision } from '../database/whole-documents.ts';
import { failure } from '../errors.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import { type DecidedRead, ReadRound, type ReadRoundContext } from './read-round.ts';
import type { ReplicaSet } from './replica-sets.ts';

export interface QuorumRead {
  /** Reads the document as the replicas know it together; undefined where that is what the own one has. */
  readonly reader: DocumentReader | undefined;
  /** Who said what they hold. */
  readonly from: readonly string[];
}

/**
 * For an owner.
 * @throws TercetError `consistency_unavailable` when too few answer in time
 */
export function quorumRead(
  context: ReadRoundContext,
  asked: { readonly set: ReplicaSet; readonly settings: LeaderlessSettings; readonly id: string },
): Promise<QuorumRead> {
  return new Promise((resolve, reject) => {
    new ReadRound(context, asked, (decided) => {
      try {
        resolve(answerOf(decided, asked));
      } catch (error) {
        reject(error);
      }
    }).begin();
  });
}

function answerOf(
  decided: DecidedRead,
  {
    id,
    set,
    settings,
  }: { readonly set: ReplicaSet; readonly settings: LeaderlessSettings; readonly id: string },
): QuorumRead {
  switch (decided.kind) {
    case 'agreed':
      return { reader: undefined, from: decided.from };
    case 'answered': {
      const lacking = lackingHere(set, id, decided.leaves);
      const isHere = lacking.length === 0 && decided.grave.length === 0;
      const reader = isHere ? undefined : joinedReader(set.database, lacking, { id, grave: decided.grave });
      return { reader, from: decided.from };
    }
    case 'unreached': {
      const who = decided.from.length === 0 ? 'nobody' : decided.from.join(', ');
      const what =
        decided.during === 'read' ? `only ${who} answered in time` : `only ${who} took what the others have`;
      throw failure(
        'consistency_unavailable',
        `Of the replicas ${set.owners.join(', ')}, ${settings.r} were asked for; ${what}.`,
      );
    }
  }
}

/** What the own replica does not have by now. */
function lackingHere(
  { database }: ReplicaSet,
  id: string,
  leaves: readonly WholeRevision[],
): readonly WholeRevision[] {
  const revisions = leaves.map(({ revision }) => revision);
  const missing = new Set(database.revisionsDifference(new Map([[id, revisions]])).get(id)?.missing);
  return leaves.filter(({ revision }) => missing.has(revision));
}
