/**
 * The replicator core against a toy world, under thousands of seeded interleavings: replies in any order, faults, writes to
 * the source meanwhile, crashes of the replicator, and crashes that lose what a side had not made durable.
 */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Checkpoint, compareCheckpoints } from '../../src/multi-leader/checkpoint.ts';
import { createReplicator, step } from '../../src/multi-leader/replicator.ts';
import type {
  Effect,
  ReplicatorEvent,
  ReplicatorOptions,
  ReplicatorState,
} from '../../src/multi-leader/replicator-model.ts';

const baseOptions: ReplicatorOptions = {
  continuous: false,
  batchRows: 3,
  batchesInFlightMax: 4,
  atWorkMax: { comparing: 1, fetching: 2, writing: 2 },
  checkpointIntervalMs: 20,
  useCheckpoints: true,
  since: undefined,
  backOff: { firstMs: 1, maxMs: 8 },
  failuresMax: undefined,
  formatTime: String,
};

const noDocuments = { documentsWritten: 0, documentWriteFailures: 0 };

function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

type Working = Extract<Effect, { readonly attempt: number }>;

/** A source with a feed, a target that may lose what is not committed, and whatever a replicator left behind. */
class World {
  readonly #random: () => number;
  /** Document → sequence of its latest change, which also stands for its revision. */
  readonly feed = new Map<string, number>();
  sequence = 0;
  durable = new Set<string>();
  volatile = new Set<string>();
  sourceCheckpoint: Checkpoint | undefined;
  targetCheckpoint: Checkpoint | undefined;
  now = 0;
  sessions = 0;
  state: ReplicatorState;
  pending: Working[] = [];
  wakeAt: number[] = [];
  batches = new Map<number, readonly (readonly [string, number])[]>();
  readonly #options: ReplicatorOptions;

  constructor(seed: number, options: ReplicatorOptions) {
    this.#random = randomFrom(seed);
    this.#options = options;
    this.state = createReplicator(options, 'session0', 0);
  }

