/** A disk that is full, for real: writes are refused with the truth, reads go on, and room is enough to write again. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { letters } from './incompressible.ts';

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
});
