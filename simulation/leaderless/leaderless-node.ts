/**
 * A machine with a replica of a leaderless database: its disk and clock outlive the process on it. Around the cores of
 * src/leaderless/ it does what a node does: coordinates, answers its peers, beats, hands off, compares.
 */

import { commonAncestor, type MergeBase, resolve } from '../../src/document/resolve.ts';
import { digestOf, type Revision } from '../../src/document/revision.ts';
import type { RevisionGraph } from '../../src/document/revision-graph.ts';
import { nodeOf } from '../../src/document/revision-graph.ts';
import { pathOf } from '../../src/document/revision-path.ts';
import { answerOf, nodesOf } from '../../src/leaderless/anti-entropy.ts';
import { detectorDefaults, FailureDetector } from '../../src/leaderless/failure-detector.ts';
import { idDigestOf } from '../../src/replication/hash-buckets.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import type { SimulatedClock } from '../clock.ts';
import type { SimulatedDisk } from '../disk.ts';
import type { World } from '../world.ts';
import { Calls } from './calls.ts';
import type { LeaderlessCanary } from './canaries.ts';
import { EntropyDesk } from './entropy-desk.ts';
import { HintDesk } from './hint-desk.ts';
import type {
  PeerMessage,
  PeerReply,
  PeerRequest,
  ReadAnswer,
  ReadRequest,
  ToldRevision,
  WriteAnswer,
  WriteRequest,
} from './messages.ts';
import type { Oracle } from './oracle.ts';
import type { Process } from './process.ts';
import { ReadDesk } from './read-desk.ts';
import { type JoinOutcome, ReplicaStore } from './replica-store.ts';
import { WriteDesk } from './write-desk.ts';

const heartbeatMs = 100;
const encoder = new TextEncoder();

export interface LeaderlessNodeOptions {
  readonly id: string;
  readonly world: World;
  readonly disk: SimulatedDisk;
  readonly clock: SimulatedClock;
  readonly owners: readonly string[];
  readonly standIns: readonly string[];
  readonly settings: LeaderlessSettings;
  readonly canary: LeaderlessCanary;
  readonly oracle: Oracle;
  readonly send: (from: string, to: string, message: PeerMessage) => void;
}

interface Desks {
  readonly process: Process;
  readonly hints: HintDesk;
  readonly entropy: EntropyDesk;
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

  constructor(options: LeaderlessNodeOptions) {
    this.id = options.id;
    this.disk = options.disk;
    this.clock = options.clock;
    this.#options = options;
  }

