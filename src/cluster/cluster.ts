/**
 * Single-leader databases of a node: the group, what its log means here, and what the node offers of it to HTTP.
 *
 * The group (group.ts) knows entries; the catalog (catalog.ts) knows what they mean; logged-writes.ts is how a database's
 * writes get into the log. This file ties them together.
 */

import type { LeaderChoice } from '../config.ts';
import type { Databases, RouteWrites } from '../database/databases.ts';
import { checkName, isSystemDatabase } from '../database/databases.ts';
import type { AckSettings, DocumentEdit, ReplicaOwner, ReplicationChoice } from '../database/model.ts';
import type { DatabaseSettings } from '../database/settings.ts';
import type { WriteOptions } from '../database/writes.ts';
import { failure } from '../errors.ts';
import type {
  ClusterNodes,
  ClusterServices,
  ClusterStatus,
  GroupPosition,
  LeaderPlace,
  OwnerReplacement,
} from '../http/services.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import type { Addresses } from './addresses.ts';
import { CommandLog, catalogAck } from './command-log.ts';
import type { Command } from './commands.ts';
import { mustBeConfirmable } from './enough-followers.ts';
import { ForwardedEdits, type ForwardedEditsContext } from './forwarded-edits.ts';
import type { Group } from './group.ts';
import { removedText } from './group-removal.ts';
import { handOver } from './handing-over.ts';
import { withLoggedSettings } from './logged-settings.ts';
import { LoggedWrites } from './logged-writes.ts';
import { NodeAdministration } from './node-administration.ts';
import { type PromotionWish, promoteHere } from './promotion.ts';
import {
  canOwn,
  identityOf,
  mustKeepOwners,
  type PlaceOwners,
  replacingOwner,
  withOwners,
} from './replication-choice.ts';
import { shownStatus } from './shown-status.ts';

const APPLY_MS_MAX = 10_000;
const droppedMeanwhile =
  'The database was deleted again, or one of that name that was created at the same time.';

export interface ClusterContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly tickMs: number;
  readonly followerWrites: 'forward' | 'refuse';
  readonly addresses: Addresses;
  /** Undefined for a node that has no secret to share. */
  readonly transport: PeerTransport | undefined;
  readonly hasSecret: boolean;
  readonly leaderChoice: LeaderChoice;
  readonly readLease: boolean;
  readonly peerHeaders: ClusterServices['peerHeaders'];
  readonly requireWriter: ForwardedEditsContext['requireWriter'];
  /** Which of these nodes are to hold a new leaderless database: N of them. */
  readonly placeOwners: PlaceOwners;
}

export interface ClusterParts {
  readonly databases: Databases;
  readonly group: Group;
  /** Takes an edit to another node; undefined without one. */
  readonly request: ForwardedEditsContext['request'] | undefined;
  readonly onDefect: (error: unknown) => void;
}

export class Cluster implements ClusterServices {
  readonly followerWrites: 'forward' | 'refuse';
  readonly leaderChoice: LeaderChoice;
  readonly readLease: boolean;
  readonly peerHeaders: ClusterServices['peerHeaders'];
  readonly log: CommandLog;
  readonly nodes: ClusterNodes;
  readonly #context: ClusterContext;
  #parts: ClusterParts | undefined;
  #forwarded: ForwardedEdits | undefined;

  constructor(context: ClusterContext) {
    this.#context = context;
    const { addresses, clock, hasSecret, leaderChoice, tickMs, transport } = context;
    const group = () => this.#group;
    this.nodes = new NodeAdministration({ group, addresses, transport, hasSecret, leaderChoice, clock });
    this.log = new CommandLog({ group, clock, tickMs });
    this.followerWrites = context.followerWrites;
    this.leaderChoice = leaderChoice;
    this.readLease = context.readLease;
    this.peerHeaders = context.peerHeaders;
  }

