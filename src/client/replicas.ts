/**
 * Leaderless databases with the client as coordinator: no node stands between it and the replicas.
 *
 *   import { connectReplicas } from 'tercet/client';
 *
 *   const replicas = connectReplicas({ n1: 'http://10.0.0.1:5984', n2: 'http://10.0.0.2:5984', n3: 'http://10.0.0.3:5984' });
 *   const carts = replicas.database<{ items: string[] }>('carts', { r: 2, w: 2 });
 *   await carts.put({ _id: 'anna', items: ['bread'] }); // two of three have it
 *   const { document, siblings } = await carts.get('anna'); // the newest that two of three know, and what it conflicts with
 *
 * The decisions are those of the nodes themselves (src/leaderless). What a node does and a client cannot: keep a hint for a
 * replica that missed a write, as nothing here is durable. Read repair here and anti-entropy there catch it up.
 */

import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import { majorityOf } from '../replication/quorum.ts';
import type { ClientOptions, Stored } from './client.ts';
import { HttpRequests } from './http-requests.ts';
import {
  type DocumentInput,
  type HeldDocument,
  ReplicaCalls,
  type RevisionDocument,
} from './replica-calls.ts';
import { type ReplicaFault, ReplicaGroup } from './replica-group.ts';
import { readFromReplicas } from './replica-read.ts';
import { type ReplicaWritten, writeToReplicas } from './replica-write.ts';

export interface ReplicaSettings {
  /** How many replicas must answer a read; default a majority. */
  readonly r?: number;
  /** How many replicas must have a write durable; default a majority. */
  readonly w?: number;
  /** Default `async`. */
  readonly readRepair?: LeaderlessSettings['readRepair'];
  /** A replica that has not answered by then has failed; default 5,000. */
  readonly timeoutMs?: number;
  /** Told of replicas that fail, however the request ends. */
  readonly onFault?: (fault: ReplicaFault) => void;
}

export interface ReplicaRead<Body> {
  /** The winner; undefined when there is none or it is deleted. */
  readonly document: (Body & Stored) | undefined;
  /** What was written concurrently with it, and nobody has settled yet; best first. */
  readonly siblings: readonly (Body & Stored)[];
  /** Who answered: R of them or more. */
  readonly from: readonly string[];
  /** Who lacked some of this: they are being sent it; with blocking repair they have it. */
  readonly repaired: readonly string[];
}

const timeoutMsDefault = 5_000;

/** The N replicas of databases, by names of your choice; opens no connection before the first call. */
export function connectReplicas(
  urls: Readonly<Record<string, string>>,
  options: ClientOptions = {},
): ReplicasClient {
  const entries = Object.entries(urls);
  if (entries.length === 0) throw new RangeError('There must be a replica.');
  return new ReplicasClient(new Map(entries.map(([name, url]) => [name, new HttpRequests(url, options)])));
}

class ReplicasClient {
  readonly #requests: ReadonlyMap<string, HttpRequests>;

  /** Use {@link connectReplicas}. */
  constructor(requests: ReadonlyMap<string, HttpRequests>) {
    this.#requests = requests;
  }

  /** The database of that name, which must be leaderless and have these nodes as its owners. */
  database<Body extends object = Record<string, unknown>>(
    name: string,
    settings: ReplicaSettings = {},
  ): ReplicatedDatabase<Body> {
    const { onFault = () => undefined, timeoutMs = timeoutMsDefault } = settings;
    const replicas = [...this.#requests].map(
      ([replica, requests]) => new ReplicaCalls({ name: replica, requests, database: name, timeoutMs }),
    );
    return new ReplicatedDatabase<Body>(new ReplicaGroup({ replicas, timeoutMs, onFault }), settings);
  }
}

class ReplicatedDatabase<Body extends object> {
  readonly #group: ReplicaGroup;
  readonly #settings: Required<Pick<ReplicaSettings, 'r' | 'w' | 'readRepair'>>;

  /** Use {@link ReplicasClient.database}. */
  constructor(group: ReplicaGroup, { r, w, readRepair = 'async' }: ReplicaSettings) {
    this.#group = group;
    const majority = majorityOf(group.names.length);
    this.#settings = { r: r ?? majority, w: w ?? majority, readRepair };
    this.#count('r', this.#settings.r);
    this.#count('w', this.#settings.w);
  }

  /**
   * Writes a new document, or a new revision of the one that `_rev` names.
   * @throws RequestError 409 `conflict`, when a replica knows that something newer was written
   * @throws QuorumError when fewer than W have it
   */
  put(
    document: Body & DocumentInput,
    { w = this.#settings.w }: { readonly w?: number } = {},
  ): Promise<ReplicaWritten> {
    return writeToReplicas(this.#group, document, this.#count('w', w));
  }

  /** Deletes a revision: the winner, or a sibling that is settled. @throws as {@link put} */
  remove(
    { _id, _rev }: Stored,
    { w = this.#settings.w }: { readonly w?: number } = {},
  ): Promise<ReplicaWritten> {
    return writeToReplicas(this.#group, { _id, _rev, _deleted: true }, this.#count('w', w));
  }

  /** The newest that R replicas know. @throws QuorumError `unreached` when fewer than R answer */
  async get(id: string, { r = this.#settings.r }: { readonly r?: number } = {}): Promise<ReplicaRead<Body>> {
    const { readRepair } = this.#settings;
    const wishes = { r: this.#count('r', r), readRepair };
    const { leaves, from, repaired } = await readFromReplicas(this.#group, id, wishes);
    const [winner, ...siblings] = leaves.filter(({ deleted }) => !deleted);
    return {
      document: winner && this.#shown(winner),
      siblings: siblings.map((sibling) => this.#shown(sibling)),
      ...{ from, repaired },
    };
  }

  /** Resolves when all that goes on behind answered calls is over: writes beyond W, repairs. */
  settled(): Promise<void> {
    return this.#group.settled();
  }

  #count(name: 'r' | 'w', count: number): number {
    const n = this.#group.names.length;
    if (Number.isSafeInteger(count) && count >= 1 && count <= n) return count;
    throw new RangeError(`${name} must be a whole number from 1 to ${n}.`);
  }

  #shown({ document }: HeldDocument): Body & Stored {
    const { _revisions, ...shown } = document satisfies RevisionDocument;
    return shown as unknown as Body & Stored;
  }
}