  /** With `isNew` there was never anything on the disk that anybody could miss. */
  start(isNew = false): void {
    if (this.#desks !== undefined) return;
    this.#options.world.note(this.id, 'started');
    const desks = this.#openDesks();
    this.#desks = desks;
    if (isNew) desks.entropy.becomeWhole();
    desks.process.store.settle(desks.process.store.ids());
    desks.hints.start();
    if (this.#isOwner()) desks.entropy.start();
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
    this.#options.world.note(this.id, 'wiped');
    this.#options.oracle.wiped(this.id);
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

  /** False when the node is down: the client knows at once. */
  write(request: WriteRequest, answer: (answer: WriteAnswer) => void): boolean {
    this.#enter(this.#life, () => this.#desks?.writes.write(request, answer));
    return this.#desks !== undefined;
  }

  insert(told: ToldRevision, settings: LeaderlessSettings, answer: (answer: WriteAnswer) => void): boolean {
    this.#enter(this.#life, () => this.#desks?.writes.insert(told, settings, answer));
    return this.#desks !== undefined;
  }

  read(request: ReadRequest, answer: (answer: ReadAnswer) => void): boolean {
    this.#enter(this.#life, () => this.#desks?.reads.read(request, answer));
    return this.#desks !== undefined;
  }

  receive(from: string, message: PeerMessage): void {
    this.#enter(this.#life, () => {
      const desks = this.#desks;
      if (desks === undefined) return;
      if (message.kind === 'heartbeat') this.#hear(from, desks);
      else if (message.kind === 'reply') desks.process.calls.replied(message.call, message.reply);
      else {
        const { call, request } = message;
        this.#answer(desks, request, (reply) =>
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

  #isOwner(): boolean {
    return this.#options.owners.includes(this.id);
  }

  #openDesks(): Desks {
    const { canary, clock, disk, id, oracle, owners, send, settings, standIns, world } = this.#options;
    const life = this.#life;
    const after = (delayMs: number, run: () => void) => clock.after(delayMs, () => this.#enter(life, run));
    const calls = new Calls({ life: `${id}.${life}`, send: (to, message) => send(id, to, message), after });
    const detector = new FailureDetector({ ...detectorDefaults, heartbeatMs, intervalMsMax: 1_000 });
    for (const node of [...owners, ...standIns]) if (node !== id) detector.add(node, clock.monotonic());
    const settle = (document: string, leaves: readonly ToldRevision[], graph: RevisionGraph) =>
      this.#mergeOf(document, leaves, graph);
    const store = new ReplicaStore({ disk, canary, settle });
    const note = (what: string, detail?: unknown) => world.note(id, what, detail);
    const random = world.random.fork(`process ${id} ${life}`);
    const process: Process = {
      ...{ self: id, owners, standIns, settings, canary, clock, disk, random },
      ...{ store, calls, detector, oracle, after, note },
    };
    const hints = new HintDesk(process);
    const own = (request: PeerRequest, reply: (reply: PeerReply) => void) => {
      if (this.#desks !== undefined) this.#answer(this.#desks, request, reply);
    };
    const entropy = new EntropyDesk(process);
    return {
      process,
      hints,
      entropy,
      writes: new WriteDesk(process, hints),
      reads: new ReadDesk(process, own),
    };
  }

  #beat(process: Process): void {
    for (const node of [...process.owners, ...process.standIns]) {
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

  #answer({ entropy, hints, process }: Desks, request: PeerRequest, reply: (reply: PeerReply) => void): void {
    const { canary, store } = process;
    const durable = ({ kind }: JoinOutcome) => reply({ kind });
    switch (request.kind) {
      case 'join':
        if (canary.acknowledgesEarly) reply({ kind: 'durable' });
        return this.#join(request, { hints, process }, canary.acknowledgesEarly ? () => undefined : durable);
      case 'repair':
        if (canary.repairOverwrites) return store.overwrite(request.revisions, durable);
        return store.join(
          request.revisions.map((told) => this.#arrived(told)),
          durable,
        );
      case 'digest':
      case 'full': {
        if (!this.#isOwner() || (!entropy.isWhole() && !canary.answersWhenEmpty))
          return reply({ kind: 'refused' });
        const digest = store.digest(request.id);
        if (request.kind === 'digest') return reply({ kind: 'digest', digest });
        const held = store.leaves(request.id);
        const grave =
          held.length === 0 && !canary.believesTheDead ? store.grave(request.id)?.leaves : undefined;
        return reply({ kind: 'full', digest, held, grave });
      }
      case 'question': {
        const { question } = request;
        const { indexes, level } = nodesOf(question);
        const entries = question.kind === 'buckets' ? store.entries(question.buckets) : [];
        const told = { root: store.sums(0, [0])[0]!, sums: store.sums(level, indexes), entries };
        return reply({
          kind: 'answer',
          answer: answerOf(question, told, digest128),
          isWhole: entropy.isWhole(),
        });
      }
      case 'fetch':
        return reply({ kind: 'fetched', revisions: store.named(request.wanted) });
      case 'bury':
        for (const grave of request.graves) store.bury(grave);
        return this.disk.commit([], durable);
    }
  }

  #join(
    { revisions, standsInFor }: Extract<PeerRequest, { kind: 'join' }>,
    { hints, process }: Pick<Desks, 'hints' | 'process'>,
    durable: (outcome: JoinOutcome) => void,
  ): void {
    if (standsInFor === undefined) {
      return process.store.join(revisions, durable);
    }
    for (const told of revisions) hints.keep(standsInFor, told, durable);
  }

  #arrived(told: ToldRevision): ToldRevision {
    if (!this.#options.canary.forgetsPaths) return told;
    return { ...told, path: { start: told.path.start, ids: told.path.ids.slice(0, 1) } };
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
