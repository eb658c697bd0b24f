/**
 * Forgets tombstones once nobody needs them (leaderless/tombstones.ts), after a round of anti-entropy that ended well. Each
 * replica for itself: the graves keep them equal.
 *
 * A tombstone is forgotten when
 * - it is older than the horizon, so that whoever reads the feed now and then hears of the deletion,
 * - every other owner was compared since, however long that takes: owners are few, and known,
 * - every registered checkpoint is past it, or has not moved for longer than the horizon. Registered is every local document
 *   that says how far somebody has read this replica's feed.
 *
 * A deletion that a client brought as it was made elsewhere has no time, and stays.
 *
 * What is known of the others is not kept: after a restart they are compared again first.
 */

import type { Database } from '../database/database.ts';
import { horizonOf, type Witness } from '../leaderless/tombstones.ts';
import { type Position, parsePosition } from '../replication/position.ts';
import type { Clock } from '../runtime/ports.ts';
import type { ReplicaSet } from './replica-sets.ts';

interface Known {
  /** By owner: the place in the own feed up to which it has everything. */
  readonly owners: Map<string, number>;
  readonly checkpoints: Map<string, Witness>;
  /** Before this place there is nothing to forget any more. */
  scanned: number;
}

/** Of a feed, looked at after one round. */
const entriesPerRound = 10_000;

export class Forgetting {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #known = new Map<string, Known>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** That owner has all that was here at that place of the feed. Gives how many documents were forgotten. */
  async compared(set: ReplicaSet, peer: string, place: number): Promise<number> {
    const known = this.#known.get(set.identity) ?? { owners: new Map(), checkpoints: new Map(), scanned: 0 };
    this.#known.set(set.identity, known);
    known.owners.set(peer, place);
    const others = set.owners.filter((owner) => !known.owners.has(owner));
    // The own one has it, all others were compared.
    if (others.length > 1 || !set.isOwner || !set.isWhole) return 0;
    return this.#forget(set, known);
  }

  async #forget({ database, owners, settings }: ReplicaSet, known: Known): Promise<number> {
    const nowMs = this.#clock.now();
    const horizonMs = settings.tombstoneHorizonMs;
    const here = positionOf(database);
    const compared = owners.flatMap((name): Witness[] => {
      const through = known.owners.get(name);
      return through === undefined ? [] : [{ name, through, heardAtMs: nowMs }];
    });
    const witnesses = [...compared, ...(await this.#checkpoints(database, known, here))];
    const { through } = horizonOf({ sequence: here.place, witnesses, nowMs, horizonMs });
    if (through <= known.scanned || database.leaderless === undefined) return 0;
    const query = { after: known.scanned, through, limit: entriesPerRound };
    const found = await database.leaderless.tombstones(query);
    const timed = found.dead.flatMap(({ deletedAtMs, ...dead }) =>
      deletedAtMs === undefined ? [] : [{ ...dead, deletedAtMs }],
    );
    // What stands behind it is mostly younger still; the next round looks from here on.
    const young = timed.find(({ deletedAtMs }) => nowMs - deletedAtMs <= horizonMs);
    const due = young === undefined ? timed : timed.slice(0, timed.indexOf(young));
    const forgotten = await database.leaderless.forgetTombstones(
      new Map(due.map(({ id, leaves }) => [id, leaves])),
    );
    known.scanned = young === undefined ? found.through : young.sequence - 1;
    return forgotten.length;
  }

  /** When one moved last is known only since this node runs. */
  async #checkpoints(database: Database, known: Known, here: Position): Promise<readonly Witness[]> {
    const present: Witness[] = [];
    for await (const documents of database.localDocuments({})) {
      for (const { body, id } of documents) {
        const through = placeIn(body, here.incarnation);
        if (through === undefined) continue;
        const before = known.checkpoints.get(id);
        const moved = { name: id, through, heardAtMs: this.#clock.now() };
        present.push(before?.through === through ? before : moved);
      }
    }
    known.checkpoints.clear();
    for (const checkpoint of present) known.checkpoints.set(checkpoint.name, checkpoint);
    return present;
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
