/**
 * Where a group lives on this node: what its disk knows of the group, and one life of a replica after the other.
 *
 *     no group ──adopt──► replica ──the disk refused a write──► none ──open again──► replica …
 *
 * Whatever asks or listens holds on to this, not to a replica, and so outlives all of them.
 */

import { failure } from '../errors.ts';
import type { NodeId } from '../replication/strategy.ts';
import type { RaftNotice } from '../single-leader/events.ts';
import { isFencedOut } from '../single-leader/log-changes.ts';
import type { RaftMessage } from '../single-leader/messages.ts';
import type { GroupOptions, GroupStatus } from './group.ts';
import { encodeLetter } from './group-codec.ts';
import { GroupDesk } from './group-desk.ts';
import { type GroupRecord, readGroup, writeGroup, writeRecord } from './group-founding.ts';
import { letterKind } from './group-kinds.ts';
import { LagClock } from './group-lag.ts';
import { nameOf, nodeIdOf } from './group-node-id.ts';
import { GroupReads } from './group-reads.ts';
import { GroupRecovered } from './group-recovered.ts';
import {
  type CommittedMembership,
  committedMembership,
  type Removal,
  RemovalWatch,
  removedText,
} from './group-removal.ts';
import { GroupReplica } from './group-replica.ts';
import type { GroupSettings } from './group-settings.ts';
import { type GroupStanding, isLeaderReady, standingOf, statusOf } from './group-status.ts';
import { UnappliableError } from './state-machine.ts';

type Listener = (status: GroupStatus) => void;

export class GroupHome {
  readonly id: NodeId;
  readonly options: GroupOptions;
  readonly settings: GroupSettings;
  readonly desk: GroupDesk;
  readonly reads: GroupReads;
  readonly recovered: GroupRecovered;
  readonly removal: RemovalWatch;
  readonly #lag: LagClock;
  readonly #listeners = new Set<Listener>();
  #record: GroupRecord | undefined;
  #replica: GroupReplica | undefined;
  #lifeOver: Promise<void> = Promise.resolve();
  #isBroken = false;
  #isStopped = false;
  /** What is being read or written here; never two at once. */
  #work: Promise<void> = Promise.resolve();
  #told = '';
  #isReadyTold = false;

