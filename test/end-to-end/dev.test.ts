import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { consecutivePorts, freePorts, openHarness, type TestProcess, waitUntil } from './harness.ts';
import { makeSample } from './sample.ts';

const runFile = promisify(execFile);
const harness = openHarness();
afterAll(() => harness.close());
// The sample takes some seconds to make, once per checkout and year.
beforeAll(makeSample, 120_000);

interface Row {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
}

async function startDev(
  cwd: string,
  flags: readonly string[] = ['--port', '0'],
): Promise<TestProcess & { rows: Row[] }> {
  const started = harness.run(['dev', ...flags], { cwd });
  let exited = false;
  void started.exited.then(() => {
    exited = true;
  });
  await waitUntil(
    'the guide is printed',
    () => {
      if (exited) throw new Error(`dev ended by itself:\n${started.output()}`);
      return started.stdout().includes('Ctrl-C stops all nodes');
    },
    60_000,
  );
  const rows = [...started.stdout().matchAll(/^(n\d) +(http:\S+) +(\d+) /gm)];
  return {
    ...started,
    rows: rows.map(([, name, url, pid]) => ({ name: name!, url: url!, pid: Number(pid) })),
  };
}

/** The lines under the title that begins so, as somebody would paste them. */
function linesOf(guide: string, title: string): string {
  const [, block] = new RegExp(`^\\d\\. ${title}.*\n\n((?:   .*\n)+)`, 'm').exec(guide) ?? [];
  if (block === undefined) throw new Error(`no "${title}" in:\n${guide}`);
  return block.replaceAll(/^ {3}/gm, '');
}

async function paste(lines: string, cwd: string): Promise<string> {
  const { stdout } = await runFile('bash', ['-e', '-c', lines], { cwd, timeout: 90_000, maxBuffer: 1e8 });
  return stdout;
}

async function stop({ child, exited }: TestProcess): Promise<number | null> {
  child.kill('SIGINT');
  return exited;
}

const count = async (url: string) =>
  ((await (await fetch(`${url}/calendar`)).json()) as { doc_count: number }).doc_count;
