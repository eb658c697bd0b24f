import { describe, expect, test } from 'vitest';
import { digest128 } from '../runtime/digest.ts';
import {
  type Checkpoint,
  compareCheckpoints,
  type HistoryEntry,
  historyEntriesMax,
  makeCheckpoint,
  parseCheckpoint,
  type ReplicationIdentity,
  replicationId,
  sharedHistory,
} from './checkpoint.ts';

function entry(session: string, recorded: string, ordinal = 1): HistoryEntry {
  return {
    session_id: session,
    start_time: 'Thu, 01 Jan 1970 00:00:00 GMT',
    end_time: 'Thu, 01 Jan 1970 00:00:01 GMT',
    start_last_seq: '0',
    end_last_seq: recorded,
    recorded_seq: recorded,
    ordinal,
    missing_checked: 1,
    missing_found: 1,
    docs_read: 1,
    docs_written: 1,
    doc_write_failures: 0,
  };
}

function checkpoint(...entries: readonly HistoryEntry[]): Checkpoint {
  return makeCheckpoint(entries[0]!, entries.slice(1));
}

describe('comparing checkpoints', () => {
  test('equal checkpoints resume where both stopped', () => {
    const both = checkpoint(entry('s1', '20'));
    expect(compareCheckpoints(both, both)).toMatchObject({ kind: 'shared', sequence: '20' });
  });

  test('a checkpoint on one side alone counts for nothing', () => {
    expect(compareCheckpoints(checkpoint(entry('s1', '20')), undefined).kind).toBe('nothing_shared');
    expect(compareCheckpoints(undefined, checkpoint(entry('s1', '20'))).kind).toBe('nothing_shared');
  });

  test('checkpoints without a common session start from zero', () => {
    expect(compareCheckpoints(checkpoint(entry('a', '20')), checkpoint(entry('b', '20'))).kind).toBe(
      'nothing_shared',
    );
  });

  test('a target restored from a backup resumes at the newest session that it remembers', () => {
    const source = checkpoint(entry('s3', '90'), entry('s2', '60'), entry('s1', '20'));
    const target = checkpoint(entry('s2', '60'), entry('s1', '20'));
    expect(compareCheckpoints(source, target)).toMatchObject({ sessionId: 's2', sequence: '60' });
  });

  test('a source restored from a backup resumes at the newest session that it remembers', () => {
    const source = checkpoint(entry('s1', '20'));
    const target = checkpoint(entry('s2', '60'), entry('s1', '20'));
    expect(compareCheckpoints(source, target)).toMatchObject({ sessionId: 's1', sequence: '20' });
  });

  test('within one session the side that is a step behind decides', () => {
    const ahead = checkpoint(entry('s1', '40', 4));
    const behind = checkpoint(entry('s1', '30', 3));
    expect(compareCheckpoints(ahead, behind)).toMatchObject({ sequence: '30', ordinal: 4 });
    expect(compareCheckpoints(behind, ahead)).toMatchObject({ sequence: '30', ordinal: 4 });
  });

  test('only the shared part of the history is carried on', () => {
    const source = checkpoint(entry('s3', '90', 9), entry('s2', '60', 6), entry('s1', '20'));
    const target = checkpoint(entry('s2', '50', 5), entry('s1', '20'));
    const history = sharedHistory(source, compareCheckpoints(source, target));
    expect(history.map((one) => [one.session_id, one.recorded_seq])).toEqual([
      ['s2', '50'],
      ['s1', '20'],
    ]);
  });
});

describe('writing checkpoints', () => {
  test('a session has one entry, its newest', () => {
    const made = makeCheckpoint(entry('s2', '70', 2), [entry('s2', '60', 1), entry('s1', '20')]);
    expect(made.history.map((one) => one.recorded_seq)).toEqual(['70', '20']);
    expect(made.source_last_seq).toBe('70');
  });

  test('the history is bounded and forgets the oldest sessions', () => {
    let made = checkpoint(entry('s0', '0'));
    for (let number = 1; number < 80; number++)
      made = makeCheckpoint(entry(`s${number}`, `${number}`), made.history);
    expect(made.history.length).toBe(historyEntriesMax);
    expect(made.history[0]?.session_id).toBe('s79');
    expect(made.history.at(-1)?.session_id).toBe('s30');
  });
});

describe('reading checkpoints of another party', () => {
  test('a checkpoint survives JSON', () => {
    const made = checkpoint(entry('s2', '60', 3), entry('s1', '20'));
    expect(parseCheckpoint(JSON.parse(JSON.stringify({ _id: '_local/x', _rev: '0-1', ...made })))).toEqual(
      made,
    );
  });

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a list', []],
    ['no session', { source_last_seq: '1', history: [], replication_id_version: 4 }],
    ['a number for a sequence', { ...checkpoint(entry('s', '1')), source_last_seq: 1 }],
    ['another version', { ...checkpoint(entry('s', '1')), replication_id_version: 3 }],
    ['a history that is no list', { ...checkpoint(entry('s', '1')), history: 'all' }],
    ['a malformed entry', { ...checkpoint(entry('s', '1')), history: [{ session_id: 's' }] }],
  ])('%s counts as no checkpoint', (_name, value) => {
    expect(parseCheckpoint(value)).toBeUndefined();
  });
});

describe('replication ids', () => {
  const identity: ReplicationIdentity = {
    source: 'a',
    target: 'b',
    documentIds: undefined,
    selector: undefined,
    filter: undefined,
    filterParameters: undefined,
    winningRevisionsOnly: false,
  };
  const idOf = (changed: Partial<ReplicationIdentity> = {}) =>
    replicationId({ ...identity, ...changed }, digest128);

  test('the same replication always has the same id of 32 hex digits', () => {
    expect(idOf()).toBe(idOf());
    expect(idOf()).toMatch(/^[0-9a-f]{32}$/);
    expect(idOf({ documentIds: ['x', 'y'] })).toBe(idOf({ documentIds: ['y', 'x'] }));
  });

  test('whatever changes what is copied changes the id', () => {
    const ids = [
      idOf(),
      idOf({ source: 'b', target: 'a' }),
      idOf({ documentIds: [] }),
      idOf({ documentIds: ['x'] }),
      idOf({ selector: '{}' }),
      idOf({ filter: 'd/f' }),
      idOf({ filter: 'd/f', filterParameters: '{"a":"1"}' }),
      idOf({ winningRevisionsOnly: true }),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });
});