  /** Databases are opened before their group, with the way of their writes; here it begins to lead somewhere. */
  begin(parts: ClusterParts): void {
    this.#parts = parts;
    const { onDefect, request } = parts;
    if (request === undefined) return;
    this.#forwarded = new ForwardedEdits({
      ...{ clock: this.#context.clock, databases: () => parts.databases, request, onDefect },
      leader: () => this.#group.standing().leader,
      requireLeading: () => this.log.requireLeading(),
      onLeaderChange: (listener) => this.onLeaderChange(listener),
      requireWriter: this.#context.requireWriter,
    });
  }

  end(): void {
    this.#forwarded?.close();
  }

  get forwardsEdits(): boolean {
    return this.#forwarded !== undefined;
  }

  /** An edit that a follower brings. */
  serveEdit(bytes: Uint8Array): Promise<Uint8Array> | undefined {
    return this.#forwarded?.serve(bytes);
  }

  /** How the writes of a database of the group go. */
  readonly routeWrites: RouteWrites = (database, replication, local) => {
    const { reference, strategy } = replication;
    if (reference === undefined) return local;
    if (strategy !== 'single-leader') {
      return withLoggedSettings(local, (change) => this.changeSettings(database.name, change));
    }
    const ack = () => this.#ackSettings(database.name);
    const forward = async (edits: readonly DocumentEdit[], options: WriteOptions) => {
      if (this.#forwarded === undefined) throw failure('not_leader');
      return this.#forwarded.forward({ name: database.name, reference, settings: ack(), edits }, options);
    };
    const tellsApplied = isSystemDatabase(database.name);
    return new LoggedWrites({ database, reference, ack, log: this.log, forward, local, tellsApplied });
  };

  status(): ClusterStatus {
    return shownStatus(this.#group.status());
  }

  committedMembership(): object | undefined {
    return this.#group.committedMembership();
  }

  removal(): string | undefined {
    const { removal } = this.#group.standing();
    return removal && removedText(this.#group.status().id, removal);
  }

  policies(): ReadonlyMap<string, AckSettings> {
    const known = this.#databases.names().flatMap((name) => {
      const replication = this.#databases.replication(name);
      return replication.strategy === 'single-leader' ? [[name, replication.ack] as const] : [];
    });
    return new Map(known);
  }

  /** A witness of the group has none of its databases. */
  hasDocuments(): boolean {
    return !this.#isWitness();
  }

  ownersMax(): number | undefined {
    const { members } = this.#group.status();
    return members.length === 0 ? undefined : members.filter(canOwn).length;
  }

  isSingleLeader(database: string): boolean {
    return this.#databases.replication(database).strategy === 'single-leader';
  }

  isInCatalog(database: string): boolean {
    return this.#databases.replication(database).reference !== undefined;
  }

  leader(waitMs: number): Promise<LeaderPlace> {
    const now = this.#leaderNow();
    if (now.kind !== 'none' || waitMs <= 0) return Promise.resolve(now);
    return new Promise((resolve) => {
      const end = (place: LeaderPlace) => {
        stopListening();
        cancel();
        resolve(place);
      };
      const stopListening = this.#group.onChange(() => {
        const place = this.#leaderNow();
        if (place.kind !== 'none') end(place);
      });
      const cancel = this.#context.clock.after(waitMs, () => end({ kind: 'none' }));
    });
  }

  onLeaderChange(listener: () => void): () => void {
    return this.#group.onChange(listener);
  }

  readBarrier(): Promise<{ readonly index: number; readonly by: 'quorum' | 'lease' }> {
    return this.#group.readBarrier();
  }

  stalenessMs(): number | undefined {
    return this.#group.stalenessMs();
  }

  appliedPosition(): GroupPosition {
    return this.#group.standing().applied;
  }

  async waitForPosition({ index, term }: GroupPosition, timeoutMs: number): Promise<void> {
    await this.#group.appliedThrough(index, timeoutMs);
    if (this.#termAt(index) !== term) {
      throw failure('service_unavailable', 'The position was never committed: what it stood for is gone.');
    }
  }

  async createDatabase(name: string, replication: ReplicationChoice): Promise<void> {
    checkName(name);
    this.log.requireLeading();
    const isAdopted = replication.strategy === 'multi-leader' && !this.isInCatalog(name);
    if (this.#databases.has(name) && !isAdopted) throw failure('file_exists');
    mustBeConfirmable(replication, undefined, this.#group.status().members);
    await this.#create(name, replication);
  }

  /** Whatever of that name this node has by itself gives way. */
  async createSystemDatabase(name: string): Promise<void> {
    await this.#create(name, { strategy: 'single-leader', ack: catalogAck });
  }

  async #create(name: string, replication: ReplicationChoice): Promise<void> {
    const identity = this.#context.random.hex(8);
    const { members } = this.#group.status();
    const placed = withOwners(replication, { identity, members, place: this.#context.placeOwners });
    await this.#change({ kind: 'create', name, incarnation: identity, replication: placed });
    // Two creations of one name at the same time: the log decided. Which one was dropped since is known no longer.
    if (!this.#databases.has(name)) throw failure('write_outcome_unknown', droppedMeanwhile);
    if (identityOf(this.#databases, name) !== identity) throw failure('file_exists');
  }

  async deleteDatabase(name: string): Promise<void> {
    await this.#change({ kind: 'drop', database: this.#referenceOf(name) });
  }

  async setReplication(name: string, replication: ReplicationChoice): Promise<void> {
    const database = this.#referenceOf(name);
    const present = this.#databases.replication(name);
    mustKeepOwners(present, replication);
    mustBeConfirmable(replication, present, this.#group.status().members);
    await this.#change({ kind: 'configure', database, replication });
  }

  async replaceOwner(
    name: string,
    replacement: OwnerReplacement,
    confirmRemoved: () => Promise<void>,
  ): Promise<void> {
    this.#replacingOwner(name, replacement);
    await confirmRemoved();
    // Looked at again: it may have been taken in meanwhile, and what follows it in the log does not matter.
    const by = this.#replacingOwner(name, replacement);
    const database = this.#referenceOf(name);
    await this.#change({ kind: 'replace_owner', database, node: replacement.node, by });
  }

  #replacingOwner(name: string, replacement: OwnerReplacement): ReplicaOwner {
    this.log.requireLeading();
    const { members } = this.#group.status();
    // What is in force may not be committed: the one that goes could come back with it.
    const committed = this.#group.committedMembership()?.members;
    if (committed?.join() !== members.map(({ id }) => id).join())
      throw failure('service_unavailable', 'A change of members is under way.');
    const joined = this.#context.random.hex(8);
    return replacingOwner(this.#databases.replication(name), replacement, { joined, members });
  }

  /** On the leader only: settings that all nodes have alike. @throws TercetError `not_found`, `not_leader` */
  async changeSettings(name: string, change: Partial<DatabaseSettings>): Promise<void> {
    await this.#change({ kind: 'settings', database: this.#referenceOf(name), change });
  }

  promote(wish: PromotionWish): Promise<object> {
    return promoteHere(this.#group, wish, this.leaderChoice);
  }

  transfer(to: string | undefined): Promise<object> {
    return handOver(this.#group, to);
  }

  get #group(): Group {
    return this.#begun().group;
  }

  get #databases(): Databases {
    return this.#begun().databases;
  }

  #begun(): ClusterParts {
    if (this.#parts === undefined) throw failure('service_unavailable', 'The node is starting.');
    return this.#parts;
  }

  async #change(command: Command): Promise<void> {
    this.log.requireLeading();
    await this.log.log([command], catalogAck, {});
    await this.#group.appliedThrough(this.#group.status().commit, APPLY_MS_MAX);
  }

  #ackSettings(database: string): AckSettings {
    const replication = this.#databases.replication(database);
    if (replication.strategy !== 'single-leader') throw failure('not_found', 'The database has no leader.');
    return replication.ack;
  }

  #referenceOf(name: string): number {
    const { reference } = this.#databases.replication(name);
    if (reference === undefined) throw failure('not_found', 'Database does not exist.');
    return reference;
  }

  #leaderNow(): LeaderPlace {
    const { leader, leaderReady } = this.#group.standing();
    if (leaderReady) return { kind: 'here' };
    const advice = this.removal();
    if (advice !== undefined) return { kind: 'removed', advice };
    // Its own name has no address here: it leads, and has not applied everything yet.
    if (leader === undefined) return { kind: 'none' };
    const url = this.#context.addresses.urlOfPeer(leader);
    return url === undefined ? { kind: 'none' } : { kind: 'there', name: leader, url };
  }

  #isWitness(): boolean {
    const { id, members } = this.#group.status();
    return members.some((member) => member.id === id && member.kind === 'witness');
  }

  #termAt(index: number): number {
    const epoch = this.#group.status().epochs.findLast(({ firstIndex }) => firstIndex <= index);
    return epoch?.term ?? 0;
  }
}
