/** A replication between two processes, either of which is killed in the middle. */

import { afterAll, expect, test } from 'vitest';
import { openHarness, type TestNode } from './harness.ts';

const harness = openHarness();
afterAll(() => harness.close());

const documents = 20_000;

// biome-ignore lint/suspicious/noExplicitAny: a test looks into replies as it likes; a wrong look fails the test.
async function ask(node: TestNode, method: string, path: string, body?: unknown): Promise<any> {
  const response = await fetch(`${node.url}${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 25_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within 25 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function fill(node: TestNode): Promise<void> {
  await ask(node, 'PUT', '/source');
  for (let from = 0; from < documents; from += 2_000) {
    const docs = Array.from({ length: 2_000 }, (_, number) => ({ _id: `d${from + number}`, number }));
    await ask(node, 'POST', '/source/_bulk_docs', { docs });
  }
}

/** The sequence of a checkpoint that was written once more than so many documents were copied. */
async function checkpointOf(task: () => ReturnType<typeof ask>, written: number): Promise<string> {
  let seen = '0';
  await until(async () => {
    const now = await task();
    if (now === undefined || now.docs_written <= written) return false;
    seen = now.checkpointed_source_seq ?? '0';
    return seen !== '0';
  }, 'a checkpoint is written');
  return seen;
}

/** The sessions that the copy's checkpoint remembers, newest first. */
async function sessionsKeptBy(node: TestNode): Promise<{ start_last_seq: string }[]> {
  const { rows } = await ask(node, 'GET', '/copy/_local_docs?include_docs=true');
  expect(rows).toHaveLength(1);
  return rows[0].doc.history;
}

async function changesAfter(node: TestNode, sequence: string): Promise<number> {
  const answer = await ask(node, 'GET', `/source/_changes?since=${encodeURIComponent(sequence)}`);
  return answer.results.length;
}

test('Replication: the target is killed (SIGKILL) halfway, and resumes from its checkpoint; then the source is', async () => {
  const [source, target] = await Promise.all([
    harness.startNode({ name: 'a' }),
    harness.startNode({ name: 'b' }),
  ]);
  await fill(source);
  await ask(target, 'PUT', '/_replicator/pull', {
    source: `${source.url}/source`,
    target: 'copy',
    create_target: true,
    continuous: true,
    checkpoint_interval: 100,
    worker_batch_size: 100,
  });
  const task = async () => (await ask(target, 'GET', '/_active_tasks'))[0];
  const copied = async () => (await ask(target, 'GET', '/copy')).doc_count as number;

  const checkpointBeforeCrash = await checkpointOf(task, 2_000);
  const beforeCrash = await copied();
  expect(beforeCrash).toBeLessThan(documents);
  await target.kill();
  await target.start();

  await until(async () => (await task())?.docs_written > 500, 'it goes on');
  await source.kill();
  await source.start();
  await until(async () => (await copied()) === documents, 'everything is copied');

  // Nothing that was seen there before the crash is fetched again.
  expect((await task()).docs_written).toBeLessThanOrEqual(documents - beforeCrash);
  // Only the very first session began at nothing; the one after the crash, where the last checkpoint seen was, or later.
  const sessions = await sessionsKeptBy(target);
  expect(sessions.at(-1)?.start_last_seq).toBe('0');
  expect(sessions.length).toBeGreaterThan(1);
  for (const session of sessions.slice(0, -1)) {
    expect(await changesAfter(source, session.start_last_seq)).toBeLessThanOrEqual(
      await changesAfter(source, checkpointBeforeCrash),
    );
  }
}, 90_000);
