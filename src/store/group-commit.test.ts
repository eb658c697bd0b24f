import { expect, test } from 'vitest';
import { GroupCommit } from './group-commit.ts';
import type { Operation } from './store.ts';

const put = (key: number, bytes = 1): Operation => ({
  kind: 'put',
  key: Uint8Array.of(key),
  value: new Uint8Array(bytes),
});

/** A write whose end the test decides. */
function heldWrite() {
  const groups: number[][] = [];
  const ends: { readonly succeed: () => void; readonly fail: (reason: Error) => void }[] = [];
  const write = (operations: readonly Operation[]): Promise<void> => {
    groups.push(operations.map(({ key }) => key[0]!));
    return new Promise((succeed, fail) => ends.push({ succeed, fail }));
  };
  return { groups, ends, write };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('what arrives while a write is on its way shares the next one', async () => {
  const { groups, ends, write } = heldWrite();
  const group = new GroupCommit({ groupBytesMax: 1_000, write });
  const first = group.commit([put(1)]);
  await turn();
  const later = [group.commit([put(2), put(3)]), group.commit([]), group.commit([put(4)])];
  await turn();
  expect(groups).toEqual([[1]]);
  ends[0]!.succeed();
  await first;
  await turn();
  expect(groups).toEqual([[1], [2, 3, 4]]);
  ends[1]!.succeed();
  await Promise.all(later);
});

test('calls of one turn share the first write', async () => {
  const { groups, ends, write } = heldWrite();
  const group = new GroupCommit({ groupBytesMax: 1_000, write });
  const all = [group.commit([put(1)]), group.commit([put(2)])];
  await turn();
  ends[0]!.succeed();
  await Promise.all(all);
  expect(groups).toEqual([[1, 2]]);
});

test('a group is closed before it grows over its bytes; a batch is never split', async () => {
  const { groups, ends, write } = heldWrite();
  const group = new GroupCommit({ groupBytesMax: 100, write });
  const all = [[put(1, 60)], [put(2, 60)], [put(3, 80), put(4, 80)], [put(5)], [put(6)]].map((one) =>
    group.commit(one),
  );
  for (let index = 0; index < 4; index += 1) {
    await turn();
    ends[index]!.succeed();
  }
  await Promise.all(all);
  expect(groups).toEqual([[1], [2], [3, 4], [5, 6]]);
});

test('a failed write is told to every caller of its group and to no other', async () => {
  const { ends, write } = heldWrite();
  const group = new GroupCommit({ groupBytesMax: 1_000, write });
  const failed = [group.commit([put(1)]), group.commit([put(2)])];
  await turn();
  const later = group.commit([put(3)]);
  ends[0]!.fail(new Error('disk'));
  expect((await Promise.allSettled(failed)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await turn();
  ends[1]!.succeed();
  await later;
});

test('idle waits for all that was called', async () => {
  const { ends, write } = heldWrite();
  const group = new GroupCommit({ groupBytesMax: 1, write });
  const ended: string[] = [];
  const commits = [group.commit([put(1)]), group.commit([put(2)])].map((one) =>
    one.then(() => ended.push('commit')),
  );
  const idle = group.idle().then(() => ended.push('idle'));
  for (const index of [0, 1]) {
    await turn();
    ends[index]!.succeed();
  }
  await Promise.all([...commits, idle]);
  expect(ended).toEqual(['commit', 'commit', 'idle']);
});

test('a patient commit begins no write, and keeps its place in the next one', async () => {
  const { groups, ends, write } = heldWrite();
  const group = new GroupCommit({ groupBytesMax: 1_000, write });
  const patient = group.commit([put(1)], { patienceMs: 600_000 });
  await turn();
  expect(groups).toEqual([]);
  const other = group.commit([put(2)]);
  await turn();
  expect(groups).toEqual([[1, 2]]);
  const later = group.commit([put(3)], { patienceMs: 600_000 });
  ends[0]!.succeed();
  await Promise.all([patient, other]);
  await turn();
  expect(groups).toEqual([[1, 2]]);
  group.hurry();
  await turn();
  ends[1]!.succeed();
  await later;
  expect(groups).toEqual([[1, 2], [3]]);
});

test('a patient commit that nobody joins is written when its time is over, and before it is idle', async () => {
  const groups: number[] = [];
  const group = new GroupCommit({
    groupBytesMax: 1_000,
    write: async (operations) => void groups.push(operations.length),
  });
  await group.commit([put(1)], { patienceMs: 1 });
  expect(groups).toEqual([1]);
  const last = group.commit([put(2)], { patienceMs: 600_000 });
  await group.idle();
  await last;
  expect(groups).toEqual([1, 1]);
});
