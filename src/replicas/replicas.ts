/** The leaderless databases of a node, as its databases and its HTTP server see them. */

import type { RouteWrites } from '../database/databases.ts';
import { purgeInTurn } from '../database/local-writes.ts';
import type { PurgeOutcome } from '../database/model.ts';
import type { QuorumWish } from '../database/writes.ts';
import { failure } from '../errors.ts';
import type {
  ComparedReplica,
  LeaderlessFigures,
  LeaderlessPlace,
  LeaderlessServices,
  QuorumReadAnswer,
  ReplicaStanding,
  ReplicaStatus,
} from '../http/leaderless-services.ts';
import type { ActiveTask, OwnerReplacement } from '../http/services.ts';
import { settingsOfRequest } from '../leaderless/presets.ts';
import { hindranceOf } from '../leaderless/replacing.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Clock } from '../runtime/ports.ts';
import type { AntiEntropy } from './anti-entropy.ts';
import type { Delivery } from './delivery.ts';
import type { Handoff } from './handoff.ts';
import type { HintStore } from './hint-store.ts';
import type { Joining } from './joining.ts';
import type { Liveness } from './liveness.ts';
import { purgeEverywhere } from './purging.ts';
import { quorumRead } from './quorum-reads.ts';
import { QuorumWrites, type QuorumWritesContext } from './quorum-writes.ts';
import type { ReadRoundContext } from './read-round.ts';
import type { Rejoining } from './rejoining.ts';
import type { ReplicaCaller } from './replica-caller.ts';
import { type ReplicaSet, ReplicaSets, type ReplicaSetsOptions } from './replica-sets.ts';
import { phiShownMax, replicaStandings, replicaStatuses, shownFill, shownTask } from './replica-status.ts';
import type { WriteRoundContext } from './write-round.ts';

/** What there is once everything is open. */
export interface ReplicasParts {
  readonly self: string;
  readonly clock: Clock;
  readonly caller: ReplicaCaller;
  readonly delivery: Delivery;
  readonly liveness: Liveness;
  readonly hints: HintStore;
  readonly handoff: Handoff;
  readonly joining: Joining;
  readonly transport: Pick<PeerTransport, 'request'>;
  readonly antiEntropy: AntiEntropy;
  readonly rejoining: Rejoining;
}

export interface ReplicasOptions extends ReplicaSetsOptions {
  /** Changes settings on all nodes. */
  readonly changeSettings: QuorumWritesContext['changeSettings'];
}

export class Replicas implements LeaderlessServices {
  readonly sets: ReplicaSets;
  readonly #options: ReplicasOptions;
  #readRepairs = 0;
  #parts: ReplicasParts | undefined;
  #readContext: ReadRoundContext | undefined;
  #writeContext: WriteRoundContext | undefined;

  constructor(options: ReplicasOptions) {
    this.#options = options;
    this.sets = new ReplicaSets(options);
  }

