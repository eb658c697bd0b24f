/**
 * Clients: each writes and reads a few documents, one call after the other, at whichever node it likes, and notes what it
 * was told.
 *
 * A write is a compare-and-set on the value the client saw last, with a new value of its own. A refused write is tried again
 * at the leader the answer names. A call that is not answered in time has an unknown outcome, and the client goes on
 * under another name, because a client makes one call at a time.
 */

import type { AckPolicy, AckRule } from '../src/single-leader/ack-policy.ts';
import type { Cluster } from './cluster.ts';
import { type AckPromise, absent, type ClientRecord, type ReadLevel, type WriteRecord } from './history.ts';
import type { SeededRandom } from './random.ts';
import type { ReadAnswer, ReadRequest, WriteAnswer } from './requests.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { microsecondsOf, type World } from './world.ts';

export interface WorkloadOptions {
  readonly world: World;
  readonly cluster: Cluster;
  readonly clients: number;
  readonly documents: number;
  readonly thinkMsMax: number;
}

const timeoutMsMin = 300;
const timeoutMsMax = 2_000;
const retriesMax = 4;
const retryMs = 20;
const hopMsMax = 1;
/** Clocks may run apart by a little: a bound is held to within this much. */
const staleSlackMs = 10;

const policies: readonly [AckPolicy, ...AckPolicy[]] = [
  { kind: 'semi_sync', followers: 'majority' },
  { kind: 'semi_sync', followers: 'majority' },
  { kind: 'semi_sync', followers: 1 },
  { kind: 'async' },
  { kind: 'sync' },
];
const levels: readonly ReadLevel[] = ['linearizable', 'linearizable', 'session', 'bounded', 'eventual'];

export class Workload {
  readonly #options: WorkloadOptions;
  readonly #records: ClientRecord[] = [];
  #isRunning = true;
  #lastValue = absent;

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  start(): void {
    for (let number = 1; number <= this.#options.clients; number += 1) {
      const random = this.#options.world.random.fork(`client ${number}`);
      new Client(`c${number}`, random, this).think();
    }
  }

  /** One more client, which asks these nodes and their leader what a majority can answer: does that make progress? */
  probe(nodes: readonly SimulatedNode[]): void {
    new Client('probe', this.#options.world.random.fork('probe'), this, nodes).think();
  }

  /** No client begins another call. */
  stop(): void {
    this.#isRunning = false;
  }

  records(): readonly ClientRecord[] {
    return this.#records;
  }

  /** @internal what clients share */
  shared() {
    return {
      ...this.#options,
      isRunning: () => this.#isRunning,
      keep: (record: ClientRecord) => {
        this.#records.push(record);
      },
      newValue: () => {
        this.#lastValue += 1;
        return this.#lastValue;
      },
    };
  }
}

class Client {
  readonly #name: string;
  readonly #isProbe: boolean;
  readonly #nodes: readonly SimulatedNode[];
  readonly #random: SeededRandom;
  readonly #shared: ReturnType<Workload['shared']>;
  readonly #known = new Map<string, number>();
  #calls = 0;
  /** What this client has seen: its session token. */
  #seen = 0;
  #leader: string | undefined;

  constructor(name: string, random: SeededRandom, workload: Workload, nodes?: readonly SimulatedNode[]) {
    this.#name = name;
    this.#isProbe = nodes !== undefined;
    this.#nodes = nodes ?? workload.shared().cluster.nodes;
    this.#random = random;
    this.#shared = workload.shared();
  }

  think(): void {
    const delay = microsecondsOf(this.#random.next() * this.#shared.thinkMsMax);
    this.#shared.world.after(delay, () => {
      if (!this.#shared.isRunning()) return;
      this.#calls += 1;
      const document = this.#isProbe ? 'probed' : `d${this.#random.between(1, this.#shared.documents)}`;
      const expected = this.#known.get(document);
      if (expected !== undefined && this.#random.chance(0.6)) this.#write(document, expected);
      else this.#read(document);
    });
  }

  #write(document: string, expected: number): void {
    const { world, newValue } = this.#shared;
    const ack = this.#ackRule();
    const request = { document, expected, value: newValue(), ack };
    const call = { kind: 'write', client: this.#caller(), document, expected, value: request.value } as const;
    const invokedAt = world.now();
    world.note(call.client, 'writes', { document, expected, value: request.value, ack: ack.policy.kind });
    const promise = promiseOf(ack.policy);
    const finish = this.#once((told: WriteAnswer | undefined) => {
      const record = writeRecord({ ...call, ack: promise, invokedAt }, told, world.now());
      world.note(call.client, record.result.kind, { value: call.value, ...told });
      this.#learnFromWrite(record);
      this.#shared.keep(record);
    });
    this.#try(retriesMax, finish, (node, answer) => node.write(request, answer));
  }

