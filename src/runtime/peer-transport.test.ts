import { afterEach, expect, test } from 'vitest';
import { PeerRefusal } from './peer-acceptor.ts';
import { PeerRequestError } from './peer-link.ts';
import type { Clock } from './ports.ts';
import { systemClock } from './system-clock.ts';
import {
  bytesOf,
  closeTestNodes,
  link,
  startNode,
  startPair,
  startProxy,
  type TestNode,
  until,
  untilUp,
} from './test-peers.ts';

afterEach(closeTestNodes);

const soon = { timeoutMs: 20_000 };

async function failureOf(asked: Promise<Uint8Array>): Promise<PeerRequestError> {
  const error = await asked.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PeerRequestError);
  return error as PeerRequestError;
}

/** Lets `n2` hold what it is asked until told to go on. */
async function startHeld(clock = systemClock) {
  const begun: string[] = [];
  let release: () => void = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const pair = await startPair({
    n1: { clock },
    n2: {
      clock,
      onRequest: async (_from, _kind, bytes) => {
        begun.push(Buffer.from(bytes).toString());
        await released;
        return bytes;
      },
    },
  });
  return { ...pair, begun, release };
}

test('two nodes: messages arrive once, in the order in which they were sent, in both directions', async () => {
  const { n1, n2 } = await startPair();
  const texts = Array.from({ length: 2_000 }, (_, index) => `${index} ${'x'.repeat((index * 37) % 300)}`);
  for (const text of texts) {
    expect(n1.transport.send('n2', 16, bytesOf(text))).toBe('sent');
    expect(n2.transport.send('n1', 17, bytesOf(text))).toBe('sent');
  }
  await until(() => expect(n1.received.length + n2.received.length).toBe(2 * texts.length));
  expect(n2.received).toEqual(texts.map((text) => ({ from: 'n1', kind: 16, text })));
  expect(n1.received).toEqual(texts.map((text) => ({ from: 'n2', kind: 17, text })));
});

test('three nodes: each reaches each, and knows who speaks', async () => {
  const all = [await startNode('n1'), await startNode('n2'), await startNode('n3')] as const;
  link(...all);
  const pairs = all.flatMap((from) => all.filter((to) => to !== from).map((to) => [from, to] as const));
  for (const [from, to] of pairs) {
    await untilUp(from, to);
    from.transport.send(to.name, 1, bytesOf(`${from.name} to ${to.name}`));
    const answer = await from.transport.request(to.name, 2, bytesOf('echo'), soon);
    expect(Buffer.from(answer).toString()).toBe('echo');
  }
  for (const [from, to] of pairs)
    expect(to.received).toContainEqual({ from: from.name, kind: 1, text: `${from.name} to ${to.name}` });
});

test('large and empty bodies are the same on the other side', async () => {
  const { n1 } = await startPair();
  const sizes = [0, 1, 32_767, 32_768, 32_769, 100_000, 5_000_000];
  const bodies = sizes.map((size) => Buffer.alloc(size, size % 251));
  const answers = await Promise.all(bodies.map((body) => n1.transport.request('n2', 9, body, soon)));
  expect(answers.map((answer, index) => bodies[index]?.equals(answer))).toEqual(sizes.map(() => true));
});

test('many small messages of one turn are few writes', async () => {
  const { n1, n2 } = await startPair();
  const count = 20_000;
  const body = bytesOf('y'.repeat(100));
  const chunks: number[] = [];
  for (const socket of n2.sockets) socket.on('data', (chunk) => chunks.push(chunk.length));
  for (let index = 0; index < count; index += 1) n1.transport.send('n2', 16, body);
  await until(() => expect(n2.received).toHaveLength(count));
  expect(chunks.length).toBeLessThan(count / 20);
});

test('a peer that is restarted is found again, and what was sent meanwhile is lost, not late', async () => {
  const { n1, n2 } = await startPair();
  await n2.close();
  await until(() => expect(n1.transport.linkState('n2').kind).not.toBe('up'));
  expect(n1.transport.send('n2', 16, bytesOf('lost'))).toBe('link_down');
  expect(await failureOf(n1.transport.request('n2', 16, bytesOf('lost'), soon))).toMatchObject({
    kind: 'link_down',
    delivery: 'not_delivered',
  });
  const again = await startNode('n2', { port: n2.port });
  link(n1, again);
  await untilUp(n1, again);
  n1.transport.send('n2', 16, bytesOf('found'));
  await until(() => expect(again.received.map(({ text }) => text)).toEqual(['found']));
  expect(n1.states).toContain('n2 down');
  expect(n1.defects).toEqual([]);
});

