/**
 * A machine: its disk and clock outlive the process on it, which crashes, is stopped for a while and starts again.
 *
 * Whatever reaches the process comes through `#enter`: nothing does while it is down, and while it is paused everything waits
 * until it goes on, as signals, packets and timers do for a stopped process.
 */

import type { JoiningStep } from '../src/cluster/group-joining.ts';
import { diskDigits, nodeIdOf } from '../src/cluster/group-node-id.ts';
import type { NodeId } from '../src/replication/strategy.ts';
import type { Settled } from '../src/runtime/driver.ts';
import {
  type CommitOperations,
  DriverLog,
  entryKey,
  logRange,
  readLog,
  storedTerm,
} from '../src/runtime/driver-log.ts';
import type { Clock } from '../src/runtime/ports.ts';
import type { Entry, LogPosition, MemberKind, Membership } from '../src/single-leader/entry.ts';
import type { RaftRequest } from '../src/single-leader/events.ts';
import { freshState } from '../src/single-leader/raft.ts';
import type { Operation } from '../src/store/store.ts';
import { applicationRange, readApplied } from './application.ts';
import type { Canary } from './canaries.ts';
import type { SimulatedClock } from './clock.ts';
import { type AppliedState, type Letter, type NodeMessage, ReceivedMessage } from './commands.ts';
import type { SimulatedDisk } from './disk.ts';
import type { KnownMembership } from './known-memberships.ts';
import type { SeededRandom } from './random.ts';
import { Replica, type ReplicaPorts, type ReplicaSettings } from './replica.ts';
import type { Answer, ReadAnswer, ReadRequest, WriteAnswer, WriteRequest } from './requests.ts';
import type { World } from './world.ts';

const group = 1;
const toldBeforeSyncMicroseconds = 100;
const restartAfterDiskFailureMicroseconds = 300_000;

export interface NodeObserver {
  readonly seeNode: (node: SimulatedNode) => void;
  readonly seeApplied: (node: SimulatedNode, entries: readonly Entry[]) => void;
  readonly durableOn: (index: number, term: number) => readonly string[];
}

export interface SimulatedNodeOptions {
  readonly name: string;
  readonly world: World;
  readonly disk: SimulatedDisk;
  readonly clock: SimulatedClock;
  readonly settings: ReplicaSettings;
  readonly canary: Canary;
  readonly observer: NodeObserver;
  readonly send: (from: string, to: string, message: NodeMessage) => void;
  /** Members of the new group, or undefined for a node that waits to be taken in, as one does whose disk is new. */
  readonly founders: Membership | undefined;
}

export class SimulatedNode {
  readonly name: string;
  readonly disk: SimulatedDisk;
  readonly clock: SimulatedClock;
  readonly #options: SimulatedNodeOptions;
  readonly #random: SeededRandom;
  #replica: Replica | undefined;
  #known: KnownMembership | undefined;
  /** Grows with every crash: what was meant for an earlier life does not reach a later one. */
  #life = 0;
  /** A new disk makes the node another member. */
  #disks = 1;
  #id: NodeId;
  #isUp = false;
  #isPaused = false;
  #backlog: (() => void)[] = [];

  constructor(options: SimulatedNodeOptions) {
    this.name = options.name;
    this.disk = options.disk;
    this.clock = options.clock;
    this.#options = options;
    this.#random = options.world.random.fork(`node ${options.name}`);
    this.#id = this.#idOfDisk();
  }

  /** Who it is to the group: its name, and the disk that its vote and log are on. */
  get id(): NodeId {
    return this.#id;
  }

  #idOfDisk(): NodeId {
    return nodeIdOf(this.name, String(this.#disks).padStart(diskDigits, '0'));
  }

  /** Starts the process. A disk that was never used is made ready first. */
  start(): void {
    if (this.#isUp) return;
    // What a life gave to the disk before a refusal ended it gets there first: the next one reads what is there then.
    if (!this.disk.isIdle()) return this.#restartLater();
    this.#isUp = true;
    this.#options.world.note(this.id, 'started');
    const log = readLog(this.disk.entries(logRange(group)));
    if (log.durable === undefined) return this.#format();
    const applied = readApplied(this.disk.entries(applicationRange));
    const { settings, canary } = this.#options;
    this.#replica = new Replica({
      self: this.id,
      settings,
      canary,
      ports: this.#ports(),
      log: { ...log, durable: log.durable },
      applied,
    });
    this.#replica.run();
    this.#look();
  }

  /** The process dies and the power fails: what the disk had not made durable is gone. */
  crash(): void {
    if (!this.#isUp) return;
    this.#options.world.note(this.id, 'crashed');
    this.#end();
    this.disk.crash();
  }

  /** The machine comes back with an empty disk. */
  wipe(): void {
    this.crash();
    this.#options.world.note(this.id, 'wiped');
    this.disk.crash();
    this.disk.wipe();
    this.#known = undefined;
    if (this.#options.canary.keepsIdentity !== true) this.#disks += 1;
    this.#id = this.#idOfDisk();
  }

  pause(): void {
    if (!this.#isUp || this.#isPaused) return;
    this.#options.world.note(this.id, 'paused');
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#options.world.note(this.id, 'resumed');
    this.#isPaused = false;
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const event of backlog) event();
  }

  receive({ from, to, message }: Letter): void {
    this.#enter(() => {
      if (to !== this.id) return;
      this.#options.world.note(this.id, 'received', new ReceivedMessage(from, message));
      this.#replica?.receive(from, message);
    });
  }

