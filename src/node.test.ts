import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DataDirectoryError, OptionsError, openNode } from './node.ts';
import { plainLine } from './runtime/pino-log.ts';

let dataDirectory: string;
beforeEach(() => {
  dataDirectory = join(mkdtempSync(join(tmpdir(), 'tercet-node-')), 'data');
});
afterEach(() => rmSync(join(dataDirectory, '..'), { recursive: true }));

test('a program opens a node, uses it over HTTP and directly, and closes it', async () => {
  const node = await openNode({ dataDirectory, listen: '0' });
  const created = await fetch(`${node.url}/notes`, { method: 'PUT' });
  expect(created.status).toBe(201);
  expect(node.databases.names()).toEqual(['_replicator', '_users', 'notes']);
  await node.close();
  await node.close();
  await expect(fetch(node.url)).rejects.toThrow();
  const again = await openNode({ dataDirectory, listen: '0' });
  expect(again.databases.has('notes')).toBe(true);
  await again.close();
});

test('a node that cannot open leaves nothing open behind it', async () => {
  const first = await openNode({ dataDirectory, listen: '0' });
  const other = join(dataDirectory, '..', 'other');
  const taken = openNode({ dataDirectory: other, listen: new URL(first.url).host });
  await expect(taken).rejects.toThrow(OptionsError);
  const second = await openNode({ dataDirectory: other, listen: '0' });
  await expect(openNode({ dataDirectory, listen: '0' })).rejects.toThrow(DataDirectoryError);
  await Promise.all([first.close(), second.close()]);
});

const patience = { timeout: 20_000, interval: 50 };

test.each([
  [true, 'lease'],
  [false, 'quorum'],
])('with readLease %s a linearizable read says by %s', async (readLease, proof) => {
  const node = await openNode({ dataDirectory, listen: '0', readLease });
  const answered = (path: string, method = 'GET') => fetch(`${node.url}${path}`, { method });
  await vi.waitFor(async () => {
    expect((await answered('/ledger?strategy=single-leader', 'PUT')).status).not.toBe(503);
  }, patience);
  await vi.waitFor(async () => {
    const { headers } = await answered('/ledger/_all_docs');
    expect(headers.get('tercet-consistency')).toBe(`linearizable;by=${proof}`);
  }, patience);
  await node.close();
});

test('a page from an origin that is named may call it', async () => {
  const node = await openNode({ dataDirectory, listen: '0', corsOrigins: ['https://app.example.com'] });
  const allowed = async (origin: string) =>
    (await fetch(node.url, { headers: { origin } })).headers.get('access-control-allow-origin');
  expect(await allowed('https://app.example.com')).toBe('https://app.example.com');
  expect(await allowed('https://evil.example.com')).toBeNull();
  await node.close();
});

test('a line of the log reads as a sentence at a terminal', () => {
  const time = new Date('2026-01-02T03:04:05').getTime();
  const line = (fields: object) =>
    plainLine(JSON.stringify({ level: 40, time, node: 'n1', msg: 'slow', ...fields }));
  expect(line({})).toBe('03:04:05 n1 warn: slow\n');
  expect(line({ database: 'notes', ms: 7 })).toBe('03:04:05 n1 warn: slow (database: notes, ms: 7)\n');
  expect(line({ err: { stack: 'Error: x\n  at y' } })).toBe('03:04:05 n1 warn: slow\n  Error: x\n  at y\n');
});
