/**
 * One life of this node's member of a group: a core, its driver and its log over the node's store.
 *
 *     requests, messages ──► driver ──► core
 *                               ├── persist ──► driver-log ──► store
 *                               ├── apply   ──► state machine
 *                               └── notice  ──► whoever owns this life
 *
 * A life ends when it is stopped, when the disk refuses something (`failed`), or when the core breaks an invariant of
 * its own (`broken`). After a refusal nobody knows what the disk holds, so the next life reads it again.
 */

import { assert } from '../errors.ts';
import type { NodeId } from '../replication/strategy.ts';
import { Driver, type Settled } from '../runtime/driver.ts';
import { DriverLog, type GroupWrite, type ReadLog } from '../runtime/driver-log.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import type { Entry, LogPosition, StatePoint } from '../single-leader/entry.ts';
import { asIndex, asTerm } from '../single-leader/entry.ts';
import type { RaftNotice, RaftRequest, StateScope } from '../single-leader/events.ts';
import { lastIndex } from '../single-leader/log.ts';
import type { RaftMessage } from '../single-leader/messages.ts';
import { createRaft, mayInstall, raftCore } from '../single-leader/raft.ts';
import type { Raft, RaftOptions } from '../single-leader/state.ts';
import type { Operation, Store } from '../store/store.ts';
import type { CommittedEntry } from './group.ts';
import type { StateMachine } from './state-machine.ts';

/** The store's number for the one group of a cluster. */
export const groupNumber = 1;

/** What was read of a group that this node belongs to. */
export type WrittenLog = ReadLog & { readonly durable: NonNullable<ReadLog['durable']> };

export interface ReplicaOptions {
  readonly self: NodeId;
  readonly raft: RaftOptions;
  readonly tickMs: number;
  readonly store: Store;
  readonly stateMachine: StateMachine;
  readonly clock: Clock;
  readonly random: Random;
  readonly read: WrittenLog;
  readonly send: (to: NodeId, message: RaftMessage) => void;
  readonly notice: (notice: RaftNotice) => void;
  /** Whether somebody waits for entries to be applied. */
  readonly isApplyAwaited: () => boolean;
  /** More is applied now. */
  readonly applied: () => void;
  readonly failed: (error: Error) => void;
  readonly broken: (error: unknown) => void;
}

export interface FetchedState {
  readonly point: StatePoint;
  /** As what it was asked for. */
  readonly scope: StateScope;
}

export class GroupReplica {
  readonly #options: ReplicaOptions;
  readonly #raft: Raft;
  readonly #driver: Driver<RaftMessage, RaftRequest, GroupWrite, Entry, RaftNotice>;
  readonly #log: DriverLog;
  readonly #commits = new Set<Promise<void>>();
  readonly #applies = new Set<Promise<void>>();
  readonly #installs = new Set<(isDurable: boolean) => void>();
  #applied: number;
  #isInstalling = false;
  #isOver = false;