test('a node dials at once when a peer that it waits for shows up', async () => {
  const patient = { retryMsMin: 600_000, retryMsMax: 600_000 };
  const n1 = await startNode('n1', { limits: patient });
  const n2 = await startNode('n2');
  n1.transport.addPeer({ name: 'n2', url: n2.url });
  n1.transport.start();
  await until(() => expect(n1.logged.at(-1)?.reason).toContain('n2 does not know a peer n1'));
  expect(n1.transport.linkState('n2').kind).toBe('down');
  link(n2, n1);
  await untilUp(n1, n2);
});

test('a request that nobody answers in time may have been done', async () => {
  const { n1, begun, release } = await startHeld();
  const asked = failureOf(n1.transport.request('n2', 16, bytesOf('slow'), { timeoutMs: 50 }));
  expect(await asked).toMatchObject({ kind: 'timed_out', delivery: 'unknown' });
  expect(begun).toEqual(['slow']);
  release();
  expect(Buffer.from(await n1.transport.request('n2', 16, bytesOf('next'), soon)).toString()).toBe('next');
});

test('a request whose stream breaks may have been done', async () => {
  const { n1, n2, begun, release } = await startHeld();
  const asked = failureOf(n1.transport.request('n2', 16, bytesOf('cut'), soon));
  await until(() => expect(begun).toEqual(['cut']));
  for (const socket of n2.sockets) socket.resetAndDestroy();
  expect(await asked).toMatchObject({ kind: 'link_lost', delivery: 'unknown' });
  release();
});

test('what a handler refuses certainly did not happen, what breaks in it may have', async () => {
  const onRequest = (_from: string, kind: number): Uint8Array => {
    throw kind === 1 ? new PeerRefusal('not the leader') : new Error('a bug');
  };
  const { n1, n2 } = await startPair({ n2: { onRequest } });
  const refused = await failureOf(n1.transport.request('n2', 1, bytesOf(''), soon));
  expect(refused).toMatchObject({
    kind: 'refused',
    delivery: 'not_delivered',
    message: 'n2: not the leader',
  });
  const failed = await failureOf(n1.transport.request('n2', 2, bytesOf(''), soon));
  expect(failed).toMatchObject({ kind: 'failed_there', delivery: 'unknown' });
  expect(n2.defects).toEqual([new Error('a bug')]);
});

/** The system's clock, with the timers that are set. */
function countingClock() {
  const waiting = new Set<() => void>();
  const clock: Clock = {
    ...systemClock,
    after(delayMs, callback) {
      const cancel = systemClock.after(delayMs, () => {
        waiting.delete(cancel);
        callback();
      });
      waiting.add(cancel);
      return () => {
        waiting.delete(cancel);
        cancel();
      };
    },
  };
  return { clock, waiting };
}