  begin(parts: ReplicasParts): void {
    const { caller, clock, delivery, handoff, joining, liveness, self } = parts;
    this.#parts = parts;
    this.#writeContext = {
      ...{ self, clock, delivery, liveness },
      isMember: (node) => this.sets.isMember(node),
      keepHints: (owner, set, revisions) => handoff.keep(owner, set, revisions),
    };
    this.#readContext = {
      ...{ self, clock, caller, delivery, liveness },
      isMember: (node) => this.sets.isMember(node),
      joinHere: (set, revisions) => joining.joinHere(set, revisions),
      fetchContents: (from, set, revisions) => joining.fetchContents(from, set, revisions),
      bury: (to, set, id, tombstones) => joining.bury(to, set, id, tombstones),
      onRepair: () => {
        this.#readRepairs += 1;
      },
    };
  }

  /** How the writes of a leaderless database go; undefined for any other. */
  readonly routeWrites = (...[database, replication, local]: Parameters<RouteWrites>) => {
    if (replication.strategy !== 'leaderless') return undefined;
    return new QuorumWrites({
      ...{ database, local },
      round: () => this.#begun(this.#writeContext),
      setOf: (name) => this.sets.of(name),
      catchUp: (set, ids) => this.#begun(this.#parts).joining.catchUp(set, ids),
      changeSettings: this.#options.changeSettings,
      purge: (set, request) => this.#purge(set, request),
    });
  };

  place(database: string): LeaderlessPlace | undefined {
    const set = this.sets.of(database);
    if (set === undefined) return undefined;
    const { isOwner, isWhole, owners, settings, standIns } = set;
    return { isOwner, isWhole, owners, settings, standIns };
  }

  /** Owners that are probably there, whom to ask first before all others. */
  reachableOwners(database: string): readonly string[] {
    const { liveness, self } = this.#begun(this.#parts);
    const others = (this.sets.of(database)?.owners ?? []).filter((node) => node !== self);
    return liveness.preferred(others).filter((node) => !liveness.isSuspected(node));
  }

  async read(database: string, id: string, wish: QuorumWish): Promise<QuorumReadAnswer> {
    const set = this.#setOf(database);
    const settings = settingsOfRequest(set.settings, wish);
    const { n, r } = settings;
    if (r === 1 && set.isWhole) return { reader: undefined, from: [this.sets.self], n, r };
    const { from, reader } = await quorumRead(this.#begun(this.#readContext), { set, settings, id });
    return { reader, from, n, r };
  }

  replicasOf(database: string): readonly ReplicaStatus[] {
    const set = this.sets.of(database);
    return set === undefined ? [] : replicaStatuses(set, this.#begun(this.#parts));
  }

  async standingsOf(database: string): Promise<ReadonlyMap<string, ReplicaStanding>> {
    const set = this.sets.of(database);
    return set === undefined ? new Map() : this.#standings(set, set.owners);
  }

  async confirmRemoved(database: string, { by, node: gone }: OwnerReplacement): Promise<void> {
    const set = this.#setOf(database);
    const others = set.owners.filter((owner) => owner !== gone && this.sets.isMember(owner));
    const standings = await this.#standings(set, [...others, by]);
    const hindrance = hindranceOf({ gone, by, others, standings });
    if (hindrance === undefined) return;
    const { node } = hindrance;
    const reason =
      hindrance.kind === 'silent'
        ? `${node} does not answer: ${node === by ? 'it cannot be filled' : 'what it has is needed to fill another one'}.`
        : `${node} has not heard yet ${node === by ? 'what the cluster decided' : `that ${gone} was removed`}: try again.`;
    throw failure('service_unavailable', reason);
  }

  #standings(set: ReplicaSet, nodes: readonly string[]): ReturnType<typeof replicaStandings> {
    return replicaStandings(set, nodes, { ...this.#begun(this.#parts), members: this.sets.members() });
  }

  hearGraves(database: string, id: string): Promise<boolean> {
    return this.#begun(this.#parts).joining.hearGraves(this.#setOf(database), id);
  }

  compareNow(database: string): Promise<readonly ComparedReplica[]> {
    return this.#begun(this.#parts).antiEntropy.runNow(database);
  }

  activeTasks(): readonly ActiveTask[] {
    const { antiEntropy, clock, rejoining } = this.#begun(this.#parts);
    const at = { node: this.sets.self, nowMs: clock.now() };
    const round = antiEntropy.present();
    const fills = this.sets.all().flatMap((set) => {
      const fill = rejoining.progress(set);
      return fill === undefined ? [] : [shownFill(set.database.name, fill, at)];
    });
    return [...fills, ...(round === undefined ? [] : [shownTask(round, at)])];
  }

  figures(): LeaderlessFigures {
    const { antiEntropy, hints, liveness } = this.#begun(this.#parts);
    return {
      ...{ hintsPending: hints.backlogs(), hints: { ...hints.counters() }, rounds: antiEntropy.counts() },
      readRepairs: this.#readRepairs,
      phi: new Map(liveness.health().map(({ peer, phi }) => [peer, Math.min(phi, phiShownMax)])),
    };
  }

  async #purge(set: ReplicaSet, request: ReadonlyMap<string, readonly string[]>): Promise<PurgeOutcome> {
    const { liveness, transport } = this.#begun(this.#parts);
    const here = () => set.database.submit((turn) => purgeInTurn(turn, request, set.database.inTurn));
    const others = set.owners.filter((node) => node !== this.sets.self);
    return purgeEverywhere({ ...{ identity: set.identity, others, request, here, liveness, transport } });
  }

  #setOf(database: string): ReplicaSet {
    const set = this.sets.of(database);
    if (set === undefined) throw failure('not_found', 'Database does not exist.');
    return set;
  }

  #begun<Part>(part: Part | undefined): Part {
    if (part === undefined) throw failure('service_unavailable', 'The node is starting.');
    return part;
  }
}