  /** Sends a write, and again to the leader if it was refused for sure. */
  #try(
    retries: number,
    finish: (told: WriteAnswer | undefined) => void,
    send: (node: SimulatedNode, answer: (told: WriteAnswer) => void) => boolean,
  ): void {
    const { world } = this.#shared;
    const refused = (told: WriteAnswer & { kind: 'refused' }) => {
      this.#leader = told.leader;
      if (retries === 0) return finish(told);
      world.after(microsecondsOf(retryMs), () => this.#try(retries - 1, finish, send));
    };
    this.#hop(() => {
      const isSent = send(this.#chooseNode(this.#isProbe ? 0.6 : 0.9), (told) =>
        this.#hop(() => (told.kind === 'refused' ? refused(told) : finish(told))),
      );
      if (!isSent) refused({ kind: 'refused', leader: undefined });
    });
  }

  #read(document: string): void {
    const { world } = this.#shared;
    const level = this.#isProbe ? 'linearizable' : this.#random.pick(levels);
    const node = this.#chooseNode(0.3);
    const request: ReadRequest = {
      document,
      level,
      after: this.#seen,
      staleMsMax: this.#random.pick([50, 500]),
    };
    const call = {
      kind: 'read',
      client: this.#caller(),
      document,
      level,
      node: node.id,
      after: request.after,
      staleMicrosecondsMax: microsecondsOf(request.staleMsMax + staleSlackMs),
      invokedAt: world.now(),
    } as const;
    world.note(call.client, 'reads', { document, level, node: node.id, after: request.after });
    const finish = this.#once((told: ReadAnswer | undefined) => {
      world.note(call.client, told?.kind ?? 'unknown', { document, ...told });
      const result =
        told?.kind === 'answered' ? { ...told, at: world.now() } : (told ?? { kind: 'unknown' as const });
      this.#shared.keep({ ...call, result });
      if (told?.kind !== 'answered') return;
      this.#known.set(document, told.value);
      if (level === 'session' || level === 'linearizable') this.#seen = Math.max(this.#seen, told.index);
    });
    this.#hop(() => {
      if (!node.read(request, (told) => this.#hop(() => finish(told)))) finish({ kind: 'refused' });
    });
  }

  /** The first of answer and timeout counts; then the client goes on. */
  #once<Told>(finish: (told: Told | undefined) => void): (told: Told | undefined) => void {
    let isFinished = false;
    const settle = (told: Told | undefined) => {
      if (isFinished) return;
      isFinished = true;
      finish(told);
      this.think();
    };
    const timeoutMs = this.#isProbe ? timeoutMsMin : this.#random.between(timeoutMsMin, timeoutMsMax);
    this.#shared.world.after(microsecondsOf(timeoutMs), () => settle(undefined));
    return settle;
  }

  #learnFromWrite({ document, value, ack, result }: WriteRecord): void {
    if (result.kind === 'acknowledged') {
      this.#known.set(document, value);
      this.#leader = result.leader;
      if (ack.kind !== 'async') this.#seen = Math.max(this.#seen, result.index);
    }
    if (result.kind === 'conflict') this.#known.delete(document);
  }

  #ackRule(): AckRule {
    if (this.#isProbe) return { policy: policies[0], onTimeout: 'block', timeoutTicks: 1 };
    const onTimeout = this.#random.pick(['block', 'degrade', 'fail'] as const);
    return { policy: this.#random.pick(policies), onTimeout, timeoutTicks: this.#random.between(4, 40) };
  }

  #chooseNode(leaderChance: number): SimulatedNode {
    const leader = this.#leader;
    if (leader !== undefined && this.#random.chance(leaderChance)) return this.#shared.cluster.node(leader);
    return this.#random.pick(this.#nodes);
  }

  #hop(then: () => void): void {
    this.#shared.world.after(microsecondsOf(this.#random.next() * hopMsMax), then);
  }

  #caller(): string {
    return `${this.#name}.${this.#calls}`;
  }
}

function promiseOf(policy: AckPolicy): AckPromise {
  if (policy.kind === 'semi_sync') return { kind: 'semi-sync', disksMin: 1 };
  return { kind: policy.kind, disksMin: 1 };
}

function writeRecord(
  call: Omit<WriteRecord, 'result'>,
  told: WriteAnswer | undefined,
  at: number,
): WriteRecord {
  switch (told?.kind) {
    case 'acknowledged': {
      const { ack, ...result } = told;
      return { ...call, ack, result: { ...result, at } };
    }
    case 'conflict':
      return { ...call, result: { ...told, at } };
    case 'refused':
      return { ...call, result: { kind: 'refused', at } };
    case 'unknown':
    case undefined:
      return { ...call, result: { kind: 'unknown' } };
  }
}
