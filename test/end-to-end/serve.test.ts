import { existsSync, readdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { freePorts } from '../ports.ts';
import { openHarness, waitUntil } from './harness.ts';
import { createDatabase } from './single-leader-cluster.ts';

const harness = openHarness();
afterAll(() => harness.close());

async function put(url: string, body: object = {}): Promise<number> {
  const answer = await fetch(url, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  await answer.arrayBuffer();
  return answer.status;
}

const get = async (url: string) => (await fetch(url)).json() as Promise<Record<string, unknown>>;
const statusOf = async (url: string) => (await fetch(url)).status;

describe('one node', () => {
  test('says where it is ready, keeps its data and its uuid over a clean stop, and exits with 0', async () => {
    const node = await harness.startNode();
    expect(node.output()).toContain(`tercet n1 is ready at ${node.url}\n`);
    expect(await put(`${node.url}/notes`)).toBe(201);
    expect(await put(`${node.url}/notes/one`, { text: 'first' })).toBe(201);
    const { uuid } = await get(node.url);
    expect(await node.stop()).toBe(0);
    await node.start();
    expect(await get(`${node.url}/notes/one`)).toMatchObject({ text: 'first' });
    expect((await get(node.url)).uuid).toBe(uuid);
  });

  test('keeps what it answered when it is killed', async () => {
    const node = await harness.startNode();
    await put(`${node.url}/notes`);
    expect(await put(`${node.url}/notes/one`, { text: 'first' })).toBe(201);
    await node.kill();
    await node.start();
    expect(await get(`${node.url}/notes/one`)).toMatchObject({ text: 'first' });
  });

  test('stops within seconds while a client follows its changes', async () => {
    const node = await harness.startNode();
    await put(`${node.url}/notes`);
    const feed = await fetch(`${node.url}/notes/_changes?feed=continuous&heartbeat=1000`);
    const ended = feed.text().catch(() => 'cut off');
    expect(await node.stop()).toBe(0);
    expect(await ended).toBeTypeOf('string');
  });

  test('takes a free port when asked for port 0', async () => {
    const data = await harness.temporaryDirectory();
    const { child, stdout, exited } = harness.run(['serve', '--listen', '127.0.0.1:0', '--data', data]);
    const url = await waitUntil(
      'it is ready',
      () => /ready at (http:\/\/127\.0\.0\.1:\d+)\n/.exec(stdout())?.[1],
    );
    expect(await statusOf(`${url}/_up`)).toBe(200);
    child.kill('SIGINT');
    expect(await exited).toBe(0);
  });
});

describe('three nodes', () => {
  test('show one uuid, and a document written on one appears on the others', async () => {
    const nodes = await harness.startCluster(3);
    const uuids = await Promise.all(nodes.map(async ({ url }) => (await get(url)).uuid));
    expect(new Set(uuids).size).toBe(1);
    await createDatabase(nodes, 'notes', 'strategy=multi-leader');
    expect(await put(`${nodes[0]!.url}/notes/one`, { text: 'first' })).toBe(201);
    for (const { url } of nodes) {
      await waitUntil(`${url} has the document`, async () => (await statusOf(`${url}/notes/one`)) === 200);
    }
  });

  test('a node that joins later takes the uuid of the others', async () => {
    const [portOne, portTwo] = (await freePorts(2)) as [number, number];
    const single = await harness.startNode({ port: portOne });
    const { uuid } = await get(single.url);
    const peers = { n1: single.url, n2: `http://127.0.0.1:${portTwo}` };
    const joined = await harness.startNode({ name: 'n2', port: portTwo, peers });
    expect((await get(joined.url)).uuid).toBe(uuid);
  });
});

describe('a mistake', () => {
  const fails = async (argv: readonly string[], environment: Record<string, string> = {}) => {
    const cwd = await harness.temporaryDirectory();
    const { exited, output } = harness.run(argv, { cwd, environment });
    return { code: await exited, text: output(), cwd };
  };

  test.each([
    [['serv'], 'did you mean serve?'],
    [['serve', '--lisen', '127.0.0.1:0'], 'did you mean --listen?'],
    [['serve', '--listen', '0.0.0.0:5984'], '--admin USER:PASSWORD'],
    [['serve', '--peers', 'n1=http://127.0.0.1:1,n2=http://10.0.0.2:5984'], '--secret-file'],
    [['serve', '--config', 'absent.json'], 'Cannot read the config file'],
  ])('in %j ends with 2 and one line that helps', async (argv, help) => {
    const { code, text, cwd } = await fails(argv);
    expect(code).toBe(2);
    expect(text).toMatch(/^tercet: [^\n]+\n$/);
    expect(text).toContain(help);
    expect(readdirSync(cwd)).toEqual([]);
  });

  test('a port that is taken is told with the flag to change, and nothing stays open', async () => {
    const node = await harness.startNode();
    const { code, text } = await fails(['serve', '--listen', `127.0.0.1:${node.port}`, '--data', 'data']);
    expect(code).toBe(2);
    expect(text).toContain('--listen 127.0.0.1:PORT');
  });

  test('a data directory in use, or of another node, is told', async () => {
    const node = await harness.startNode();
    const inUse = await fails(['serve', '--listen', '127.0.0.1:0', '--data', node.dataDirectory]);
    expect(inUse).toMatchObject({ code: 1, text: expect.stringContaining('in use') });
    await node.stop();
    const foreign = await fails([
      'serve',
      '--node',
      'n9',
      '--listen',
      '127.0.0.1:0',
      '--data',
      node.dataDirectory,
    ]);
    expect(foreign).toMatchObject({
      code: 2,
      text: expect.stringContaining('belongs to the node n1, not to n9'),
    });
  });

  test('a damaged node.json is told, not replaced', async () => {
    const cwd = await harness.temporaryDirectory();
    const first = await harness.startNode({ dataDirectory: join(cwd, 'data') });
    await first.stop();
    await writeFile(join(cwd, 'data', 'node.json'), '{"node":');
    const { exited, output } = harness.run(['serve', '--listen', '127.0.0.1:0', '--data', 'data'], { cwd });
    expect(await exited).toBe(2);
    expect(output()).toContain('node.json is damaged');
  });
});

test('help and version come without starting anything', async () => {
  const cwd = await harness.temporaryDirectory();
  await mkdir(join(cwd, 'empty'));
  for (const [argv, text] of [
    [['--help'], 'usage: tercet COMMAND'],
    [[], 'usage: tercet COMMAND'],
    [['serve', '--help'], '--secret-file FILE'],
    [['dev', '--help'], '--fresh'],
    [['status', '--help'], '--url URL'],
    [['promote', '--help'], 'promote NODE'],
    [['--version'], '0.'],
  ] as const) {
    const { exited, stdout } = harness.run(argv, { cwd });
    expect(await exited).toBe(0);
    expect(stdout()).toContain(text);
  }
  expect(existsSync(join(cwd, 'data'))).toBe(false);
});
