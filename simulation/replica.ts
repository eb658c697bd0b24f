/**
 * One life of a node, from start to crash: the production core and driver, with a small application around them.
 *
 *     client ──► write desk, read desk ──► driver ──► core
 *     peers  ──► driver, transfer desk       │
 *                                            ├──► log on the disk
 *                                            └──► application on the disk
 *
 * It is what the database layer is in production, as small as it can be while it keeps the same promises.
 */

import { type JoiningStep, nextJoiningStep } from '../src/cluster/group-joining.ts';
import { majorityOf, reachedBy } from '../src/replication/quorum.ts';
import type { Core, NodeId } from '../src/replication/strategy.ts';
import { Driver, type Settled } from '../src/runtime/driver.ts';
import {
  type CommitOperations,
  DriverLog,
  type GroupWrite,
  type ReadLog,
} from '../src/runtime/driver-log.ts';
import type { Clock, Random } from '../src/runtime/ports.ts';
import type { AckRule } from '../src/single-leader/ack-policy.ts';
import {
  asIndex,
  asTerm,
  type Entry,
  type LogIndex,
  type LogPosition,
  type Membership,
} from '../src/single-leader/entry.ts';
import type {
  DurableState,
  RaftEffect,
  RaftEvent,
  RaftNotice,
  RaftRequest,
} from '../src/single-leader/events.ts';
import { lastPosition } from '../src/single-leader/log.ts';
import { membershipOf } from '../src/single-leader/log-changes.ts';
import { electors } from '../src/single-leader/membership.ts';
import type { RaftMessage } from '../src/single-leader/messages.ts';
import { createRaft, mayInstall, raftCore, statePoint } from '../src/single-leader/raft.ts';
import type { LeaderRole, Raft, RaftOptions } from '../src/single-leader/state.ts';
import { Application } from './application.ts';
import type { Canary } from './canaries.ts';
import type { AppliedState, NodeMessage } from './commands.ts';
import { type KnownMembership, knownMembership } from './known-memberships.ts';
import { ReadDesk } from './read-desk.ts';
import type { Answer, ReadAnswer, ReadRequest, WriteAnswer, WriteRequest } from './requests.ts';
import { TransferDesk } from './transfer-desk.ts';
import { WriteDesk } from './write-desk.ts';

export interface ReplicaSettings {
  readonly raft: RaftOptions;
  readonly tickMs: number;
  /** The log is truncated when so many entries more than this are applied. */
  readonly logEntriesKept: number;
  readonly recoveredOfferMs: number;
}

export interface ReplicaPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly send: (to: string, message: NodeMessage) => void;
  readonly commit: CommitOperations;
  readonly durableOn: (index: number, term: number) => readonly string[];
  readonly seeApplied: (entries: readonly Entry[]) => void;
  readonly note: (what: string, detail: unknown) => void;
  readonly failed: (error: Error) => void;
}

/** The log of a disk that was written to before. */
export type WrittenLog = ReadLog & { readonly durable: NonNullable<ReadLog['durable']> };

export interface ReplicaStart {
  readonly self: NodeId;
  readonly settings: ReplicaSettings;
  readonly ports: ReplicaPorts;
  readonly canary: Canary;
  readonly log: WrittenLog;
  readonly applied: AppliedState;
}

const recoveredAck: AckRule = {
  policy: { kind: 'semi_sync', followers: 'majority' },
  onTimeout: 'block',
  timeoutTicks: 1,
};

type RaftDriver = Driver<RaftMessage, RaftRequest, GroupWrite, Entry, RaftNotice>;

export class Replica {
  readonly #start: ReplicaStart;
  readonly #raft: Raft;
  readonly #core: Core<RaftEvent, RaftEffect>;
  readonly #driver: RaftDriver;
  readonly #application: Application;
  readonly #log: DriverLog;
  readonly #writes: WriteDesk;
  readonly #reads: ReadDesk;
  readonly #transfers: TransferDesk;
  /** Told once what came back is committed. */
  readonly #recovering = new Map<number, () => void>();
  #nextId = 1;
  #truncatedThrough = 0;
  /** What was committed when it last took up a role. */
  #commitBefore = 0;

