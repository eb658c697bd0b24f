/**
 * Where nodes are. What an operator has told this node (`--peers`) comes first, then what the members of the group say,
 * then whom this node is about to take in, and for a node that is not taken in yet, whom it was told to join.
 *
 *   n1   --peers n1=…, n2=…      n2: from there, wherever the group believes it to be
 *        members n1, n2, n4=…    n4: from the log, so also after a restart
 *
 * The stream between nodes, the replicator's links and forwarded requests all follow this one list.
 */

import type { Peer } from '../config.ts';

export interface AddressesOptions {
  readonly self: string;
  /** This node's own, as far as it is known before it listens. */
  readonly url: string | undefined;
  /** Of other nodes, as an operator named them. */
  readonly fixed: readonly Peer[];
  /** Of the nodes of a cluster that this one was told to join. */
  readonly learned: readonly Peer[];
}

export interface PeerChange {
  /** New ones, and those that are at another address now. */
  readonly added: readonly Peer[];
  /** Their last addresses. */
  readonly removed: readonly Peer[];
}

interface KnownMember {
  readonly name: string;
  readonly url?: string | undefined;
  readonly kind?: 'voter' | 'learner' | 'witness';
}

type Listener = (change: PeerChange) => void;

export class Addresses {
  readonly #self: string;
  readonly #fixed: ReadonlyMap<string, string>;
  readonly #learned: ReadonlyMap<string, string>;
  readonly #listeners = new Set<Listener>();
  readonly #invited = new Map<string, string>();
  #members: ReadonlyMap<string, string> = new Map();
  #replicaNodes: readonly string[] = [];
  #own: string | undefined;
  #known: ReadonlyMap<string, string>;

  constructor({ self, url, fixed, learned }: AddressesOptions) {
    this.#self = self;
    this.#own = url;
    this.#fixed = mapOf(fixed);
    this.#learned = mapOf(learned);
    this.#known = this.#evaluated();
  }

  urlOf(name: string): string | undefined {
    return name === this.#self ? this.#own : this.urlOfPeer(name);
  }

  /** Undefined for this node itself, too. */
  urlOfPeer(name: string): string | undefined {
    return this.#known.get(name);
  }

  /** All nodes but this one. */
  peers(): readonly Peer[] {
    return [...this.#known].map(([name, url]) => ({ name, url }));
  }

  /** Calls back after every change; the function returned ends that. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** It listens now, and nobody has said that it is reached otherwise. */
  listensAt(url: string): void {
    this.#own ??= url;
  }

  /** Names of the members that have documents, this node among them; another array once they are others. */
  replicaNodes(): readonly string[] {
    return this.#replicaNodes;
  }

  setMembers(members: readonly KnownMember[]): void {
    const names = members.filter(({ kind }) => kind !== 'witness').map(({ name }) => name);
    if (names.join() !== this.#replicaNodes.join()) this.#replicaNodes = names;
    this.#members = mapOf(members.flatMap(({ name, url }) => (url === undefined ? [] : [{ name, url }])));
    for (const { name } of members) this.#invited.delete(name);
    this.#evaluate();
  }

  /** Makes a node reachable that is about to become a member. */
  invite({ name, url }: Peer): void {
    this.#invited.set(name, url);
    this.#evaluate();
  }

  /** Nothing came of it. */
  withdraw(name: string): void {
    this.#invited.delete(name);
    this.#evaluate();
  }

  #evaluated(): ReadonlyMap<string, string> {
    const learned = this.#members.size === 0 ? this.#learned : [];
    const known = new Map([...learned, ...this.#invited, ...this.#members, ...this.#fixed]);
    known.delete(this.#self);
    return known;
  }

  #evaluate(): void {
    const before = this.#known;
    const now = this.#evaluated();
    this.#known = now;
    const added = [...now].filter(([name, url]) => before.get(name) !== url).map(peerOf);
    const removed = [...before].filter(([name]) => !now.has(name)).map(peerOf);
    if (added.length === 0 && removed.length === 0) return;
    for (const listener of [...this.#listeners]) listener({ added, removed });
  }
}

function mapOf(peers: readonly Peer[]): ReadonlyMap<string, string> {
  return new Map(peers.map(({ name, url }) => [name, url]));
}

function peerOf([name, url]: readonly [string, string]): Peer {
  return { name, url };
}
