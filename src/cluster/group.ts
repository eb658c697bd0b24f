/**
 * The replication group of a cluster, in a real node: one log of entries in one order, on the disks of all its members.
 *
 *   const group = await openGroup({ store, diskUuid, self: 'n1', peers: ['n2', 'n3'], transport, stateMachine, … });
 *   const result = await group.propose(bytes, ack);           // on the leader; elsewhere 'rejected', with its name
 *   const { index } = await group.readBarrier();              // on any member: what is applied here is not stale
 *
 * What the entries mean is the state machine's part; what makes them safe is the core's (src/single-leader/raft.ts).
 * This file holds what both sides of the group are promised; group-replica.ts runs the core over the node's store,
 * group-founding.ts says how a group comes to be, group-joining.ts how a node with a new disk is taken in, and
 * state-transfer-target.ts how one catches up that was away longer than the log reaches.
 *
 * 1. Every promise that was given out is settled once, also when the disk fails or the group is closed.
 * 2. `rejected` means that the entry is in no log and never will be; everything less certain is `unknown`.
 * 3. A listener hears of every change after it is visible in `status`.
 */

import type { Log } from '../runtime/log.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import type { AckRule, Receipt } from '../single-leader/ack-policy.ts';
import {
  asIndex,
  type Epoch,
  type LogIndex,
  type LogPosition,
  type MemberKind,
  type StatePoint,
  type Term,
} from '../single-leader/entry.ts';
import type {
  MembershipOutcome,
  PromotionOutcome,
  ProposalRejection,
  RoleName,
  TransferOutcome,
} from '../single-leader/events.ts';
import { statePoint } from '../single-leader/raft.ts';
import type { Operation, Store } from '../store/store.ts';
import {
  type AdmissionOutcome,
  GroupAdministration,
  type Newcomer,
  type SurveyedMember,
} from './group-administration.ts';
import { GroupCaller } from './group-caller.ts';
import { decodeLetter } from './group-codec.ts';
import { GroupHome } from './group-home.ts';
import { callKind, letterKind, truncateKind } from './group-kinds.ts';
import type { CommittedMembership, Removal } from './group-removal.ts';
import type { FetchedState } from './group-replica.ts';
import { type GroupSettings, groupDefaults } from './group-settings.ts';
import type { GroupStanding } from './group-status.ts';
import { decodeThrough } from './group-truncation.ts';
import { GroupUpkeep } from './group-upkeep.ts';
import type { StateMachine } from './state-machine.ts';

export interface CommittedEntry extends LogPosition {
  readonly data: Uint8Array;
}

export type ProposalResult =
  | {
      readonly kind: 'acknowledged';
      /** See AckOutcome. */
      readonly outcome: 'met' | 'degraded' | 'timed_out';
      readonly receipt: Receipt;
      readonly index: LogIndex;
      readonly term: Term;
    }
  /** It definitely did not happen. `leader`: the name of the node to ask, if known. */
  | {
      readonly kind: 'rejected';
      readonly reason: ProposalRejection | 'no_group';
      readonly leader: string | undefined;
    }
  /** Leadership, or this node's disk, was lost: it may come about, or come back as a recovered entry. */
  | { readonly kind: 'unknown' };

export interface MemberStatus {
  /** Name and disk, as `n1#0a1b2c3d`. */
  readonly id: string;
  readonly name: string;
  readonly kind: MemberKind;
  /** Where the group says that it is. */
  readonly url?: string | undefined;
  /** The following are known to the leader only. */
  readonly match?: number;
  readonly lagEntries?: number;
  /** Since when the member has not had everything; 0 when it has. */
  readonly lagMs?: number;
  readonly lastHeardMs?: number;
  /** Heard so lately that it counts as there. */
  readonly isInTouch?: boolean;
}

export interface GroupStatus {
  readonly self: string;
  /** Name and disk of this node. */
  readonly id: string;
  readonly role: RoleName;
  readonly term: number;
  readonly leader: string | undefined;
  readonly commit: number;
  readonly applied: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Who led when, oldest first. */
  readonly epochs: readonly Epoch[];
  /** Empty: not taken into a group yet. */
  readonly members: readonly MemberStatus[];
  /** This node leads, and has applied everything that earlier leaders committed. */
  readonly leaderReady: boolean;
  /** This node knows its group, or waits to be taken into the one that is there. */
  readonly founded: boolean;
  /** It has no part in a group, and may found none: somebody has to take it in. */
  readonly awaitsAdmission: boolean;
  /** A majority went on without this node. */
  readonly fencedOut: boolean;
  /** A member says that this node is none any more; see group-removal.ts. */
  readonly removal?: Removal | undefined;
  /** The term in which a membership was last forced; 0: never. Undefined: not known here. */
  readonly lineage?: number;
  /** The store does not take writes: the replica has stopped until it does. */
  readonly stopped: boolean;
}

export interface ReadBarrier {
  readonly index: number;
  readonly by: 'quorum' | 'lease';
}