  constructor(options: GroupOptions, settings: GroupSettings) {
    const { clock, log, onRecovered } = options;
    this.id = nodeIdOf(options.self, options.diskUuid);
    this.options = options;
    this.settings = settings;
    this.desk = new GroupDesk(() => this.#replica);
    this.reads = new GroupReads({
      ...{ clock, readMsMax: settings.readMsMax },
      ask: () => this.desk.read(),
      appliedIndex: () => this.#replica?.appliedIndex ?? 0,
      lineage: () => this.#replica?.raft.lineage ?? 0,
      hurry: () => options.store.hurry(),
      refusal: () => {
        const { removal } = this.standing();
        return removal && failure('removed_from_cluster', removedText(this.id, removal));
      },
    });
    this.removal = new RemovalWatch({
      ...{ now: () => clock.monotonic(), pauseMs: settings.askRemovalMs },
      peers: () => this.others(),
      ask: options.askMembership,
    });
    this.recovered = new GroupRecovered({
      ...{ log, offer: onRecovered },
      forget: async (entries) => this.#replica?.forgetRecovered(entries),
    });
    this.#lag = new LagClock(() => clock.monotonic());
  }

  get record(): GroupRecord | undefined {
    return this.#record;
  }

  get replica(): GroupReplica | undefined {
    return this.#replica;
  }

  /** A new life may begin from what the disk holds. */
  get mayOpen(): boolean {
    return this.#replica === undefined && !this.#isBroken;
  }

  /** Begins a life from what the disk holds; without a group there, nothing begins. */
  open(): Promise<void> {
    return this.#do(() => this.#beginLife());
  }

  /** Makes this disk one of a group, then begins to live in it. */
  adopt(record: GroupRecord): Promise<void> {
    return this.#do(async () => {
      await writeGroup(this.options.store, record, this.options.urlOf);
      this.options.log.info({ founders: record.founders, joining: record.isJoining }, 'belongs to a group');
      await this.#beginLife();
    });
  }

  changeRecord(record: GroupRecord): Promise<void> {
    return this.#do(async () => {
      await writeRecord(this.options.store, record);
      this.#record = record;
    });
  }

  async #do(work: () => Promise<void>): Promise<void> {
    if (this.#isStopped) return;
    this.#work = work();
    await this.#work;
  }

  async #beginLife(): Promise<void> {
    await this.#lifeOver;
    const stored = await readGroup(this.options.store);
    if (stored === undefined || this.#isStopped) return;
    this.#record = stored.record;
    const { stateMachine, store, clock, random } = this.options;
    const { raft, tickMs } = this.settings;
    this.recovered.found(stored.log.recovered);
    this.#replica = new GroupReplica({
      ...{ self: this.id, raft, tickMs, store, stateMachine, clock, random },
      read: stored.log,
      send: (to, message) => this.#send(to, message),
      notice: (notice) => this.#notice(notice),
      isApplyAwaited: () => this.reads.isAwaited || this.#isGettingReady(),
      applied: () => this.#applied(),
      failed: (cause) => {
        if (cause instanceof UnappliableError) return this.#break(cause);
        this.options.log.warn({ err: cause }, 'the replica stopped until the disk takes writes again');
        this.#endLife();
      },
      broken: (error) => this.#break(error),
    });
    this.#replica.start();
    this.announce();
  }

  status(): GroupStatus {
    const through = this.#replica?.lastIndex ?? 0;
    return statusOf(this.#replica, {
      ...{ id: this.id, founded: this.#record !== undefined, tickMs: this.settings.tickMs },
      mayFound: this.options.mayFound ?? true,
      lagMsOf: (match) => this.#lag.lagMs(match, through),
      removal: this.#removal,
    });
  }

  standing(): GroupStanding {
    return standingOf(this.#replica, this.#removal);
  }

  /** Names of all other nodes that this one was told of, or that are members. */
  others(): readonly string[] {
    const { members } = this.status();
    const names = [...this.options.peers, ...members.map(({ name }) => name)];
    return [...new Set(names)].filter((name) => name !== this.options.self);
  }

  committedMembership(): CommittedMembership | undefined {
    if (this.#replica === undefined || this.#record === undefined) return undefined;
    return committedMembership(this.#replica.raft, this.#record.founders);
  }

  /** Of one that knows of no leader; who waits to be taken in is not told. */
  readonly #removal = (): Removal | undefined => {
    const raft = this.#replica?.raft;
    if (raft === undefined || this.#record?.isJoining !== false || isFencedOut(raft)) return undefined;
    return this.removal.removal(raft);
  };

  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether it came true within the time. */
  until(isTrue: (status: GroupStatus) => boolean, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (outcome: boolean) => {
        stop();
        cancel();
        resolve(outcome);
      };
      const stop = this.onChange((status) => {
        if (isTrue(status)) end(true);
      });
      const cancel = this.options.clock.after(timeoutMs, () => end(false));
      if (isTrue(this.status())) end(true);
    });
  }

  /** Tells listeners what changed since they were told last. */
  announce(): void {
    const status = this.status();
    const { role, term, leader, leaderReady, founded, fencedOut, stopped, removal } = status;
    const members = status.members.map(({ id, kind, url }) => [id, kind, url]);
    const standing = [role, term, leader, leaderReady, founded, fencedOut, stopped];
    const told = JSON.stringify([standing, removal !== undefined, members]);
    this.#isReadyTold = leaderReady;
    if (!leaderReady) this.reads.leadershipLost();
    if (told === this.#told) return;
    this.#told = told;
    for (const listener of [...this.#listeners]) {
      try {
        listener(status);
      } catch (error) {
        this.options.onDefect(error);
      }
    }
  }

  /** The store is left alone afterwards. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#endLife();
    this.reads.close();
    await Promise.allSettled([this.#work, this.#lifeOver]);
  }

  /** No other life follows in this process. */
  #break(error: unknown): void {
    this.#isBroken = true;
    this.#endLife();
    this.options.onDefect(error);
  }

  #endLife(): void {
    const replica = this.#replica;
    this.#replica = undefined;
    this.desk.coreLost();
    if (replica !== undefined) this.#lifeOver = replica.stop();
    this.announce();
  }

  #send(to: NodeId, message: RaftMessage): void {
    // What cannot be sent is as lost as what gets lost on its way, and said again by the core.
    this.options.transport.send(nameOf(to), letterKind, encodeLetter({ from: this.id, to, message }));
  }

  #applied(): void {
    this.reads.applied();
    const isReady = this.#replica !== undefined && isLeaderReady(this.#replica);
    if (isReady !== this.#isReadyTold) this.announce();
  }

  /** Writes wait for a leader that has applied what its predecessors committed. */
  #isGettingReady(): boolean {
    return this.#replica?.raft.role.kind === 'leader' && !isLeaderReady(this.#replica);
  }

  /** Taken in again as what it was, it would be given documents. */
  #isWitnessFencedOut(): boolean {
    const { fencedOut, members } = this.status();
    return fencedOut && members.some(({ id, kind }) => id === this.id && kind === 'witness');
  }

  #notice(notice: RaftNotice): void {
    this.desk.answer(notice);
    switch (notice.kind) {
      case 'proposal_logged':
        this.#lag.grew(notice.position.index);
        return;
      case 'recovered':
        this.#replica?.keepRecovered(notice.entries);
        this.recovered.add(notice.entries);
        return;
      case 'role':
        this.#lag.reset();
        if (notice.leader !== undefined)
          this.options.log.info({ leader: notice.leader, term: notice.term }, 'the group has a leader');
        this.announce();
        return;
      case 'membership':
        this.announce();
        return;
      case 'fenced_out':
        this.options.log.warn({ lineage: notice.lineage }, 'a majority went on without this node');
        this.announce();
        return;
      case 'state_needed':
        if (this.#isWitnessFencedOut()) {
          this.options.log.error(
            { from: notice.from },
            'the group went on without what this witness has: start it with an empty data directory',
          );
          return;
        }
        this.options.log.warn({ from: notice.from, scope: notice.scope }, 'the log no longer reaches back');
        this.options.onStateNeeded({ ...notice, from: nameOf(notice.from) });
        return;
      default:
        return;
    }
  }
}
