/**
 * A machine with a replica of a leaderless database: its disk and clock outlive the process on it. Around the cores of
 * src/leaderless/ it does what a node does: coordinates, answers its peers, beats, hands off, compares.
 */

import { commonAncestor, type MergeBase, resolve } from '../../src/document/resolve.ts';
import { digestOf, type Revision } from '../../src/document/revision.ts';
import type { RevisionGraph } from '../../src/document/revision-graph.ts';
import { nodeOf } from '../../src/document/revision-graph.ts';
import { pathOf } from '../../src/document/revision-path.ts';
import type { OwnerReplacement } from '../../src/http/services.ts';
import { detectorDefaults, FailureDetector } from '../../src/leaderless/failure-detector.ts';
import { hindranceOf } from '../../src/leaderless/replacing.ts';
import { ReplicaSets } from '../../src/replicas/replica-sets.ts';
import { idDigestOf } from '../../src/replication/hash-buckets.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import type { SimulatedClock } from '../clock.ts';
import type { SimulatedDisk } from '../disk.ts';
import type { World } from '../world.ts';
import { AnswerDesk } from './answer-desk.ts';
import { Calls } from './calls.ts';
import type { LeaderlessCanary } from './canaries.ts';
import { EntropyDesk, wholeSince } from './entropy-desk.ts';
import type { Group } from './group.ts';
import { GroupView } from './group-view.ts';
import { HintDesk } from './hint-desk.ts';
import type {
  PeerMessage,
  PeerReply,
  ReadAnswer,
  ReadRequest,
  ToldRevision,
  WriteAnswer,
  WriteRequest,
} from './messages.ts';
import type { Oracle } from './oracle.ts';
import { type Process, replicaSetOf, type SimulatedDatabase } from './process.ts';
import { ReadDesk } from './read-desk.ts';
import { ReplicaStore } from './replica-store.ts';
import { WriteDesk } from './write-desk.ts';

const heartbeatMs = 100;
const standingMsMax = 1_000;
const encoder = new TextEncoder();

export interface LeaderlessNodeOptions {
  readonly id: string;
  readonly world: World;
  readonly disk: SimulatedDisk;
  readonly clock: SimulatedClock;
  /** Names of all nodes, in the order in which they hear of each other. */
  readonly peers: readonly string[];
  readonly identity: string;
  readonly group: Group;
  readonly isReplacing: boolean;
  readonly settings: LeaderlessSettings;
  readonly canary: LeaderlessCanary;
  readonly oracle: Oracle;
  readonly send: (from: string, to: string, message: PeerMessage) => void;
}

interface Desks {
  readonly process: Process;
  readonly hints: HintDesk;
  readonly entropy: EntropyDesk;
  readonly view: GroupView;
  readonly answers: AnswerDesk;
  readonly writes: WriteDesk;
  readonly reads: ReadDesk;
}

export class LeaderlessNode {
  readonly id: string;
  readonly disk: SimulatedDisk;
  readonly clock: SimulatedClock;
  readonly #options: LeaderlessNodeOptions;
  #desks: Desks | undefined;
  #life = 0;
  #isPaused = false;
  #backlog: (() => void)[] = [];
  /** Another one for every disk. */
  #disks = 0;
  #isDestroyed = false;

  constructor(options: LeaderlessNodeOptions) {
    this.id = options.id;
    this.disk = options.disk;
    this.clock = options.clock;
    this.#options = options;
  }