export interface Group {
  status(): GroupStatus;
  /** Of {@link status} what every request asks for, without the price of the rest. */
  standing(): GroupStanding;
  propose(data: Uint8Array, ack: AckRule): Promise<ProposalResult>;
  /**
   * Resolves once everything that was acknowledged before the call is applied here. On any node.
   * @throws TercetError service_unavailable when no leader could confirm it in time, removed_from_cluster
   */
  readBarrier(): Promise<ReadBarrier>;
  /** @throws TercetError service_unavailable when `index` is not applied here within `timeoutMs` */
  appliedThrough(index: number, timeoutMs: number): Promise<void>;
  /**
   * Calls back once the entry is applied here, which need not be any sooner because of this, or once this node does not
   * lead, so that the next leader settles it before it checks anything.
   */
  whenSettled(index: number, callback: () => void): void;
  /** Until the function returned is called, entries are applied as soon as they can be. */
  expedite(): () => void;
  /**
   * What is applied here includes everything acknowledged up to so many milliseconds ago; undefined: unknown. Asking
   * keeps it fresh for a while: the group goes on confirming in the background.
   */
  stalenessMs(): number | undefined;
  /** Calls back on change of role, leader, term, members or readiness; the function returned ends that. */
  onChange(listener: (status: GroupStatus) => void): () => void;
  /** What this node can tell one that was removed; undefined: it is no member itself. */
  committedMembership(): CommittedMembership | undefined;
  /** Of the group, wherever its leader is. `to` is a node's name; undefined: whoever is best up to date. */
  transferLeadership(to: string | undefined): Promise<TransferOutcome>;
  /** This node stands for leader; one that leads hands over to it first. */
  promote(): Promise<PromotionOutcome>;
  /**
   * This node goes on with these nodes (and itself) although the majority is lost, which is then fenced out. What only
   * the others had is given up until they come back.
   */
  forcePromotion(voters: readonly string[]): Promise<PromotionOutcome>;
  /** Asks every member, within a second or so. */
  survey(): Promise<readonly SurveyedMember[]>;
  /** Takes a node in; it must be reachable, also from here. Wherever the leader is. */
  addMember(newcomer: Newcomer): Promise<AdmissionOutcome>;
  promoteLearner(name: string): Promise<MembershipOutcome>;
  /** A leader that is removed leads until that is committed, and then nobody does until somebody misses it. */
  removeMember(name: string): Promise<MembershipOutcome>;
  /** What whoever installs the state that is applied here through `index` has to know; undefined: not known here. */
  statePoint(index: number): StatePoint | undefined;
  /** See GroupReplica.installState. */
  installState(state: FetchedState, operations: readonly Operation[]): Promise<(() => void) | undefined>;
  /** For the transport's `onMessage`. @throws GarbageError */
  receive(from: string, kind: number, bytes: Uint8Array): void;
  /** For the transport's `onRequest`; undefined for a kind that belongs to somebody else. */
  serve(from: string, kind: number, bytes: Uint8Array): Promise<Uint8Array> | undefined;
  /** Hands leadership over first, within a few seconds. The store may be closed afterwards. */
  close(): Promise<void>;
}

/** The log of the group no longer reaches back to where this node is. */
export interface StateNeed {
  /** Name of a node that has the state. */
  readonly from: string;
  /** Through which index it must go at least. */
  readonly atLeast: number;
  /** `whole`: what is applied here is not what the group has. */
  readonly scope: 'changes' | 'whole';
}

export interface GroupOptions {
  readonly store: Store;
  /** Hex; made with the disk, so that a wiped one has another. */
  readonly diskUuid: string;
  /** This node's name. */
  readonly self: string;
  /** The names of all other nodes that are to be of the group from the start. */
  readonly peers: readonly string[];
  /** Where nodes are, this one among them, as far as this node was told; members carry it. Default: nowhere. */
  readonly urlOf?: (name: string) => string | undefined;
  /** Whether it may found a group; otherwise it waits to be taken into the one of its peers. Default: yes. */
  readonly mayFound?: boolean;
  /** Its handlers call {@link Group.receive} and {@link Group.serve}. */
  readonly transport: Pick<PeerTransport, 'send' | 'request'>;
  /** Asks another node for its {@link Group.committedMembership} where there may be no stream any more. Never rejects. */
  readonly askMembership: (peer: string) => Promise<CommittedMembership | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly stateMachine: StateMachine;
  /**
   * Entries of one epoch that left this node's log without being committed; some may have been acknowledged (async).
   * Resolves once the leader keeps what they say, after which they are forgotten. Called again, later and in every life
   * of the node, until it does.
   */
  readonly onRecovered: (entries: readonly CommittedEntry[], epoch: Term) => Promise<void>;
  /** Told again and again until {@link Group.installState}. */
  readonly onStateNeeded: (need: StateNeed) => void;
  /** Told of errors that are defects of ours. */
  readonly onDefect: (error: unknown) => void;
  readonly settings?: Partial<GroupSettings>;
}