  constructor(options: ReplicaOptions) {
    const { self, raft, tickMs, stateMachine, random, read } = options;
    this.#options = options;
    this.#applied = Math.max(stateMachine.appliedIndex(), read.found.start);
    this.#raft = createRaft({
      ...{ self, options: raft, random: random.next() },
      durable: { ...read.durable, applied: asIndex(this.#applied) },
      now: Math.floor(options.clock.monotonic() / tickMs),
    });
    this.#log = new DriverLog({
      group: groupNumber,
      commit: (operations, settled) => this.#commit(operations, settled),
      found: read.found,
    });
    this.#driver = new Driver<RaftMessage, RaftRequest, GroupWrite, Entry, RaftNotice>({
      core: raftCore(this.#raft),
      tickMs,
      ports: {
        ...{ clock: this.#guardedClock(options.clock), random },
        ...{ send: options.send, notice: options.notice },
        persist: (writes, settled) => this.#log.persist(writes, settled),
        apply: (entries, settled) => this.#apply(entries, settled),
        failed: (error) => {
          this.#isOver = true;
          options.failed(error);
        },
      },
    });
  }

  /** For looking at only. */
  get raft(): Raft {
    return this.#raft;
  }

  /**
   * Through where the group's log is applied and visible here, or need not be. 0 while a fetched state is on its way: what
   * that replaces may reach further and be what the group went on without, so nobody may count on it any more.
   */
  get appliedIndex(): number {
    return this.#isInstalling ? 0 : Math.max(this.#applied, this.#raft.log.start.index);
  }

  get lastIndex(): number {
    return lastIndex(this.#raft.log);
  }

  start(): void {
    this.#guard(() => this.#driver.start());
  }

  request(request: RaftRequest): void {
    this.#guard(() => this.#driver.request(request));
  }

  receive(from: NodeId, message: RaftMessage): void {
    this.#guard(() => this.#driver.receive(from, message));
  }

  /** Called during the notice: joins the write that makes the log forget them. */
  keepRecovered(entries: readonly Entry[]): void {
    this.#log.keepRecovered(entries);
  }

  forgetRecovered(entries: readonly Entry[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#log.forgetRecovered(entries, (error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  /**
   * Makes `operations`, which put a fetched state in its place, durable with the log that goes on after it. Gives
   * undefined when that did not happen, or a function to call once the state is visible. It did not when this life ended, or
   * when another state is needed here by now.
   */
  async installState(
    { point, scope }: FetchedState,
    operations: readonly Operation[],
  ): Promise<(() => void) | undefined> {
    const isDurable = await new Promise<boolean>((resolve) => {
      if (this.#isOver || !mayInstall(this.#raft, scope, point)) return resolve(false);
      this.#installs.add(resolve);
      this.#isInstalling = true;
      const write: GroupWrite = { kind: 'state', operations, durable: () => resolve(true) };
      this.#guard(() => this.#driver.request({ kind: 'state_installed', point }, write));
    });
    if (!isDurable) return undefined;
    return () => {
      this.#applied = point.index;
      this.#isInstalling = false;
      if (!this.#isOver) this.#options.applied();
    };
  }

  /** Resolves once the store and the state machine are left alone. */
  async stop(): Promise<void> {
    this.#isOver = true;
    this.#driver.stop();
    while (this.#commits.size > 0) await Promise.all(this.#commits);
    // Nothing more becomes durable; and what is being applied may be waiting for those who install.
    for (const end of this.#installs) end(false);
    while (this.#applies.size > 0) await Promise.all(this.#applies);
  }

  #commit(operations: readonly Operation[], settled: Settled): void {
    const work = async () => this.#options.store.commit(operations);
    this.#settle(this.#commits, work, settled);
  }

  #apply(entries: readonly Entry[], settled: Settled): void {
    const last = entries.at(-1);
    assert(last !== undefined, 'what is applied has an end');
    const through: LogPosition = { index: last.index, term: last.term };
    const data: CommittedEntry[] = [];
    for (const entry of entries) data.push(...committedEntry(entry));
    this.#settle(
      this.#applies,
      () => this.#options.stateMachine.apply(data, through, this.#options.isApplyAwaited),
      (error) => {
        if (error === undefined) this.#applied = Math.max(this.#applied, last.index);
        settled(error);
        if (error === undefined && !this.#isOver) this.#options.applied();
      },
    );
  }

  /** Runs `work` and calls back in a later event; {@link stop} waits for it. */
  #settle(underWay: Set<Promise<void>>, work: () => Promise<void>, settled: Settled): void {
    const tell = (error: Error | undefined) => this.#guard(() => settled(error));
    const done = work().then(
      () => tell(undefined),
      (error: unknown) => tell(error instanceof Error ? error : new Error(String(error))),
    );
    underWay.add(done);
    void done.then(() => underWay.delete(done));
  }

  #guardedClock(clock: Clock): Clock {
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delayMs, callback) => clock.after(delayMs, () => this.#guard(callback)),
    };
  }

  /** The driver has stopped by itself when the core throws. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (this.#isOver) return;
      this.#isOver = true;
      this.#driver.stop();
      this.#options.broken(error);
    }
  }
}

export function committedEntry({ index, term, body }: Entry): readonly CommittedEntry[] {
  return body.kind === 'data' ? [{ index, term: asTerm(term), data: body.data }] : [];
}