  /** With `isNew` there was never anything on the disk that anybody could miss. */
  start(isNew = false): void {
    if (this.#desks !== undefined || this.#isDestroyed) return;
    this.#options.world.note(this.id, 'started');
    const desks = this.#openDesks();
    this.#desks = desks;
    if (isNew) desks.entropy.noteWhole();
    desks.process.store.settle(desks.process.store.ids());
    desks.hints.start();
    if (this.isOwner()) desks.entropy.start();
    this.#beat(desks.process);
  }

  crash(): void {
    if (this.#desks === undefined) return;
    this.#options.world.note(this.id, 'crashed');
    this.#desks = undefined;
    this.#life += 1;
    this.#isPaused = false;
    this.#backlog = [];
    this.disk.crash();
  }

  /** The disk is replaced by an empty one. */
  wipe(): void {
    this.crash();
    this.disk.wipe();
    this.#disks += 1;
    this.#options.world.note(this.id, 'wiped');
    this.#options.oracle.lost(this.id, { isGone: false });
  }

  /** It is gone for good, and its disk. */
  destroy(): void {
    this.crash();
    this.#isDestroyed = true;
    this.#options.world.note(this.id, 'destroyed');
    this.#options.oracle.lost(this.id, { isGone: true });
  }

  get isDestroyed(): boolean {
    return this.#isDestroyed;
  }

  /** It does something. */
  isUp(): boolean {
    return this.#desks !== undefined && !this.#isPaused;
  }

  /** As the group knows its members. */
  get diskId(): string {
    return this.#disks.toString(16).padStart(8, '0');
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const run of backlog) this.#enter(this.#life, run);
  }

  /** False when the node is down, or knows that it is no owner: the client knows at once. */
  write(request: WriteRequest, answer: (answer: WriteAnswer) => void): boolean {
    if (!this.isOwner()) return false;
    this.#enter(this.#life, () => this.#desks?.writes.write(request, answer));
    return true;
  }

  insert(told: ToldRevision, settings: LeaderlessSettings, answer: (answer: WriteAnswer) => void): boolean {
    if (!this.isOwner()) return false;
    this.#enter(this.#life, () => this.#desks?.writes.insert(told, settings, answer));
    return true;
  }

  read(request: ReadRequest, answer: (answer: ReadAnswer) => void): boolean {
    if (!this.isOwner()) return false;
    this.#enter(this.#life, () => this.#desks?.reads.read(request, answer));
    return true;
  }

  receive(from: string, message: PeerMessage): void {
    this.#enter(this.#life, () => {
      const desks = this.#desks;
      if (desks === undefined) return;
      if (message.kind === 'heartbeat') this.#hear(from, desks);
      else if (message.kind === 'reply') desks.process.calls.replied(message.call, message.reply);
      else if (message.kind === 'group') desks.view.take(message.entries, message.committed);
      else {
        const { call, request } = message;
        desks.answers.answer(from, request, (reply) =>
          this.#options.send(this.id, from, { kind: 'reply', call, reply }),
        );
      }
    });
  }

  /** What it keeps for others. */
  hinted(): readonly Revision[] {
    return this.#desks?.hints.told().map(({ revision }) => revision) ?? [];
  }

  isWhole(): boolean {
    return this.#desks?.entropy.isWhole() ?? false;
  }

  /** What the process shows; undefined when there is none. */
  store(): ReplicaStore | undefined {
    return this.#desks?.process.store;
  }

  /** Whether the disk has a revision now, whatever the process says. */
  hasDurable(id: string, revision: Revision): boolean {
    const { disk } = this;
    if (disk.get(encoder.encode(`doc ${id} ${revision}`)) !== undefined) return true;
    if (disk.get(encoder.encode(`quarantine ${revision}`)) !== undefined) return true;
    // What a tombstone was made from is known by its grave.
    const grave = disk.get(encoder.encode(`grave ${idDigestOf(id, digest128)}`));
    return grave !== undefined && new TextDecoder().decode(grave).includes(`"${revision}"`);
  }

  /** As the leader of the group: tells all others what was decided. */
  lead(): void {
    this.#enter(this.#life, () => {
      const entries = [...this.#options.group.entries()];
      this.#desks?.view.take(entries, entries.length);
      for (const node of this.#options.group.members()) {
        const message = { kind: 'group', entries, committed: entries.length } as const;
        if (node !== this.id) this.#options.send(this.id, node, message);
      }
    });
  }

  /** Asks all other owners, and the new one, whether they have heard what they have to. */
  confirmRemoved({ by, node: gone }: OwnerReplacement, done: (hindrance: string | undefined) => void): void {
    this.#enter(this.#life, () => {
      const { answers, process } = this.#desks!;
      const { calls, canary, owners, sets } = process;
      if (canary.replacesUnheard) return done(undefined);
      const others = owners.filter((owner) => owner !== gone && sets.isMember(owner));
      const standings = new Map<string, Extract<PeerReply, { kind: 'standing' }>>();
      const asked = [...others, by];
      let open = asked.length;
      const heard = (owner: string, reply: PeerReply | undefined) => {
        if (reply?.kind === 'standing') standings.set(owner, reply);
        open -= 1;
        if (open > 0) return;
        const hindrance = hindranceOf({ gone, by, others, standings });
        done(hindrance && `${hindrance.node} is ${hindrance.kind}`);
      };
      for (const owner of asked) {
        if (owner === this.id) answers.answer(owner, { kind: 'standing' }, (reply) => heard(owner, reply));
        else calls.askWithin(standingMsMax, owner, { kind: 'standing' }, (reply) => heard(owner, reply));
      }
    });
  }

  /** Whom it counts as members of the group. */
  members(): readonly string[] {
    return this.#desks?.view.members() ?? [];
  }

  /** As far as it knows. */
  isOwner(): boolean {
    return this.#desks !== undefined && replicaSetOf(this.#desks.process)?.isOwner === true;
  }

  #openDesks(): Desks {
    const { canary, clock, disk, id, oracle, send, settings, world } = this.#options;
    const life = this.#life;
    const after = (delayMs: number, run: () => void) => clock.after(delayMs, () => this.#enter(life, run));
    const { sets, view } = this.#openSets();
    const { identity, isReplacing } = this.#options;
    const calls = new Calls({
      ...{ life: `${id}.${life}`, after, isMember: (node) => sets.isMember(node) },
      send: (to, message) => send(id, to, message),
    });
    const detector = new FailureDetector({ ...detectorDefaults, heartbeatMs, intervalMsMax: 1_000 });
    const peers = this.#options.peers.filter((node) => node !== id);
    for (const node of peers) detector.add(node, clock.monotonic());
    const settle = (document: string, leaves: readonly ToldRevision[], graph: RevisionGraph) =>
      this.#mergeOf(document, leaves, graph);
    const store = new ReplicaStore({ disk, canary, settle });
    const note = (what: string, detail?: unknown) => world.note(id, what, detail);
    const random = world.random.fork(`process ${id} ${life}`);
    const process: Process = {
      ...{ self: id, identity, isReplacing, sets, settings, canary, clock, disk, random },
      ...{ store, calls, detector, oracle, after, note },
      get owners() {
        return sets.byIdentity(identity)?.owners ?? [];
      },
      get standIns() {
        return sets.byIdentity(identity)?.standIns ?? [];
      },
    };
    const hints = new HintDesk(process);
    const answers = new AnswerDesk(process, hints);
    return {
      ...{ process, hints, answers, view },
      entropy: new EntropyDesk(process),
      writes: new WriteDesk(process, hints),
      reads: new ReadDesk(process, (request, reply) => answers.answer(id, request, reply)),
    };
  }

  /** What this node knows of who owns the database, for the production code that says what follows from it. */
  #openSets(): { readonly sets: ReplicaSets<SimulatedDatabase>; readonly view: GroupView } {
    const { disk, group, id, identity, isReplacing, world } = this.#options;
    const database = { name: identity, leaderless: { wholeSince: () => wholeSince(disk) } };
    const view: GroupView = new GroupView({
      ...{ disk, start: group.start },
      isFounder: this.#disks === 0 || !isReplacing,
      onChange: () => {
        const { entropy, process } = this.#desks!;
        world.note(id, 'heard of the group', { owners: process.owners, members: view.members() });
        if (this.isOwner()) entropy.start();
      },
    });
    const sets = new ReplicaSets<SimulatedDatabase>({
      ...{ self: id, disk: this.diskId, digest: digest128 },
      nodes: () => view.members(),
      members: () => view.members(),
    });
    sets.begin({
      get: () => database,
      has: () => view.replication() !== undefined,
      names: () => [identity],
      onUpdate: () => () => undefined,
      replication: () => view.replication() ?? group.start.replication,
    });
    return { sets, view };
  }

  #beat(process: Process): void {
    for (const node of this.#options.peers) {
      if (node !== this.id) this.#options.send(this.id, node, { kind: 'heartbeat' });
    }
    process.after(heartbeatMs, () => this.#beat(process));
  }

  #hear(from: string, { hints, process }: Desks): void {
    const now = this.clock.monotonic();
    const wasSuspected = process.detector.verdict(from, now) === 'suspected';
    process.detector.heartbeat(from, now);
    if (wasSuspected) hints.ownerIsBack(from);
  }

  #mergeOf(id: string, leaves: readonly ToldRevision[], graph: RevisionGraph): ToldRevision | undefined {
    const { resolver } = this.#options.settings;
    if (resolver === 'siblings') return undefined;
    const live = leaves.filter((leaf) => !leaf.deleted).map(({ revision }) => revision);
    const known = leaves.map((leaf) => ({ ...leaf, body: bodyOf(leaf.value), attachments: [] }));
    const base: MergeBase = commonAncestor(graph, live) === 'none' ? { kind: 'none' } : { kind: 'lost' };
    const resolution = resolve(resolver, { leaves: known, base }, digest128);
    if (resolution.kind !== 'merged') return undefined;
    const { deleted, parents, revision, stamp, body } = resolution.revision;
    if (nodeOf(graph, revision) !== undefined) return undefined;
    const { value } = JSON.parse(new TextDecoder().decode(body)) as { value: number };
    const above = pathOf(graph, parents[0]!);
    const path = { start: Number.parseInt(revision, 10), ids: [digestOf(revision), ...above.ids] };
    const told = { id, revision, deleted, parents, value, stamp, path };
    this.#options.oracle.made(told, this.id);
    return told;
  }

  /** Nothing reaches a process that is down, or of an earlier life; while it is paused everything waits. */
  #enter(life: number, run: () => void): void {
    if (life !== this.#life || this.#desks === undefined) return;
    if (this.#isPaused) this.#backlog.push(() => run());
    else run();
  }
}

function bodyOf(value: number): Uint8Array {
  return encoder.encode(JSON.stringify({ value }));
}
