import { describe, expect, test } from 'vitest';
import { checkInvariants, createReplicator, report, step } from './replicator.ts';
import type { Effect, ReplicatorEvent, ReplicatorOptions, ReplicatorState } from './replicator-model.ts';

const options: ReplicatorOptions = {
  continuous: false,
  batchRows: 10,
  batchesInFlightMax: 4,
  atWorkMax: { comparing: 1, fetching: 2, writing: 1 },
  checkpointIntervalMs: 1_000,
  useCheckpoints: true,
  since: undefined,
  backOff: { firstMs: 100, maxMs: 1_600 },
  failuresMax: undefined,
  formatTime: (ms) => `t${ms}`,
};

const nothingSpecial = { goalReached: false, documentWriteFailures: 0 };

/** Feeds events to a replicator and remembers what each asked for. */
class Harness {
  state: ReplicatorState;
  effects: readonly Effect[] = [];
  now = 0;

  constructor(changed: Partial<ReplicatorOptions> = {}) {
    this.state = createReplicator({ ...options, ...changed }, 'session', 0);
  }

  tell(event: ReplicatorEvent): readonly Effect[] {
    const { state, effects } = step(this.state, event);
    this.state = state;
    this.effects = effects;
    return effects;
  }

  /** Answers an effect of the current attempt. */
  reply(event: Record<string, unknown> & { readonly kind: string }): readonly Effect[] {
    return this.tell({ attempt: this.state.attempt, now: this.now, ...event } as ReplicatorEvent);
  }

  begin(): readonly Effect[] {
    this.tell({ kind: 'start', now: this.now });
    return this.reply({ kind: 'checkpoints_read', source: undefined, target: undefined });
  }

  read(batch: number, lastSequence: string, pending: number): readonly Effect[] {
    return this.reply({ kind: 'changes_read', batch, rows: 10, lastSequence, pending, ...nothingSpecial });
  }

  compare(batch: number, revisionsMissing = 10): readonly Effect[] {
    return this.reply({ kind: 'compared', batch, revisionsChecked: 10, revisionsMissing });
  }

  fetch(batch: number): readonly Effect[] {
    return this.reply({
      kind: 'fetched',
      batch,
      documentsRead: 10,
      documentsWritten: 0,
      documentWriteFailures: 0,
    });
  }

  write(batch: number): readonly Effect[] {
    return this.reply({ kind: 'written', batch, documentsWritten: 10, documentWriteFailures: 0 });
  }

  fail(fault: 'fatal' | 'transient' = 'transient', random = 0): readonly Effect[] {
    return this.reply({ kind: 'failed', fault, reason: 'no route', random });
  }
}

function kinds(effects: readonly Effect[]): readonly string[] {
  return effects.map((effect) => ('batch' in effect ? `${effect.kind} ${effect.batch}` : effect.kind));
}