const isRunning = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('the things to try, pasted as they are printed', () => {
  let cwd: string;
  let dev: Awaited<ReturnType<typeof startDev>>;
  beforeAll(async () => {
    cwd = await harness.temporaryDirectory();
    dev = await startDev(cwd);
  }, 90_000);
  afterAll(async () => {
    expect(await stop(dev)).toBe(0);
  });

  test('three processes with the sample on all of them, told without control characters', async () => {
    expect(dev.rows.map(({ name }) => name)).toEqual(['n1', 'n2', 'n3']);
    const counts = await Promise.all(dev.rows.map(({ url }) => count(url)));
    expect(counts[0]).toBeGreaterThan(9_000);
    expect(new Set(counts).size).toBe(1);
    expect(dev.rows.every(({ pid }) => isRunning(pid))).toBe(true);
    // The number that is shown is the number that is there, for the years that are named.
    const shown = counts[0]!.toLocaleString('en');
    expect(dev.output()).toMatch(
      new RegExp(`calendar \\(${shown} public holidays of \\d+ countries, \\d{4} to \\d{4}\\)`),
    );
    expect(dev.output().replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    expect(dev.output()).toContain(join(cwd, '.tercet', 'n2'));
  });

  test('write on one, read on another', async () => {
    expect(await paste(linesOf(dev.stdout(), 'Write on'), cwd)).toContain('"text":"written on n1"');
  });

  test('read the changes feed', async () => {
    const answer = JSON.parse(await paste(linesOf(dev.stdout(), 'Read the changes feed'), cwd));
    expect(answer.results).toHaveLength(5);
    expect(answer.results[0].doc).toBeDefined();
  });

  test('sync a PouchDB, and the second time copies nothing', async () => {
    const line = linesOf(dev.stdout(), 'Sync a PouchDB');
    const total = await count(dev.rows[0]!.url);
    expect(await paste(line, cwd)).toBe(`${total} documents pulled, 0 pushed\n`);
    expect(await paste(line, cwd)).toBe('0 documents pulled, 0 pushed\n');
  }, 120_000);

  test('kill a replica of the carts, write on, start it again, and see it heal', async () => {
    const cart = async ({ url }: Row, query: string) => fetch(`${url}/carts/cart-anna${query}`);
    expect(await (await cart(dev.rows[1]!, '')).json()).toMatchObject({ items: ['bread'] });
    expect((await cart(dev.rows[1]!, '?r=3')).headers.get('tercet-consistency')).toBe(
      'quorum; r=3/3; n1,n2,n3',
    );
    const lines = linesOf(dev.stdout(), 'Kill a replica').replace(/ &$/m, ' >>n3.log 2>&1 & echo $! >pid3');
    const output = await paste(lines, cwd);
    const byHand = Number(await readFile(join(cwd, 'pid3'), 'utf8'));
    try {
      expect(output).toContain('HTTP/1.1 201 Created');
      expect(output).toMatch(/Tercet-Quorum: w=2\/3; (n1,n2|n2,n1)/);
      // Written at n1, read at n2 and n3 by a majority, then at n3 alone.
      expect(output.match(/"items":\["bread"\]/g)).toHaveLength(3);
      expect(output).toContain('Tercet-Consistency: eventual; r=1/3; n3');
    } finally {
      process.kill(byHand, 'SIGTERM');
    }
    await waitUntil('the node started by hand has stopped', () => !isRunning(byHand));
  }, 120_000);

  test('kill one, write on, start it again, see it catch up', async () => {
    // Somebody's shell would show the process; here it must not keep the pipe open, and must be ended afterwards.
    const lines = linesOf(dev.stdout(), 'Kill n2').replace(/ &$/m, ' >>n2.log 2>&1 & echo $! >pid');
    const output = await paste(lines, cwd);
    const byHand = Number(await readFile(join(cwd, 'pid'), 'utf8'));
    try {
      expect(output).toContain('"text":"while n2 was away"');
      expect(dev.output()).toContain('n2 was ended by SIGKILL. Start it again with:');
      expect(isRunning(dev.rows[1]!.pid)).toBe(false);
      expect(isRunning(dev.child.pid!)).toBe(true);
    } finally {
      process.kill(byHand, 'SIGTERM');
    }
    await waitUntil('the node started by hand has stopped', () => !isRunning(byHand));
  }, 120_000);
});

/** Where one node shows as well as three what dev does with its directory and its ports. */
const alone = ['--nodes', '1', '--port', '0'];

test('the next start finds the data, and --fresh starts over with what dev made itself', async () => {
  const cwd = await harness.temporaryDirectory();
  const first = await startDev(cwd, alone);
  const { url } = first.rows[0]!;
  const written = await fetch(`${url}/notes/mine`, { method: 'PUT', body: '{"text":"kept"}' });
  expect(written.status).toBe(201);
  expect(await stop(first)).toBe(0);
  expect(first.rows.some(({ pid }) => isRunning(pid))).toBe(false);

  const second = await startDev(cwd, alone);
  expect(await (await fetch(`${second.rows[0]!.url}/notes/mine`)).json()).toMatchObject({ text: 'kept' });
  expect(second.output()).not.toContain('Loading sample data');
  await stop(second);

  await writeFile(join(cwd, '.tercet', 'of-mine.txt'), 'not made by dev');
  const third = await startDev(cwd, [...alone, '--fresh']);
  expect((await fetch(`${third.rows[0]!.url}/notes/mine`)).status).toBe(404);
  expect(existsSync(join(cwd, '.tercet', 'of-mine.txt'))).toBe(true);
  await stop(third);
}, 180_000);

describe('a node that was started by hand, as dev invites to', () => {
  /** Kills n2 and starts it again in another session than dev's, with the printed line. */
  async function restartByHand(dev: Awaited<ReturnType<typeof startDev>>, cwd: string): Promise<number> {
    const lines = linesOf(dev.stdout(), 'Kill n2').replace(/ &$/m, ' >>n2.log 2>&1 & echo $! >pid');
    await paste(lines, cwd);
    return Number(await readFile(join(cwd, 'pid'), 'utf8'));
  }
  const endFor = (pid: number) => () => {
    if (isRunning(pid)) process.kill(pid, 'SIGKILL');
  };

  test('ends with the Ctrl-C of dev, and the next start finds what it acknowledged', async ({
    onTestFinished,
  }) => {
    const cwd = await harness.temporaryDirectory();
    const dev = await startDev(cwd, ['--nodes', '2', '--port', '0']);
    const byHand = await restartByHand(dev, cwd);
    onTestFinished(endFor(byHand));
    const url = dev.rows[1]!.url;
    expect((await fetch(`${url}/notes/late`, { method: 'PUT', body: '{}' })).status).toBe(201);
    expect(await stop(dev)).toBe(0);
    expect(dev.output()).toContain(`Stopping n2 too, which was started by hand (process ${byHand})`);
    await waitUntil('the node started by hand has stopped', () => !isRunning(byHand));
    const next = await startDev(cwd, ['--nodes', '2', '--port', '0']);
    expect((await fetch(`${next.rows[1]!.url}/notes/late`)).status).toBe(200);
    expect(await stop(next)).toBe(0);
  }, 180_000);

  test('is stopped by a fresh start before its data is deleted, when dev was killed', async ({
    onTestFinished,
  }) => {
    const cwd = await harness.temporaryDirectory();
    const flags = ['--nodes', '2', '--port', String(await consecutivePorts(2))];
    const dev = await startDev(cwd, flags);
    const byHand = await restartByHand(dev, cwd);
    onTestFinished(endFor(byHand));
    dev.child.kill('SIGKILL');
    await dev.exited;
    const next = await startDev(cwd, [...flags, '--fresh']);
    expect(next.output()).toContain(`n2 still runs since an earlier start (process ${byHand}); stopping it`);
    expect(next.output()).not.toContain('taken by other programs');
    expect(next.rows.map(({ url }) => url)).toEqual(dev.rows.map(({ url }) => url));
    await waitUntil('the node started by hand has stopped', () => !isRunning(byHand));
    expect(await stop(next)).toBe(0);
  }, 180_000);
});

test('kill the leader of the ledger, write on through another node, and see the new epoch', async () => {
  interface Shown {
    readonly leader: string | null;
    readonly epochs: readonly { readonly term: number; readonly leader: string }[];
  }
  const cwd = await harness.temporaryDirectory();
  const dev = await startDev(cwd);
  const leader = /^(n\d) .* leads /m.exec(dev.stdout())?.[1];
  const ledger = (await (await fetch(`${dev.rows[0]!.url}/ledger`)).json()) as Record<string, unknown>;
  expect(ledger).toMatchObject({ doc_count: 36, replication: { strategy: 'single-leader' } });
  const other = dev.rows.find(({ name }) => name !== leader)!;
  const before = (await (await fetch(`${other.url}/_cluster`)).json()) as Shown;
  expect(before.leader).toBe(leader);

  const written = JSON.parse(await paste(linesOf(dev.stdout(), 'Kill the leader'), cwd)) as { id: string };
  await waitUntil('dev tells of it', () => dev.output().includes(`${leader} was ended by SIGKILL`));
  const read = await fetch(`${other.url}/ledger/${written.id}`);
  expect(await read.json()).toMatchObject({ from: 'anna', to: 'bakery', amount_cents: 480 });

  const shown = await paste(linesOf(dev.stdout(), 'See who leads now'), cwd);
  const next = /^(n\d) leads in term (\d+), with a quorum/m.exec(shown);
  expect(next?.[1]).not.toBe(leader);
  const { epochs } = JSON.parse(`{${/"epochs":.*/.exec(shown)}}`) as Shown;
  expect(epochs.length).toBe(before.epochs.length + 1);
  expect(epochs.at(-1)?.leader).toContain(next?.[1]);
  expect(epochs.at(-1)?.term).toBe(Number(next?.[2]));
  expect(await stop(dev)).toBe(0);
}, 120_000);

describe('data in use', () => {
  test('by a dev in another terminal is left to it', async () => {
    const cwd = await harness.temporaryDirectory();
    const dev = await startDev(cwd, alone);
    const second = harness.run(['dev', ...alone, '--fresh'], { cwd });
    expect(await second.exited).toBe(2);
    expect(second.output()).toContain(`already (process ${dev.child.pid})`);
    expect(await count(dev.rows[0]!.url)).toBeGreaterThan(9_000);
    expect(await stop(dev)).toBe(0);
  }, 90_000);

  test('by a process that dev cannot know is not deleted', async () => {
    const cwd = await harness.temporaryDirectory();
    const dev = await startDev(cwd, alone);
    expect(await stop(dev)).toBe(0);
    const node = await harness.startNode({ name: 'n1', dataDirectory: join(cwd, '.tercet', 'n1') });
    const second = harness.run(['dev', ...alone, '--fresh'], { cwd });
    expect(await second.exited).toBe(2);
    expect(second.output()).toContain(`${join('.tercet', 'n1')} is in use by a process`);
    expect((await fetch(`${node.url}/calendar`)).status).toBe(200);
    expect(await node.stop()).toBe(0);
    expect(existsSync(join(cwd, '.tercet', 'n1', 'FORMAT'))).toBe(true);
  }, 90_000);
});

test('a directory that dev did not make is left alone', async () => {
  const cwd = await harness.temporaryDirectory();
  await mkdir(join(cwd, '.tercet', 'n1'), { recursive: true });
  await writeFile(join(cwd, '.tercet', 'n1', 'precious'), 'data');
  const { exited, output } = harness.run(['dev', '--fresh', '--port', '0'], { cwd });
  expect(await exited).toBe(2);
  expect(output()).toContain('was not made by "tercet dev"');
  expect(await readFile(join(cwd, '.tercet', 'n1', 'precious'), 'utf8')).toBe('data');
});

test('ports that are taken are skipped, and that is said', async () => {
  const cwd = await harness.temporaryDirectory();
  const [port] = (await freePorts(1)) as [number];
  const blocker: Server = createServer();
  await new Promise<void>((resolve) => blocker.listen(port, '127.0.0.1', resolve));
  try {
    const dev = await startDev(cwd, ['--nodes', '1', '--port', String(port)]);
    expect(dev.rows).toHaveLength(1);
    expect(dev.rows.every(({ url }) => Number(new URL(url).port) > port)).toBe(true);
    expect(dev.output()).toMatch(new RegExp(`Ports? ${port}.* taken by other programs; using`));
    await stop(dev);
  } finally {
    blocker.close();
  }
}, 90_000);

test('no node outlives a dev that is killed', async () => {
  const cwd = await harness.temporaryDirectory();
  const dev = await startDev(cwd, ['--nodes', '2', '--port', '0']);
  dev.child.kill('SIGKILL');
  await waitUntil('its nodes have stopped', () => !dev.rows.some(({ pid }) => isRunning(pid)));
}, 90_000);

test.each([
  [['--nodes', '0'], '--nodes must be a whole number from 1 to 9'],
  [['--port', 'x'], '--port must be a whole number'],
  [['--frsh'], 'did you mean --fresh?'],
])('dev %j is refused', async (flags, message) => {
  const { exited, output } = harness.run(['dev', ...flags], { cwd: await harness.temporaryDirectory() });
  expect(await exited).toBe(2);
  expect(output()).toContain(message);
});