/** Reads what the store holds of the group; founding or joining one goes on in the background. */
export async function openGroup(options: GroupOptions): Promise<Group> {
  const home = new GroupHome(options, { ...groupDefaults, ...options.settings });
  await home.open();
  const group = new NodeGroup(home);
  await group.start();
  return group;
}

class NodeGroup implements Group {
  readonly #home: GroupHome;
  readonly #caller: GroupCaller;
  readonly #administration: GroupAdministration;
  readonly #upkeep: GroupUpkeep;
  #closing: Promise<void> | undefined;

  constructor(home: GroupHome) {
    this.#home = home;
    this.#caller = new GroupCaller(home);
    this.#administration = new GroupAdministration(home, this.#caller);
    this.#upkeep = new GroupUpkeep(home, this.#caller);
  }

  /** A node alone needs nobody's word, so its group is there at once, and is led. */
  async start(): Promise<void> {
    const firstRound = this.#upkeep.start();
    if (this.#home.options.peers.length > 0) return;
    await firstRound;
    const { members } = this.status();
    if (members.length !== 1 || this.#home.settings.raft.leaderChoice !== 'elected') return;
    if ((await this.#home.desk.promote()) !== 'elected') return;
    await this.#home.until(({ leaderReady }) => leaderReady, this.#home.settings.handOverMsMax);
  }

  status(): GroupStatus {
    return this.#home.status();
  }

  standing(): GroupStanding {
    return this.#home.standing();
  }

  propose(data: Uint8Array, ack: AckRule): Promise<ProposalResult> {
    return this.#home.desk.propose(data, ack);
  }

  readBarrier(): Promise<ReadBarrier> {
    return this.#home.reads.barrier();
  }

  appliedThrough(index: number, timeoutMs: number): Promise<void> {
    return this.#home.reads.appliedThrough(index, timeoutMs);
  }

  whenSettled(index: number, callback: () => void): void {
    if (this.#home.standing().leaderReady) this.#home.reads.whenSettled(index, callback);
    else callback();
  }

  expedite(): () => void {
    return this.#home.reads.expedite();
  }

  stalenessMs(): number | undefined {
    return this.#home.reads.stalenessMs();
  }

  committedMembership(): CommittedMembership | undefined {
    return this.#home.committedMembership();
  }

  onChange(listener: (status: GroupStatus) => void): () => void {
    return this.#home.onChange(listener);
  }

  transferLeadership(to: string | undefined): Promise<TransferOutcome> {
    return this.#administration.transfer(to);
  }

  promote(): Promise<PromotionOutcome> {
    return this.#administration.promote();
  }

  forcePromotion(voters: readonly string[]): Promise<PromotionOutcome> {
    return this.#administration.force(voters);
  }

  survey(): Promise<readonly SurveyedMember[]> {
    return this.#administration.survey();
  }

  addMember(newcomer: Newcomer): Promise<AdmissionOutcome> {
    return this.#administration.add(newcomer);
  }

  promoteLearner(name: string): Promise<MembershipOutcome> {
    return this.#administration.promoteLearner(name);
  }

  removeMember(name: string): Promise<MembershipOutcome> {
    return this.#administration.remove(name);
  }

  statePoint(index: number): StatePoint | undefined {
    const raft = this.#home.replica?.raft;
    const isKnown = raft !== undefined && index >= raft.log.start.index && index <= raft.commit;
    return isKnown ? statePoint(raft, asIndex(index)) : undefined;
  }

  async installState(...state: Parameters<Group['installState']>): ReturnType<Group['installState']> {
    return this.#home.replica?.installState(...state);
  }

  receive(from: string, kind: number, bytes: Uint8Array): void {
    const { id, options, replica } = this.#home;
    if (kind === letterKind) {
      // Entries are kept for long, and must not keep all of what arrived with them.
      const letter = decodeLetter(new Uint8Array(bytes), { fromName: from, toName: options.self });
      if (letter.to === id) replica?.receive(letter.from, letter.message);
    } else if (kind === truncateKind) {
      const through = Math.min(decodeThrough(bytes), replica?.appliedIndex ?? 0);
      if (this.standing().leader === from)
        replica?.request({ kind: 'truncate_prefix', through: asIndex(through) });
    }
  }

  serve(_from: string, kind: number, bytes: Uint8Array): Promise<Uint8Array> | undefined {
    return kind === callKind ? this.#caller.serve(bytes) : undefined;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#upkeep.stop();
    const { desk, settings } = this.#home;
    const { role, members, self } = this.status();
    const hasSuccessor = members.some(({ name, kind }) => kind === 'voter' && name !== self);
    // Where leaders are appointed, nobody else becomes one because this one is started again.
    const mayHandOver = settings.raft.leaderChoice === 'elected' && hasSuccessor;
    if (role === 'leader' && mayHandOver) {
      const handedOver = desk.transfer(undefined);
      const isOver = this.#home.until((now) => now.role !== 'leader', settings.handOverMsMax);
      await Promise.race([handedOver, isOver]);
    }
    await this.#home.stop();
  }
}
