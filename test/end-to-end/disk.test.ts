/** A disk that is full, for real: writes are refused with the truth, reads go on, and room is enough to write again. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { freePorts } from '../ports.ts';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { letters } from './incompressible.ts';
import { agreedLeader, createLedger, missingOn, untilStatus } from './single-leader-cluster.ts';

const diskMegabytes = 80;
const ballastBytes = 40_000_000;
const documentLetters = 400_000;

const harness = openHarness();
const disk = mountSmallDisk();
afterAll(async () => {
  await harness.close();
  if (disk === undefined) return;
  execFileSync('umount', [disk]);
  rmdirSync(disk);
});

/** Where a small disk is mounted; undefined where this process may not mount any. */
function mountSmallDisk(): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'tercet-disk-'));
  try {
    const options = ['-t', 'tmpfs', '-o', `size=${diskMegabytes}m`, 'tmpfs', directory];
    execFileSync('mount', options, { stdio: 'ignore' });
    return directory;
  } catch {
    rmdirSync(directory);
    return undefined;
  }
}

interface Reply {
  readonly status: number;
  readonly outcome: string | null;
  readonly json: Readonly<Record<string, unknown>>;
}

async function ask(node: TestNode, method: string, path: string, body?: string): Promise<Reply> {
  const answer = await fetch(`${node.url}${path}`, {
    method,
    // Compressing what cannot be compressed would take most of the time.
    headers: { 'content-type': 'application/json', 'accept-encoding': 'identity' },
    ...(body === undefined ? {} : { body }),
  });
  const json = (await answer.json()) as Reply['json'];
  return { status: answer.status, outcome: answer.headers.get('tercet-write'), json };
}

const textOf = (id: string) => letters(Number(id.replace(/\D/g, '')), documentLetters);

interface Written {
  /** Revisions of what was answered 201, by id. */
  readonly kept: Map<string, string>;
  /** The highest number that was tried. */
  last: number;
}

/** Four writers at once until each has been refused. */
async function fill(node: TestNode, written: Written): Promise<void> {
  const writer = async () => {
    for (;;) {
      written.last += 1;
      const id = `doc-${written.last}`;
      const reply = await ask(node, 'PUT', `/notes/${id}`, JSON.stringify({ text: textOf(id) }));
      if (reply.status !== 201) {
        expectRefusal(reply);
        return;
      }
      written.kept.set(id, String(reply.json.rev));
    }
  };
  await Promise.all([writer(), writer(), writer(), writer()]);
}

function expectRefusal({ status, outcome, json }: Reply): void {
  const text = `${status} ${outcome} ${JSON.stringify(json)}`;
  expect([503, 507], text).toContain(status);
  // For a moment, while it finds out that there is room again, the node has no store to ask at all.
  const reason = expect.stringMatching(/did not happen|store is being reopened/);
  expect(json, text).toEqual({ error: expect.any(String), reason });
  expect(outcome, text).toBe('did_not_happen');
}

/** What was answered is there, and what was refused is not. */
async function expectExactly(node: TestNode, { kept }: Written): Promise<void> {
  const { rows } = (await ask(node, 'GET', '/notes/_all_docs?include_docs=true')).json;
  const found = (rows as { doc: { _id: string; _rev: string; text: string } }[]).map(({ doc }) => doc);
  expect(new Map(found.map((doc) => [doc._id, doc._rev]))).toEqual(kept);
  for (const doc of found) expect(doc.text === textOf(doc._id), doc._id).toBe(true);
}

/** Three nodes of which the first has the small disk, and leads. */
async function startLedBySmallDisk(dataDirectory: string): Promise<readonly TestNode[]> {
  const ports = await freePorts(3);
  const peers = Object.fromEntries(ports.map((port, at) => [`n${at + 1}`, `http://127.0.0.1:${port}`]));
  const nodes = await Promise.all(
    ports.map((port, at) =>
      harness.startNode({ name: `n${at + 1}`, port, peers, ...(at === 0 && { dataDirectory }) }),
    ),
  );
  await createLedger(nodes);
  await waitUntil('n1 leads', async () => {
    const body = JSON.stringify({ node: 'n1' });
    return (await ask(nodes[1]!, 'POST', '/_cluster/promote', body)).json.ok === true;
  });
  await agreedLeader(nodes);
  return nodes;
}

interface LedgerWrites {
  tried: number;
  readonly acknowledged: { readonly id: string; readonly rev: string }[];
  /** Answers other than 201, as `n1: 507 insufficient_storage did_not_happen`. */
  readonly refused: string[];
}

/** A document at a time; large ones until the disk is full. */
async function writeAt(node: TestNode, size: number, written: LedgerWrites): Promise<number> {
  written.tried += 1;
  const id = `entry-${written.tried}`;
  const body = JSON.stringify({ text: letters(written.tried, size) });
  const { status, outcome, json } = await ask(node, 'PUT', `/ledger/${id}`, body);
  if (status === 201) written.acknowledged.push({ id, rev: String(json.rev) });
  else written.refused.push(`${node.name}: ${status} ${json.error} ${outcome}`);
  return status;
}