  draw(): number {
    return this.#random();
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  writeToSource(): void {
    this.sequence += 1;
    const document = `d${Math.floor(this.#random() * 30)}`;
    this.feed.delete(document);
    this.feed.set(document, this.sequence);
  }

  start(): void {
    this.pending = [];
    this.wakeAt = [];
    this.batches.clear();
    this.sessions += 1;
    this.state = createReplicator(this.#options, `session${this.sessions}`, this.now);
    this.tell({ kind: 'start', now: this.now });
  }

  /** The target loses what was not committed. */
  crashTarget(): void {
    this.volatile.clear();
  }

  tell(event: ReplicatorEvent): void {
    const { state, effects } = step(this.state, event);
    this.state = state;
    for (const effect of effects) {
      if (effect.kind === 'abandon') this.pending = [];
      else if (effect.kind === 'tick_after') this.wakeAt.push(this.now + effect.delayMs);
      else if (effect.kind !== 'end') this.pending.push(effect);
    }
  }

  /** One random thing happens. */
  turn(faults: boolean): void {
    this.now += 1;
    if (this.wakeAt.some((at) => at <= this.now)) {
      this.wakeAt = this.wakeAt.filter((at) => at > this.now);
      this.tell({ kind: 'tick', now: this.now });
    }
    if (this.pending.length === 0) return;
    const [effect] = this.pending.splice(Math.floor(this.#random() * this.pending.length), 1);
    if (faults && this.chance(0.05)) this.#fail(effect!);
    else this.#perform(effect!);
  }

  #fail(effect: Working): void {
    // The other side may have done what was asked before the answer was lost.
    if (effect.kind === 'write' && this.chance(0.5)) this.#write(effect.batch);
    if (effect.kind === 'write_checkpoint' && this.chance(0.5)) this.targetCheckpoint = effect.checkpoint;
    const { attempt } = effect;
    this.tell({
      kind: 'failed',
      attempt,
      now: this.now,
      fault: 'transient',
      reason: 'cut',
      random: this.#random(),
    });
  }

  #perform(effect: Working): void {
    if (effect.kind === 'read_changes') this.#readChanges(effect);
    else this.tell({ attempt: effect.attempt, now: this.now, ...this.#do(effect) });
  }

  #do(effect: Exclude<Working, { readonly kind: 'read_changes' }>) {
    switch (effect.kind) {
      case 'read_checkpoints':
        return {
          kind: 'checkpoints_read',
          source: this.sourceCheckpoint,
          target: this.targetCheckpoint,
        } as const;
      case 'compare': {
        const rows = this.batches.get(effect.batch) ?? [];
        const revisionsMissing = rows.filter(([id, revision]) => !this.has(id, revision)).length;
        const { batch } = effect;
        return { kind: 'compared', batch, revisionsChecked: rows.length, revisionsMissing } as const;
      }
      case 'fetch':
        return { kind: 'fetched', batch: effect.batch, documentsRead: 1, ...noDocuments } as const;
      case 'write':
        this.#write(effect.batch);
        return { kind: 'written', batch: effect.batch, ...noDocuments } as const;
      case 'commit':
        for (const one of this.volatile) this.durable.add(one);
        this.volatile.clear();
        return { kind: 'committed' } as const;
      case 'write_checkpoint':
        this.targetCheckpoint = effect.checkpoint;
        this.sourceCheckpoint = effect.checkpoint;
        return { kind: 'checkpoint_written' } as const;
    }
  }

  #readChanges(effect: Extract<Effect, { readonly kind: 'read_changes' }>): void {
    const all = [...this.feed].filter(([, place]) => place > Number(effect.since));
    if (effect.wait && all.length === 0) {
      this.pending.push(effect); // Nothing yet: the feed goes on waiting.
      return;
    }
    const rows = all.slice(0, effect.limit);
    this.batches.set(effect.batch, rows);
    const lastSequence = String(rows.at(-1)?.[1] ?? this.sequence);
    const pending = this.chance(0.5) ? all.length - rows.length : undefined;
    this.tell({
      kind: 'changes_read',
      attempt: effect.attempt,
      now: this.now,
      batch: effect.batch,
      rows: rows.length,
      lastSequence,
      pending,
      goalReached: false,
      documentWriteFailures: 0,
    });
  }

  #write(batch: number): void {
    for (const [id, revision] of this.batches.get(batch) ?? []) this.volatile.add(`${id}@${revision}`);
  }

  has(id: string, revision: number): boolean {
    return this.durable.has(`${id}@${revision}`) || this.volatile.has(`${id}@${revision}`);
  }

  /** Whatever the two checkpoints agree on is durable on the target. */
  checkCheckpoints(): void {
    const comparison = compareCheckpoints(this.sourceCheckpoint, this.targetCheckpoint);
    if (comparison.kind === 'nothing_shared') return;
    for (const [id, revision] of this.feed) {
      if (revision > Number(comparison.sequence)) continue;
      if (!this.durable.has(`${id}@${revision}`)) {
        throw new Error(`the checkpoint ${comparison.sequence} skips ${id} at ${revision}`);
      }
    }
  }

  missing(): readonly string[] {
    return [...this.feed].filter(([id, revision]) => !this.has(id, revision)).map(([id]) => id);
  }
}

function runStorm(seed: number, continuous: boolean): World {
  const world = new World(seed, { ...baseOptions, continuous });
  for (let write = 0; write < 20; write++) world.writeToSource();
  world.start();
  for (let turn = 0; turn < 400; turn++) {
    if (world.chance(0.1)) world.writeToSource();
    const accident = world.draw();
    // The target's process is killed: the replicator sees its connections break, here as a start of its own.
    if (accident < 0.01) world.crashTarget();
    if (accident < 0.02) world.start();
    if (world.state.phase.kind === 'ended') world.start();
    world.turn(true);
    world.checkCheckpoints();
  }
  return world;
}

test('whatever fails in whatever order, no checkpoint is ahead of what is durable, and nothing is lost in the end', () => {
  fc.assert(
    fc.property(fc.integer(), fc.boolean(), (seed, continuous) => {
      const world = runStorm(seed, continuous);
      // A one-shot run that began during the storm ends with what was there at its start; a new one takes the rest.
      if (!continuous) world.start();
      for (let turn = 0; turn < 1_000 && !isDone(world, continuous); turn++) {
        world.turn(false);
        world.checkCheckpoints();
      }
      expect(world.missing()).toEqual([]);
      expect(isDone(world, continuous)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

function isDone(world: World, continuous: boolean): boolean {
  if (!continuous && world.state.phase.kind === 'ended') return true;
  return continuous && world.missing().length === 0;
}

test('a calm continuous replication saves its last place although nothing more happens', () => {
  const world = new World(1, { ...baseOptions, continuous: true });
  for (let write = 0; write < 10; write++) world.writeToSource();
  world.start();
  for (let turn = 0; turn < 200; turn++) world.turn(false);
  expect(world.sourceCheckpoint?.source_last_seq).toBe(String(world.sequence));
  expect(world.targetCheckpoint).toEqual(world.sourceCheckpoint);
});

test('the checker sees a target that lost what it had called durable', () => {
  const world = new World(1, baseOptions);
  for (let write = 0; write < 10; write++) world.writeToSource();
  world.start();
  for (let turn = 0; turn < 200; turn++) world.turn(false);
  world.checkCheckpoints();
  world.durable.clear();
  expect(() => world.checkCheckpoints()).toThrow('skips');
});