  constructor(start: ReplicaStart) {
    const { settings, ports, canary, log } = start;
    this.#start = start;
    const found = { ...log.durable, applied: asIndex(start.applied.index) };
    const durable = canary.onRestart?.(found) ?? found;
    this.#application = new Application({ ...start.applied, index: durable.applied }, ports.commit);
    this.#log = new DriverLog({ group: 1, commit: ports.commit, found: log.found });
    this.#raft = this.#createRaft(durable);
    this.#truncatedThrough = log.found.start;
    const core = raftCore(this.#raft);
    this.#core = this.#watched(canary.core?.(core, this.#raft) ?? core);
    this.#driver = new Driver<RaftMessage, RaftRequest, GroupWrite, Entry, RaftNotice>({
      core: this.#core,
      tickMs: settings.tickMs,
      ports: {
        clock: ports.clock,
        random: ports.random,
        send: (to, message) => ports.send(to, { kind: 'raft', message }),
        persist: (writes, settled) => this.#persist(writes, settled),
        apply: (entries, settled) => this.#apply(entries, settled),
        notice: (notice) => this.#notice(notice),
        failed: ports.failed,
      },
    });
    this.#writes = this.#createWriteDesk();
    this.#reads = this.#createReadDesk();
    this.#transfers = this.#createTransferDesk();
  }

  run(): void {
    this.#driver.start();
    this.#offerRecoveredLater();
  }

  stop(): void {
    this.#driver.stop();
  }

  receive(from: string, message: NodeMessage): void {
    switch (message.kind) {
      case 'raft':
        return this.#driver.receive(from as NodeId, message.message);
      case 'state_request':
        return this.#transfers.stateRequested(from, message.atLeast);
      case 'state':
        return this.#transfers.stateArrived(message.point, message.state);
      case 'recovered':
        return this.#transfers.recoveredOffered(from, message.entries);
      case 'recovered_kept':
        return this.#transfers.recoveredKept(message.entries);
    }
  }

  write(request: WriteRequest, answer: Answer<WriteAnswer>): void {
    this.#writes.write(request, answer);
  }

  read(request: ReadRequest, answer: Answer<ReadAnswer>): void {
    this.#reads.read(request, answer);
  }

  /** Asks the core for something whose outcome only the trace tells. */
  request(make: (id: number) => RaftRequest): void {
    this.#driver.request(make(this.#takeId()));
  }

  checkInvariants(): void {
    this.#core.checkInvariants();
  }

  term(): number {
    return this.#raft.term;
  }

  isLeader(): boolean {
    return this.#raft.role.kind === 'leader';
  }

  /** It leads, and a majority holds entries of earlier terms that it may not count yet (figure 8 of the paper). */
  holdsOldMajority(): boolean {
    const { role } = this.#raft;
    if (role.kind !== 'leader' || this.#commitBefore >= role.epochIndex) return false;
    const match = majorityMatch(this.#raft, role);
    return match > this.#commitBefore && match < role.epochIndex;
  }

  membership(): Membership | undefined {
    return membershipOf(this.#raft);
  }

  known(): KnownMembership | undefined {
    return knownMembership(this.#raft);
  }

  lineage(): number {
    return this.#raft.lineage;
  }

  lastPosition(): LogPosition {
    return lastPosition(this.#raft.log);
  }

  joiningStep(id: NodeId): JoiningStep {
    return nextJoiningStep(this.#raft, { id, was: undefined, url: undefined }, () => true);
  }

  /** A witness has applied what it is told that it need not have. */
  appliedIndex(): number {
    return Math.max(this.#application.state().index, this.#isWitness() ? this.#raft.log.start.index : 0);
  }

  applied(): AppliedState {
    return this.#application.state();
  }

  #createRaft(durable: DurableState): Raft {
    const { self, settings, ports } = this.#start;
    const now = Math.floor(ports.clock.monotonic() / settings.tickMs);
    return createRaft({ self, options: settings.raft, durable, now, random: ports.random.next() });
  }

  /** What the core says is committed is so, whether or not this node lives to apply it, in the lineage that it knows by then. */
  #watched(core: Core<RaftEvent, RaftEffect>): Core<RaftEvent, RaftEffect> {
    const see = (effect: RaftEffect) => {
      if (effect.kind === 'apply') this.#start.ports.seeApplied(effect.entries);
    };
    return {
      checkInvariants: () => core.checkInvariants(),
      step: (event) => {
        const effects = core.step(event);
        effects.forEach(see);
        return effects;
      },
    };
  }

  #persist(writes: readonly GroupWrite[], settled: Settled): void {
    const { canary } = this.#start;
    const changed = writes.map((write) => ('kind' in write ? write : (canary.logWrite?.(write) ?? write)));
    this.#log.persist(changed, (error) => {
      settled(error);
      if (error === undefined) this.#afterApply();
    });
  }

  #apply(entries: readonly Entry[], settled: Settled): void {
    const mayJump = this.#isWitness();
    this.#application.apply(entries, { mayJump }, (error) => {
      settled(error);
      if (error === undefined) this.#afterApply();
    });
  }

  #afterApply(): void {
    this.#writes.applied();
    this.#reads.applied();
    this.#transfers.applied();
    const through = this.#application.index();
    const { logEntriesKept } = this.#start.settings;
    if (through - this.#truncatedThrough < 2 * logEntriesKept) return;
    this.#truncatedThrough = through - logEntriesKept;
    this.#driver.request({ kind: 'truncate_prefix', through: asIndex(this.#truncatedThrough) });
  }

  #notice(notice: RaftNotice): void {
    switch (notice.kind) {
      case 'proposal_logged':
        return this.#writes.logged(notice.id, notice.position.index);
      case 'proposal_rejected':
        this.#recovering.delete(notice.id);
        return this.#writes.rejected(notice.id, notice.leader);
      case 'acknowledged':
        if (notice.outcome === 'met') this.#recovering.get(notice.id)?.();
        this.#recovering.delete(notice.id);
        return this.#writes.acknowledged(notice.id, notice.outcome, notice.receipt);
      case 'read_ready':
        return this.#reads.ready(notice.id, notice.index);
      case 'read_refused':
        return this.#reads.refused(notice.id);
      case 'recovered':
        return this.#transfers.keepRecovered(notice.entries);
      case 'state_needed':
        return this.#transfers.stateNeeded(notice);
      default:
        return this.#noteChange(notice);
    }
  }

  #noteChange(notice: RaftNotice): void {
    const { kind, ...detail } = notice;
    this.#start.ports.note(kind, detail);
    if (notice.kind !== 'role') return;
    this.#commitBefore = notice.commit;
    if (notice.role !== 'leader') this.#writes.deposed();
  }

  #createWriteDesk(): WriteDesk {
    const { self, ports, canary } = this.#start;
    return new WriteDesk({
      self,
      propose: (id, data, ack) => this.#driver.request({ kind: 'propose', proposals: [{ id, data, ack }] }),
      nextId: () => this.#takeId(),
      leader: () => this.#leader(),
      knowsWholeLog: () => this.isLeader() && this.#application.state().epochTerm === this.#raft.term,
      appliedValue: (document) => this.#application.valueOf(document),
      appliedIndex: () => this.#application.state().index,
      readBarrier: (ready) => this.#reads.barrier(ready),
      membership: () => this.membership(),
      durableOn: ports.durableOn,
      lineage: () => this.#raft.lineage,
      letsLateWritesWin: canary.letsLateWritesWin === true,
    });
  }

  #createReadDesk(): ReadDesk {
    const { ports, canary } = this.#start;
    return new ReadDesk({
      appliedIndex: () =>
        canary.countsReplacedState === true ? this.#application.state().index : this.#application.index(),
      shownIndex: () => this.#application.state().index,
      appliedValue: (document) => this.#application.valueOf(document),
      askCore: (id) => this.#driver.request({ kind: 'read', id }),
      nextId: () => this.#takeId(),
      monotonicMs: () => ports.clock.monotonic(),
      answersStale: canary.answersStale === true,
      ignoresToken: canary.ignoresToken === true,
      appliedEpochTerm: () => this.#application.state().epochTerm,
      hasDocuments: () => !this.#isWitness() || canary.letsWitnessAnswer === true,
      lineage: () => this.#raft.lineage,
    });
  }

  #createTransferDesk(): TransferDesk {
    const { self, ports, log, canary } = this.#start;
    return new TransferDesk({
      self,
      application: this.#application,
      log: this.#log,
      send: ports.send,
      leader: () => this.#leader(),
      // While a fetched state is on its way to the disk, the log begins after what is visible here.
      pointAt: (index) =>
        index < this.#raft.log.start.index ? undefined : statePoint(this.#raft, asIndex(index)),
      mayInstall: (scope, point) => mayInstall(this.#raft, scope, point),
      install: (point, write) => this.#driver.request({ kind: 'state_installed', point }, write),
      recover: (write, committed) => {
        const id = this.#takeId();
        this.#recovering.set(id, committed);
        if (!this.#writes.recover(id, write, recoveredAck)) this.#recovering.delete(id);
      },
      lineage: () => this.#raft.lineage,
      recovered: log.recovered,
      dropsRecovered: canary.dropsRecovered === true,
    });
  }

  #offerRecoveredLater(): void {
    const { ports, settings } = this.#start;
    ports.clock.after(settings.recoveredOfferMs, () => {
      this.#transfers.offerRecovered();
      this.#offerRecoveredLater();
    });
  }

  #isWitness(): boolean {
    const members = this.membership()?.members ?? [];
    return members.some(({ id, kind }) => id === this.#raft.self && kind === 'witness');
  }

  #leader(): NodeId | undefined {
    const { role, self } = this.#raft;
    if (role.kind === 'leader') return self;
    return role.kind === 'follower' ? role.leader : undefined;
  }

  #takeId(): number {
    const id = this.#nextId;
    this.#nextId += 1;
    return id;
  }
}

/** What a majority of the electors holds. */
export function majorityMatch(raft: Raft, role: LeaderRole): LogIndex {
  const voters = electors(membershipOf(raft) ?? { members: [], lineage: asTerm(0) });
  if (voters.length === 0) return asIndex(0);
  const held = voters.map(({ id }) =>
    id === raft.self ? raft.log.persisted : (role.progress.get(id)?.match ?? 0),
  );
  return asIndex(reachedBy(majorityOf(held.length), held));
}