describe('the way of a batch', () => {
  test('a one-shot replication reads, compares, fetches, writes, commits, writes its checkpoint and ends', () => {
    const harness = new Harness();
    expect(kinds(harness.begin())).toEqual(['read_changes 1']);
    expect(kinds(harness.read(1, '10', 0))).toEqual(['compare 1']);
    expect(kinds(harness.compare(1))).toEqual(['fetch 1']);
    expect(kinds(harness.fetch(1))).toEqual(['write 1']);
    expect(kinds(harness.write(1))).toEqual(['commit']);
    expect(kinds(harness.reply({ kind: 'committed' }))).toEqual(['write_checkpoint']);
    expect(harness.effects[0]).toMatchObject({
      checkpoint: { source_last_seq: '10', session_id: 'session' },
    });
    expect(harness.reply({ kind: 'checkpoint_written' })).toEqual([
      { kind: 'end', outcome: { kind: 'completed' } },
    ]);
    expect(report(harness.state, 5)?.history[0]).toMatchObject({
      missing_checked: 10,
      missing_found: 10,
      docs_read: 10,
      docs_written: 10,
      recorded_seq: '10',
      end_time: 't5',
    });
  });

  test('a batch of which nothing is missing is neither fetched nor written', () => {
    const harness = new Harness();
    harness.begin();
    harness.read(1, '10', 0);
    expect(kinds(harness.compare(1, 0))).toEqual(['commit']);
  });

  test('while one batch is written the next are fetched, compared and read', () => {
    const harness = new Harness();
    harness.begin();
    expect(kinds(harness.read(1, '10', 90))).toEqual(['compare 1', 'read_changes 2']);
    harness.read(2, '20', 80);
    expect(kinds(harness.compare(1))).toEqual(['compare 2', 'fetch 1']);
    expect(kinds(harness.fetch(1))).toEqual(['write 1']);
    expect(kinds(harness.compare(2))).toEqual(['fetch 2']);
    expect(kinds(harness.read(3, '30', 70))).toEqual(['compare 3', 'read_changes 4']);
  });

  test('no more batches are read than may be in flight', () => {
    const harness = new Harness();
    harness.begin();
    for (let batch = 1; batch <= 3; batch++)
      expect(kinds(harness.read(batch, `${batch}0`, 90))).toContain(`read_changes ${batch + 1}`);
    expect(kinds(harness.read(4, '40', 60))).toEqual([]);
  });

  test('nothing to do ends at once, without a checkpoint', () => {
    const harness = new Harness();
    harness.begin();
    const effects = harness.reply({
      ...nothingSpecial,
      ...{ kind: 'changes_read', batch: 1, rows: 0, lastSequence: '0', pending: 0 },
    });
    expect(effects).toEqual([{ kind: 'end', outcome: { kind: 'completed' } }]);
  });

  test('a one-shot replication reads on, however many rows it has read, until its goal is reached', () => {
    const harness = new Harness();
    harness.begin();
    harness.read(1, '10', 10);
    expect(kinds(harness.read(2, '20', 30))).toContain('read_changes 3');
    const last = { kind: 'changes_read', batch: 3, rows: 10, lastSequence: '30', pending: 20 };
    expect(kinds(harness.reply({ ...last, ...nothingSpecial, goalReached: true }))).toEqual([]);
  });

  test('a continuous replication knows no goal', () => {
    const harness = new Harness({ continuous: true });
    harness.begin();
    const page = { kind: 'changes_read', batch: 1, rows: 10, lastSequence: '10', pending: 20 };
    expect(kinds(harness.reply({ ...page, ...nothingSpecial, goalReached: true }))).toContain(
      'read_changes 2',
    );
  });

  test('revisions that the feed names and no node can take are counted', () => {
    const harness = new Harness();
    harness.begin();
    const page = { kind: 'changes_read', batch: 1, rows: 10, lastSequence: '10', pending: 0 };
    harness.reply({ ...page, goalReached: false, documentWriteFailures: 2 });
    expect(report(harness.state, 5)?.history[0]).toMatchObject({ doc_write_failures: 2 });
  });
});

describe('checkpoints', () => {
  test('a batch that is written before an earlier one does not move the checkpoint', () => {
    const harness = new Harness();
    harness.begin();
    harness.read(1, '10', 90);
    harness.read(2, '20', 80);
    harness.compare(1);
    harness.compare(2, 0);
    harness.now = 5_000;
    expect(kinds(harness.read(3, '30', 70))).not.toContain('commit');
    harness.fetch(1);
    expect(kinds(harness.write(1))).toContain('commit');
    harness.reply({ kind: 'committed' });
    const written = harness.effects.find((effect) => effect.kind === 'write_checkpoint');
    expect(written).toMatchObject({ checkpoint: { source_last_seq: '20' } });
  });

  test('a continuous replication writes them at intervals and wakes itself for the last', () => {
    const harness = new Harness({ continuous: true });
    harness.begin();
    harness.read(1, '10', 0);
    expect(harness.compare(1, 0)).toEqual([{ kind: 'tick_after', delayMs: 1_000 }]);
    harness.now = 1_000;
    expect(kinds(harness.tell({ kind: 'tick', now: 1_000 }))).toEqual(['commit']);
  });

  test('a tick that comes early, or after the clock was set back, does not end the writing of checkpoints', () => {
    const harness = new Harness({ continuous: true });
    harness.now = 5_000;
    harness.begin();
    harness.read(1, '10', 0);
    harness.compare(1, 0);
    expect(harness.tell({ kind: 'tick', now: 5_999 })).toEqual([{ kind: 'tick_after', delayMs: 1 }]);
    expect(kinds(harness.tell({ kind: 'tick', now: 4_000 }))).toEqual(['commit']);
  });

  test('without checkpoints a new attempt goes on where the last one was', () => {
    const harness = new Harness({ useCheckpoints: false, since: '5' });
    expect(harness.begin()[0]).toMatchObject({ since: '5' });
    harness.read(1, '10', 90);
    harness.compare(1, 0);
    harness.fail();
    harness.tell({ kind: 'tick', now: 60_000 });
    const effects = harness.reply({ kind: 'checkpoints_read', source: undefined, target: undefined });
    expect(effects[0]).toMatchObject({ kind: 'read_changes', since: '10' });
  });

  test('a session of its own overrides the place it was told to start from', () => {
    const harness = new Harness({ since: '5', continuous: true, checkpointIntervalMs: 0 });
    harness.begin();
    harness.read(1, '10', 90);
    harness.compare(1, 0);
    const effects = harness.reply({ kind: 'committed' });
    const written = effects.find((effect) => effect.kind === 'write_checkpoint');
    if (written?.kind !== 'write_checkpoint') throw new Error('no checkpoint');
    harness.fail();
    harness.tell({ kind: 'tick', now: 60_000 });
    const { checkpoint } = written;
    const resumed = harness.reply({ kind: 'checkpoints_read', source: checkpoint, target: checkpoint });
    expect(resumed[0]).toMatchObject({ kind: 'read_changes', since: '10' });
  });
});