  /** False if there is no process that could answer: a refused connection. */
  write(request: WriteRequest, answer: Answer<WriteAnswer>): boolean {
    if (this.#isUp) this.#enter(() => this.#replica?.write(request, answer));
    return this.#isUp;
  }

  read(request: ReadRequest, answer: Answer<ReadAnswer>): boolean {
    if (this.#isUp) this.#enter(() => this.#replica?.read(request, answer));
    return this.#isUp;
  }

  request(make: (id: number) => RaftRequest): void {
    this.#enter(() => {
      if (this.#replica === undefined) return;
      this.#options.world.note(this.id, 'asked', make(0));
      this.#replica.request(make);
    });
  }

  /** What the leader would do next to take a member in. */
  joiningStep(id: NodeId): JoiningStep {
    return this.#replica?.joiningStep(id) ?? 'not_leader';
  }

  isUp(): boolean {
    return this.#isUp && !this.#isPaused;
  }

  isLeader(): boolean {
    return this.#replica?.isLeader() ?? false;
  }

  holdsOldMajority(): boolean {
    return this.#replica?.holdsOldMajority() ?? false;
  }

  term(): number {
    return this.#replica?.term() ?? 0;
  }

  /** The term in which a membership was last forced, as far as it heard. */
  lineage(): number {
    return this.#replica?.lineage() ?? 0;
  }

  /** Of its log; undefined while it is down. */
  lastPosition(): LogPosition | undefined {
    return this.#replica?.lastPosition();
  }

  isWitness(): boolean {
    return this.#kind() === 'witness';
  }

  isVoter(): boolean {
    return this.#kind() === 'voter';
  }

  /** The last one it knew, when it is down. */
  membership(): Membership | undefined {
    return this.#known?.latest.membership;
  }

  /** As {@link membership}, and where it stands. */
  known(): KnownMembership | undefined {
    return this.#known;
  }

  applied(): AppliedState | undefined {
    return this.#replica?.applied();
  }

  /** Up to where it has applied, or need not. */
  appliedIndex(): number {
    return this.#replica?.appliedIndex() ?? 0;
  }

  /** The disk really has this entry, or a state that includes it. */
  holds(index: number, term: number): boolean {
    const stored = this.disk.get(entryKey(group, index));
    if (stored !== undefined) return storedTerm(stored) === term;
    // A witness has positions only, and forgets them when it is told of a later one.
    if (this.isWitness())
      return (readLog(this.disk.entries(logRange(group))).durable?.start.index ?? 0) >= index;
    return this.appliedOnDisk() >= index;
  }

  /** Through which index what is applied is durable. */
  appliedOnDisk(): number {
    return readApplied(this.disk.entries(applicationRange)).index;
  }

  /** Entries wait on its disk until the leader has them. */
  handsOver(): boolean {
    return readLog(this.disk.entries(logRange(group))).recovered.length > 0;
  }

  /** Data entries that the disk holds, in the log or waiting to be handed over. */
  entriesOnDisk(): readonly Entry[] {
    const log = readLog(this.disk.entries(logRange(group)));
    return [...log.recovered, ...(log.durable?.entries ?? [])];
  }

  #kind(): MemberKind | undefined {
    return this.membership()?.members.find(({ id }) => id === this.id)?.kind;
  }

  #end(): void {
    this.#replica?.stop();
    this.#replica = undefined;
    this.#life += 1;
    this.#isUp = false;
    this.#isPaused = false;
    this.#backlog = [];
  }

  #format(): void {
    const { hardState, start } = freshState(this.#disks === 1 ? this.#options.founders : undefined);
    const found = { start: start.index, last: start.index };
    const log = new DriverLog({
      group,
      commit: (operations, settled) => this.#commit(operations, settled),
      found,
    });
    log.persist([{ hardState, reset: false, truncateFrom: undefined, entries: [], start }], (error) => {
      this.#end();
      if (error === undefined) this.start();
      else this.#restartLater();
    });
  }

  #enter(event: () => void, life: number = this.#life): void {
    const run = () => {
      if (life !== this.#life || !this.#isUp) return;
      if (this.#isPaused) {
        this.#backlog.push(run);
        return;
      }
      event();
      this.#look();
    };
    run();
  }

  /** After every step: the core's own invariants, and what the checkers want to see. */
  #look(): void {
    if (this.#replica === undefined) return;
    this.#replica.checkInvariants();
    this.#known = this.#replica.known();
    this.#options.observer.seeNode(this);
  }

  #ports(): ReplicaPorts {
    const { world, observer, send } = this.#options;
    const [life, id] = [this.#life, this.id];
    return {
      clock: this.#clock(life),
      random: this.#random,
      send: (to, message) => send(id, to, message),
      commit: (operations, settled) => this.#commit(operations, settled),
      durableOn: observer.durableOn,
      seeApplied: (entries) => observer.seeApplied(this, entries),
      note: (what, detail) => world.note(this.id, what, detail),
      failed: (error) => {
        world.note(this.id, 'disk failed', error.message);
        this.#end();
        this.#restartLater();
      },
    };
  }

  #commit: CommitOperations = (operations: readonly Operation[], settled: Settled) => {
    const life = this.#life;
    const tell = (error: Error | undefined) => this.#enter(() => settled(error), life);
    if (this.#options.canary.tellsBeforeSync === true) {
      this.#options.world.after(toldBeforeSyncMicroseconds, () => tell(undefined));
      this.disk.commit(operations, () => {});
    } else {
      this.disk.commit(operations, (outcome) => tell(outcome.kind === 'durable' ? undefined : outcome.error));
    }
  };

  #clock(life: number): Clock {
    const { clock } = this.#options;
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delayMs, callback) => clock.after(delayMs, () => this.#enter(callback, life)),
    };
  }

  #restartLater(): void {
    const life = this.#life;
    this.#options.world.after(restartAfterDiskFailureMicroseconds, () => {
      if (life === this.#life) this.start();
    });
  }
}
