/**
 * Forgets tombstones once nobody needs them, after a round of anti-entropy that ended well: the core (leaderless/tombstones.ts)
 * says which. Each replica for itself: the graves keep them equal.
 *
 * Registered checkpoints are all local documents that say how far somebody has read this replica's feed. A deletion that a
 * client brought as it was made elsewhere has no time, and stays.
 *
 * What is known of the others is not kept: after a restart they are compared again first.
 */

import type { Database } from '../database/database.ts';
import { type Checkpoint, horizonOf, oldTombstones } from '../leaderless/tombstones.ts';
import { type Position, parsePosition } from '../replication/position.ts';
import type { Clock } from '../runtime/ports.ts';
import type { ReplicaSet } from './replica-sets.ts';

interface Known {
  /** By owner: the place in the own feed up to which it has everything. */
  readonly owners: Map<string, number>;
  readonly checkpoints: Map<string, Checkpoint>;
  /** Before this place there is nothing to forget any more. */
  scanned: number;
}

/** Of a feed, looked at after one round. */
const entriesPerRound = 10_000;

export class Forgetting {
  readonly #self: string;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #known = new Map<string, Known>();

  constructor(self: string, clock: Pick<Clock, 'now'>) {
    this.#self = self;
    this.#clock = clock;
  }

  /** That owner has all that was here at that place of the feed. Gives how many documents were forgotten. */
  async compared(set: ReplicaSet, peer: string, place: number): Promise<number> {
    const known = this.#known.get(set.identity) ?? { owners: new Map(), checkpoints: new Map(), scanned: 0 };
    this.#known.set(set.identity, known);
    known.owners.set(peer, place);
    return set.isOwner && set.isWhole ? this.#forget(set, known) : 0;
  }

  async #forget({ database, owners, settings }: ReplicaSet, known: Known): Promise<number> {
    const times = { nowMs: this.#clock.now(), horizonMs: settings.tombstoneHorizonMs };
    const here = positionOf(database);
    const compared = owners.filter((owner) => owner !== this.#self).map((owner) => known.owners.get(owner));
    const checkpoints = await this.#checkpoints(database, known, here);
    const through = horizonOf({ sequence: here.place, owners: compared, checkpoints, ...times });
    if (through <= known.scanned || database.leaderless === undefined) return 0;
    const query = { after: known.scanned, through, limit: entriesPerRound };
    const old = oldTombstones(await database.leaderless.tombstones(query), times);
    const forgotten = await database.leaderless.forgetTombstones(
      new Map(old.due.map(({ id, leaves }) => [id, leaves])),
    );
    known.scanned = old.through;
    return forgotten.length;
  }

  /** When one moved last is known only since this node runs. */
  async #checkpoints(database: Database, known: Known, here: Position): Promise<readonly Checkpoint[]> {
    const present = new Map<string, Checkpoint>();
    for await (const documents of database.localDocuments({})) {
      for (const { body, id } of documents) {
        const through = placeIn(body, here.incarnation);
        if (through === undefined) continue;
        const before = known.checkpoints.get(id);
        const moved = { through, movedAtMs: this.#clock.now() };
        present.set(id, before?.through === through ? before : moved);
      }
    }
    known.checkpoints.clear();
    for (const [id, checkpoint] of present) known.checkpoints.set(id, checkpoint);
    return [...present.values()];
  }
}

export function positionOf(database: Database): Position {
  const token = parsePosition(database.currentSequence());
  return token.kind === 'position' ? token.position : { incarnation: '', place: 0 };
}

/** As CouchDB's replicator and PouchDB's write it; undefined for what is no checkpoint of this feed. */
function placeIn(body: Uint8Array, incarnation: string): number | undefined {
  const { last_seq, source_last_seq } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
  const said = source_last_seq ?? last_seq;
  const token = typeof said === 'string' ? parsePosition(said) : undefined;
  const isOfThisFeed = token?.kind === 'position' && token.position.incarnation === incarnation;
  return isOfThisFeed ? token.position.place : undefined;
}