const reason = 'mounting a small disk takes the rights of root';
// skip: where this process may not mount a disk, there is none to fill
describe.skipIf(disk === undefined)(`a full disk (skipped where ${reason})`, () => {
  const ballast = join(disk ?? '', 'ballast');
  const written: Written = { kept: new Map(), last: 0 };
  let node: TestNode;

  test('refuses writes and goes on reading', async () => {
    await writeFile(ballast, Buffer.alloc(ballastBytes));
    node = await harness.startNode({ dataDirectory: join(disk!, 'data') });
    expect((await ask(node, 'PUT', '/notes?strategy=multi-leader')).status).toBe(201);
    await fill(node, written);
    expect(written.kept.size).toBeGreaterThan(20);

    const [id, rev] = [...written.kept][0]!;
    expectRefusal(await ask(node, 'DELETE', `/notes/${id}?rev=${rev}`));
    // Its group, which is to log that there is such a database, cannot tell what became of its last write.
    expect((await ask(node, 'PUT', '/other')).status).toBe(503);
    expectRefusal(await ask(node, 'PUT', `/notes/${id}/file?rev=${rev}`, letters(1, documentLetters)));
    expectRefusal(await ask(node, 'PUT', '/notes/_local/checkpoint', '{"place":1}'));
    expectRefusal(await ask(node, 'POST', '/notes/_bulk_docs', '{"docs":[{"_id":"doc-0"}]}'));
    await expectExactly(node, written);
    expect((await ask(node, 'GET', '/notes/_changes')).json.results).toHaveLength(written.kept.size);
  });

  test('takes writes again by itself once there is room', async () => {
    await rm(ballast);
    await waitUntil('writes are taken again', async () => {
      const reply = await ask(node, 'PUT', '/notes/doc-0', JSON.stringify({ text: textOf('doc-0') }));
      if (reply.status === 201) written.kept.set('doc-0', String(reply.json.rev));
      else expectRefusal(reply);
      return reply.status === 201;
    });
    await expectExactly(node, written);
  });

  test('that a killed node finds at its start is told; with room it has what was answered, and no more', async () => {
    await writeFile(ballast, Buffer.alloc(ballastBytes));
    await fill(node, written);
    await node.kill();
    const started = harness.run(node.command);
    expect(await started.exited).toBe(1);
    expect(started.output()).toMatch(/^tercet: The disk of the data directory .* is full\. [^\n]+\n$/);
    await rm(ballast);
    await node.start();
    await expectExactly(node, written);
  });

  test('of a leader lets another one lead; it reads on, says 507, and takes part again once there is room', async () => {
    await node.kill();
    await rm(join(disk!, 'data'), { recursive: true });
    await writeFile(ballast, Buffer.alloc(1.5 * ballastBytes));
    const nodes = await startLedBySmallDisk(join(disk!, 'data'));
    const [full, ...others] = nodes as [TestNode, TestNode, TestNode];
    const written: LedgerWrites = { tried: 0, acknowledged: [], refused: [] };
    while (written.refused.length === 0) await writeAt(full, documentLetters, written);

    // It waits for a leader that it cannot know; meanwhile the others go on.
    const told = writeAt(full, 9, written);
    expect((await agreedLeader(others)).leader).not.toBe(full);
    for (const other of others) {
      await waitUntil(`${other.name} writes`, async () => (await writeAt(other, 9, written)) === 201);
    }
    expect((await ask(full, 'GET', '/ledger/entry-1?consistency=eventual')).status).toBe(200);
    const { status, json } = await ask(full, 'GET', '/ledger/entry-1');
    expect([status, json.error]).toEqual([503, 'consistency_unavailable']);
    expect(json.reason).toContain('The disk of this node takes no writes (disk_full)');
    await told;
    expect(written.refused).toContain('n1: 507 insufficient_storage did_not_happen');

    await rm(ballast);
    await waitUntil('it writes again', async () => (await writeAt(full, 9, written)) === 201);
    await agreedLeader(nodes);
    for (const each of nodes) {
      await untilStatus(200, 'GET', `${each.url}/ledger`);
      expect(await missingOn(each, written.acknowledged), each.name).toEqual({});
    }
    // What was on its way is unknown, or did not happen; nothing else is said.
    const words = new Set(written.refused.map((text) => text.replace(/^n\d: \d+ /, '')));
    const allowed = ['write_outcome_unknown unknown', 'insufficient_storage did_not_happen'];
    expect([...allowed, 'not_leader did_not_happen', 'no_leader did_not_happen']).toEqual(
      expect.arrayContaining([...words]),
    );
  }, 60_000);
});