/** Sends to a peer that does not read until no more fits; says how much that was. */
async function fill(n1: TestNode, body: Buffer): Promise<number> {
  let sent = 0;
  for (let calm = 0; calm < 20; ) {
    const isSent = n1.transport.send('n2', 16, body) === 'sent';
    sent += isSent ? 1 : 0;
    calm = isSent ? 0 : calm + 1;
    // The socket takes some more in every turn, until its buffers are full as well.
    if (!isSent) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return sent;
}

test('what waits for a peer that does not read is bounded, and arrives in order once it reads', async () => {
  const limits = { queueBytesMax: 500_000, flushBytesMax: 100_000 };
  const { n1, n2 } = await startPair({ n1: { limits } });
  for (const socket of n2.sockets) socket.pause();
  const sent = await fill(n1, Buffer.alloc(10_000, 'z'));
  expect(n1.transport.send('n2', 16, Buffer.alloc(10_000))).toBe('queue_full');
  const full = await failureOf(n1.transport.request('n2', 16, Buffer.alloc(600_000), soon));
  expect(full).toMatchObject({ kind: 'queue_full', delivery: 'not_delivered' });
  const waiting = await failureOf(n1.transport.request('n2', 16, bytesOf('small'), { timeoutMs: 30 }));
  expect(waiting).toMatchObject({ kind: 'timed_out', delivery: 'not_delivered' });
  for (const socket of n2.sockets) socket.resume();
  await until(() => expect(n2.received).toHaveLength(sent));
  await n1.transport.request('n2', 16, bytesOf('last'), soon);
  expect(n2.received).toHaveLength(sent);
});

test('more requests than a peer may have at once are refused before they begin', async () => {
  const { n1, n2 } = await startPair({
    n1: { limits: { requestsMax: 2 } },
    n2: { onRequest: () => new Promise(() => {}) },
  });
  const held = [1, 2].map(() => failureOf(n1.transport.request('n2', 16, bytesOf('held'), soon)));
  const third = await failureOf(n1.transport.request('n2', 16, bytesOf('third'), soon));
  expect(third).toMatchObject({ kind: 'queue_full', delivery: 'not_delivered' });
  await n2.close();
  expect((await Promise.all(held)).map(({ delivery }) => delivery)).toEqual(['unknown', 'unknown']);
});

test('a peer that says nothing any more is given up, and found again when it speaks', async () => {
  const limits = { beatMs: 20, silentBeatsMax: 5, connectMsMax: 100 };
  const n1 = await startNode('n1', { limits });
  const n2 = await startNode('n2', { peers: ['n1'], limits });
  const proxy = await startProxy(n2.port);
  n1.transport.addPeer({ name: 'n2', url: proxy.url });
  n1.transport.start();
  await untilUp(n1, n2);
  await n1.transport.request('n2', 16, bytesOf('there?'), soon);
  proxy.setStalled(true);
  await until(() => expect(n1.transport.linkState('n2').kind).not.toBe('up'));
  expect(n1.logged.map(({ reason }) => reason)).toContain('no word from the peer for 100 ms');
  await until(() =>
    expect(n2.logged.map(({ reason }) => reason)).toContain('no word from the peer for 100 ms'),
  );
  proxy.setStalled(false);
  await untilUp(n1, n2);
});

test('closing lets queued messages leave, fails requests, and frees sockets and timers', async () => {
  const { clock, waiting } = countingClock();
  const { n1, n2, begun } = await startHeld(clock);
  const asked = failureOf(n1.transport.request('n2', 16, bytesOf('open'), soon));
  await until(() => expect(begun).toEqual(['open']));
  const texts = Array.from({ length: 500 }, (_, index) => `last ${index} ${'w'.repeat(5_000)}`);
  for (const text of texts) n1.transport.send('n2', 16, bytesOf(text));
  await n1.transport.close();
  expect(await asked).toMatchObject({ kind: 'link_lost', delivery: 'unknown' });
  expect(n2.received.map(({ text }) => text)).toEqual(texts);
  expect(n1.transport.send('n2', 16, bytesOf('after'))).toBe('link_down');
  await n1.close();
  await n2.close();
  expect(waiting.size).toBe(0);
  await until(() => expect(process.getActiveResourcesInfo()).not.toContain('TCPSocketWrap'));
});

test('a second node of a name is refused and told why, as long as the first is there; then it takes its place', async () => {
  const { n1, n2 } = await startPair();
  const second = await startNode('n1');
  second.transport.addPeer({ name: 'n2', url: n2.url });
  second.transport.start();
  const why = /^409: Another node called n1 is connected to n2, from \S*127\.0\.0\.1: /;
  await until(() =>
    expect(second.transport.linkState('n2')).toMatchObject({
      ...{ kind: 'down', isRefused: true, reason: expect.stringMatching(why) },
    }),
  );
  expect(second.logged).toContainEqual({
    ...{ level: 'warn', message: 'no link to a peer', reason: expect.stringMatching(why) },
  });
  expect(n2.logged).toContainEqual({
    ...{
      level: 'warn',
      message: 'refused a peer',
      reason: expect.stringContaining('Another node called n1'),
    },
  });
  expect(n1.transport.linkState('n2').kind).toBe('up');
  expect(n1.states).toEqual(['n2 connecting', 'n2 up']);
  await n1.close();
  await untilUp(second, n2);
});
