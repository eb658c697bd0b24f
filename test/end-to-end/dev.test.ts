import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { consecutivePorts } from '../ports.ts';
import { openHarness, type TestProcess, waitUntil } from './harness.ts';
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

async function startDev(cwd: string, flags: readonly string[]): Promise<TestProcess & { rows: Row[] }> {
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

/** Waits for it to answer, as somebody would before the next thing to try. */
async function untilUp({ name, url }: Row): Promise<unknown> {
  return waitUntil(`${name} answers`, () =>
    fetch(`${url}/_up`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
}

/** The pid of what the lines leave running: somebody's shell would show it, and here it must not keep the pipe open. */
async function startByHand(lines: string, cwd: string): Promise<{ output: string; pid: number }> {
  const file = join(cwd, 'pid');
  const output = await paste(lines.replace(/ &$/m, ` >>${file}.log 2>&1 & echo $! >${file}`), cwd);
  return { output, pid: Number(await readFile(file, 'utf8')) };
}

/** Starts a node that was killed with the line that dev prints for it. */
async function startAgain(dev: TestProcess, { name }: Row, cwd: string): Promise<number> {
  const printed = new RegExp(`^${name} was ended by SIGKILL. Start it again with:\n\n   (.*)\n`, 'm');
  const line = await waitUntil(`dev tells how to start ${name}`, () => printed.exec(dev.output())?.[1]);
  return (await startByHand(line, cwd)).pid;
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

interface Shown {
  readonly role: string;
  readonly leader: string | null;
  readonly epochs: readonly { readonly term: number; readonly leader: string }[];
}

const clusterOf = async ({ url }: Row) => (await (await fetch(`${url}/_cluster`)).json()) as Shown;

describe('the things to try, pasted as they are printed', () => {
  let cwd: string;
  let dev: Awaited<ReturnType<typeof startDev>>;
  const byHand = new Map<string, number>();
  const late = (at: Row) => `${at.url}/notes/late`;
  beforeAll(async () => {
    cwd = await harness.temporaryDirectory();
    dev = await startDev(cwd, ['--port', String(await consecutivePorts(3))]);
  }, 90_000);
  afterAll(() => {
    for (const pid of byHand.values()) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
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
    const ledger = (await (await fetch(`${dev.rows[0]!.url}/ledger`)).json()) as Record<string, unknown>;
    expect(ledger).toMatchObject({ doc_count: 36, replication: { strategy: 'single-leader' } });
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

  test('kill one, write on, start it again, see it catch up', async () => {
    const { output, pid } = await startByHand(linesOf(dev.stdout(), 'Kill n2'), cwd);
    byHand.set('n2', pid);
    expect(output).toContain('"text":"while n2 was away"');
    expect(dev.output()).toContain('n2 was ended by SIGKILL. Start it again with:');
    expect(isRunning(dev.rows[1]!.pid)).toBe(false);
    expect(isRunning(dev.child.pid!)).toBe(true);
  }, 120_000);

  test('kill a replica of the carts, write on, start it again, and see it heal', async () => {
    const cart = async ({ url }: Row, query: string) => fetch(`${url}/carts/cart-anna${query}`);
    expect(await (await cart(dev.rows[0]!, '')).json()).toMatchObject({ items: ['bread'] });
    await waitUntil('all replicas answer, also the one that was started by hand', async () => {
      const { headers } = await cart(dev.rows[1]!, '?r=3');
      return headers.get('tercet-consistency') === 'quorum; r=3/3; n1,n2,n3';
    });
    const { output, pid } = await startByHand(linesOf(dev.stdout(), 'Kill a replica'), cwd);
    byHand.set('n3', pid);
    expect(output).toContain('HTTP/1.1 201 Created');
    expect(output).toMatch(/Tercet-Quorum: w=2\/3; (n1,n2|n2,n1)/);
    // Written at n1, read at n2 and n3 by a majority, then at n3 alone.
    expect(output.match(/"items":\["bread"\]/g)).toHaveLength(3);
    expect(output).toContain('Tercet-Consistency: eventual; r=1/3; n3');
  }, 120_000);

  test('kill the leader of the ledger, write on through another node, and see the new epoch', async () => {
    const before = await waitUntil('all follow one leader', async () => {
      const [first, ...others] = await Promise.all(dev.rows.map(clusterOf));
      return first!.leader !== null && others.every(({ leader }) => leader === first!.leader) && first;
    });
    // Whom dev named led when it did.
    const named = /^(n\d) .* leads /m.exec(dev.stdout())?.[1];
    expect(before.epochs.map(({ leader }) => leader.replace(/#.*/, ''))).toContain(named);
    const leader = dev.rows.find(({ name }) => name === before.leader)!;
    const others = dev.rows.filter((row) => row !== leader);

    const written = JSON.parse(await paste(linesOf(dev.stdout(), 'Kill the leader'), cwd)) as { id: string };
    const read = await fetch(`${others[0]!.url}/ledger/${written.id}`);
    expect(await read.json()).toMatchObject({ from: 'anna', to: 'bakery', amount_cents: 480 });

    const shown = await paste(linesOf(dev.stdout(), 'See who leads now'), cwd);
    const next = /^(n\d) leads in term (\d+), with a quorum/m.exec(shown);
    expect(next?.[1]).not.toBe(leader.name);
    const { epochs } = JSON.parse(`{${/"epochs":.*/.exec(shown)}}`) as Shown;
    expect(epochs.length).toBeGreaterThan(before.epochs.length);
    expect(epochs.at(-1)?.leader).toContain(next?.[1]);
    expect(epochs.at(-1)?.term).toBe(Number(next?.[2]));
    byHand.set(leader.name, await startAgain(dev, leader, cwd));
    await untilUp(leader);
  }, 120_000);

  test('what was started by hand ends with the Ctrl-C of dev', async () => {
    expect((await fetch(late(dev.rows[1]!), { method: 'PUT', body: '{}' })).status).toBe(201);
    expect(await stop(dev)).toBe(0);
    expect(dev.rows.some(({ pid }) => isRunning(pid))).toBe(false);
    expect([...byHand.keys()]).toEqual(expect.arrayContaining(['n2', 'n3']));
    for (const [name, pid] of byHand) {
      expect(dev.output()).toContain(`Stopping ${name} too, which was started by hand (process ${pid})`);
      await waitUntil(`${name}, started by hand, has stopped`, () => !isRunning(pid));
    }
  }, 60_000);

  test('the next start finds what that acknowledged, and no node outlives a dev that is killed', async () => {
    const next = await startDev(cwd, ['--port', '0']);
    expect((await fetch(late(next.rows[1]!))).status).toBe(200);
    next.child.kill('SIGKILL');
    await waitUntil('its nodes have stopped', () => !next.rows.some(({ pid }) => isRunning(pid)));
  }, 120_000);
});

describe('one node, which shows as well as three what dev does with its directory and its ports', () => {
  let cwd: string;
  let dev: Awaited<ReturnType<typeof startDev>>;
  const alone = (...flags: readonly string[]) => startDev(cwd, ['--nodes', '1', ...flags]);
  const refused = async () => {
    const second = harness.run(['dev', '--nodes', '1', '--port', '0', '--fresh'], { cwd });
    expect(await second.exited).toBe(2);
    return second.output();
  };
  const mine = () => fetch(`${dev.rows[0]!.url}/notes/mine`);
  let events: number;
  beforeAll(async () => {
    cwd = await harness.temporaryDirectory();
  });

  test('ports that are taken are skipped, and that is said', async () => {
    // dev takes one of the next, at which no other node of these tests is to be met then.
    const port = await consecutivePorts(10);
    const blocker: Server = createServer();
    await new Promise<void>((resolve) => blocker.listen(port, '127.0.0.1', resolve));
    try {
      dev = await alone('--port', String(port));
    } finally {
      blocker.close();
    }
    expect(dev.rows).toHaveLength(1);
    expect(dev.rows.every(({ url }) => Number(new URL(url).port) > port)).toBe(true);
    expect(dev.output()).toMatch(new RegExp(`Ports? ${port}.* taken by other programs; using`));
  }, 90_000);

  test('data in use by a dev in another terminal is left to it', async () => {
    expect(await refused()).toContain(`already (process ${dev.child.pid})`);
    const { url } = dev.rows[0]!;
    events = await count(url);
    expect(events).toBeGreaterThan(9_000);
    expect((await fetch(`${url}/notes/mine`, { method: 'PUT', body: '{"text":"kept"}' })).status).toBe(201);
    const { rows } = (await (await fetch(`${url}/calendar/_all_docs?limit=1`)).json()) as {
      rows: { id: string; value: { rev: string } }[];
    };
    const [{ id, value }] = rows as [(typeof rows)[0]];
    const event = `${url}/calendar/${encodeURIComponent(id)}?rev=${value.rev}`;
    expect((await fetch(event, { method: 'DELETE' })).status).toBe(200);
    expect(await stop(dev)).toBe(0);
    expect(dev.rows.some(({ pid }) => isRunning(pid))).toBe(false);
  }, 90_000);

  test('data in use by a process that dev cannot know is not deleted', async () => {
    const node = await harness.startNode({ name: 'n1', dataDirectory: join(cwd, '.tercet', 'n1') });
    expect(await refused()).toContain(`${join('.tercet', 'n1')} is in use by a process`);
    expect((await fetch(`${node.url}/calendar`)).status).toBe(200);
    expect(await node.stop()).toBe(0);
    expect(existsSync(join(cwd, '.tercet', 'n1', 'FORMAT'))).toBe(true);
  }, 90_000);

  test('the next start finds the data and loads nothing again; a fresh one stops what was left and starts over', async ({
    onTestFinished,
  }) => {
    const port = ['--port', String(await consecutivePorts(1))];
    dev = await alone(...port);
    const [row] = dev.rows as [Row];
    expect(await (await mine()).json()).toMatchObject({ text: 'kept' });
    expect(await count(row.url)).toBe(events - 1);
    process.kill(row.pid, 'SIGKILL');
    const byHand = await startAgain(dev, row, cwd);
    onTestFinished(() => {
      if (isRunning(byHand)) process.kill(byHand, 'SIGKILL');
    });
    await untilUp(row);
    // It has no node of its own any more, and stays all the same.
    expect([dev.child.exitCode, dev.child.signalCode]).toEqual([null, null]);
    dev.child.kill('SIGKILL');
    await dev.exited;
    expect(isRunning(byHand)).toBe(true);

    await writeFile(join(cwd, '.tercet', 'of-mine.txt'), 'not made by dev');
    dev = await alone(...port, '--fresh');
    expect(dev.output()).toContain(`n1 still runs since an earlier start (process ${byHand}); stopping it`);
    await waitUntil('the node started by hand has stopped', () => !isRunning(byHand));
    expect(dev.output()).not.toContain('taken by other programs');
    expect(dev.rows[0]!.url).toBe(row.url);
    expect([(await mine()).status, await count(row.url)]).toEqual([404, events]);
    expect(existsSync(join(cwd, '.tercet', 'of-mine.txt'))).toBe(true);
    expect(await stop(dev)).toBe(0);
  }, 180_000);
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

test.each([
  [['--nodes', '0'], '--nodes must be a whole number from 1 to 9'],
  [['--port', 'x'], '--port must be a whole number'],
  [['--frsh'], 'did you mean --fresh?'],
])('dev %j is refused', async (flags, message) => {
  const { exited, output } = harness.run(['dev', ...flags], { cwd: await harness.temporaryDirectory() });
  expect(await exited).toBe(2);
  expect(output()).toContain(message);
});