describe('invariants', () => {
  function runningState() {
    const harness = new Harness();
    harness.begin();
    harness.read(1, '10', 90);
    harness.read(2, '20', 80);
    const { state } = harness;
    if (state.phase.kind !== 'running') throw new Error('not running');
    return { state, run: state.phase.run };
  }

  test.each([
    ['a gap between batches', { finishedThrough: '5' }, 'without gaps'],
    ['a feed that was read further than its batches', { readThrough: '30' }, 'next read begins'],
    [
      'a finished batch that is kept',
      { batches: [{ number: 1, since: '0', through: '20', station: 'finished' as const }] },
      'dropped at once',
    ],
  ])('%s is noticed', (_name, broken, message) => {
    const { state, run } = runningState();
    checkInvariants(state);
    expect(() =>
      checkInvariants({ ...state, phase: { kind: 'running', run: { ...run, ...broken } } }),
    ).toThrow(message);
  });
});

describe('faults', () => {
  test('the pause doubles with every failure in a row, up to its limit, and is jittered', () => {
    const harness = new Harness();
    harness.tell({ kind: 'start', now: 0 });
    const delays = [];
    for (let failure = 0; failure < 7; failure++) {
      const [, tick] = harness.fail('transient', 0);
      if (tick?.kind !== 'tick_after') throw new Error('no pause');
      delays.push(tick.delayMs);
      harness.now += tick.delayMs;
      expect(kinds(harness.tell({ kind: 'tick', now: harness.now }))).toEqual(['read_checkpoints']);
    }
    expect(delays).toEqual([50, 100, 200, 400, 800, 800, 800]);
    expect(harness.fail('transient', 0.5)[1]).toEqual({ kind: 'tick_after', delayMs: 1_200 });
  });

  test('a tick that comes early waits for the rest of the pause', () => {
    const harness = new Harness();
    harness.begin();
    harness.fail();
    expect(harness.tell({ kind: 'tick', now: 49 })).toEqual([{ kind: 'tick_after', delayMs: 1 }]);
    expect(kinds(harness.tell({ kind: 'tick', now: 50 }))).toEqual(['read_checkpoints']);
  });

  test('a clock that was set back does not make a pause longer', () => {
    const harness = new Harness();
    harness.now = 10_000_000;
    harness.begin();
    harness.fail();
    expect(kinds(harness.tell({ kind: 'tick', now: 5 }))).toEqual(['read_checkpoints']);
  });

  test('a written batch makes the next pause short again', () => {
    const harness = new Harness();
    harness.begin();
    harness.fail();
    harness.tell({ kind: 'tick', now: 1_000 });
    harness.fail();
    harness.tell({ kind: 'tick', now: 2_000 });
    harness.reply({ kind: 'checkpoints_read', source: undefined, target: undefined });
    harness.read(1, '10', 90);
    harness.compare(1);
    harness.fetch(1);
    harness.write(1);
    expect(harness.fail()[1]).toEqual({ kind: 'tick_after', delayMs: 50 });
  });

  test('a fatal fault ends the replication and names its reason', () => {
    const harness = new Harness();
    harness.begin();
    expect(harness.fail('fatal')).toEqual([
      { kind: 'abandon' },
      { kind: 'end', outcome: { kind: 'failed', fault: 'fatal', reason: 'no route' } },
    ]);
  });

  test('too many failures in a row end a replication that somebody waits for', () => {
    const harness = new Harness({ failuresMax: 2 });
    harness.begin();
    harness.fail();
    harness.tell({ kind: 'tick', now: 1_000 });
    expect(kinds(harness.fail())).toEqual(['abandon', 'end']);
  });

  test('a reply to an abandoned attempt changes nothing', () => {
    const harness = new Harness();
    harness.begin();
    harness.fail();
    const before = harness.state;
    const late = {
      kind: 'changes_read',
      attempt: 1,
      now: 0,
      batch: 1,
      rows: 1,
      lastSequence: '1',
      pending: 0,
      ...nothingSpecial,
    } as const;
    expect(harness.tell(late)).toEqual([]);
    expect(harness.state).toBe(before);
  });

  test('nothing is asked for after the end', () => {
    const harness = new Harness();
    harness.begin();
    expect(kinds(harness.tell({ kind: 'stop', now: 0 }))).toEqual(['abandon', 'end']);
    expect(harness.tell({ kind: 'tick', now: 99_999 })).toEqual([]);
    expect(harness.tell({ kind: 'stop', now: 99_999 })).toEqual([]);
  });
});
