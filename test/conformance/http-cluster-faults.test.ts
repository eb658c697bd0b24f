/** Leaders that vanish, fall silent or answer by halves, played by bare sockets behind a real follower. */

import { createServer, type Server, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { type FakeNode, startFakeNode } from './fake-cluster.ts';

type Play = (socket: Socket, received: string) => void;

let follower: FakeNode;
let leader: Server;
let url: string;
let play: Play;
const sockets = new Set<Socket>();
let received = '';

beforeAll(async () => {
  leader = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      received = text;
      play(socket, text);
    });
    // The follower may cut the connection first: that is its right.
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => leader.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(leader.address() as { port: number }).port}`;
  follower = await startFakeNode('n2', { peers: [{ name: 'n1', url }] });
  expect((await follower.app.request('PUT', '/ledger?strategy=single-leader')).status).toBe(201);
  follower.group.place = { kind: 'there', name: 'n1', url };
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await expect.poll(() => sockets.size).toBe(0);
  // A turn of the loop, in which the follower notices that its connections are closed.
  await follower.app.request('GET', '/livez');
  follower.group.place = { kind: 'there', name: 'n1', url };
  received = '';
});
afterAll(async () => {
  await follower.app.close();
  leader.close();
  expect(follower.app.defects).toEqual([]);
});

async function put(body: unknown = { a: 1 }): Promise<[number, string, string | null]> {
  const { status, json, headers } = await follower.app.request('PUT', '/ledger/doc', body);
  return [status, json.error, headers.get('tercet-write')];
}

const isWhole = (text: string): boolean => text.endsWith('{"a":1}');
const written = '{"ok":true,"id":"doc","rev":"1-a"}';
const answer = (body: string): string =>
  `HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

it('a leader that vanishes with the whole request leaves its outcome unknown', async () => {
  play = (socket, text) => isWhole(text) && socket.destroy();
  expect(await put()).toEqual([503, 'write_outcome_unknown', 'unknown']);
});

/** Until `text` has come; then nothing more is said for as long as a promotion is waited for. */
async function promoteAndWait(path: string, body: object | undefined, hasCome: (text: string) => boolean) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const asked = new Promise<void>((resolve) => {
      const before = play;
      play = (socket, text) => {
        before(socket, text);
        if (hasCome(text)) resolve();
      };
    });
    const promoting = follower.app.request('POST', `/_cluster/promote${path}`, body);
    await asked;
    await vi.advanceTimersByTimeAsync(10_000);
    const { status, json, headers } = await promoting;
    return { error: `${status} ${json.error}`, reason: json.reason, outcome: headers.get('tercet-write') };
  } finally {
    vi.useRealTimers();
  }
}

it.each([
  ['', { node: 'n1' }],
  ['?node=n1', undefined],
])(
  'a node that is told to lead while it is paused has not heard it when it goes on: %s',
  async (path, body) => {
    play = () => undefined;
    const answered = await promoteAndWait(path, body, (text) => text.endsWith('\r\n\r\n'));
    expect(answered).toEqual({
      ...{ error: '503 service_unavailable', outcome: 'did_not_happen' },
      reason: 'n1 does not answer; nothing was changed, and it will not stand for it later.',
    });
    // Its whole request has come by then, but for what is to be done: that is told to one who asks.
    await expect.poll(() => sockets.size).toBe(0);
    expect(received).toMatch(/^expect: 100-continue\r$/im);
    expect(received).toMatch(/\r\n\r\n$/);
  },
);

it('a node that has heard that it is to lead, and says nothing, is not waited for without end', async () => {
  play = (socket, text) => text.endsWith('\r\n\r\n') && socket.write('HTTP/1.1 100 Continue\r\n\r\n');
  const answered = await promoteAndWait('', { node: 'n1' }, (text) => text.endsWith('{"node":"n1"}'));
  expect(answered).toMatchObject({ error: '503 write_outcome_unknown', outcome: 'unknown' });
  expect(answered.reason).toContain('n1 does not answer, and may still stand for it later');
});

it('a write waits for a leader once, whatever it tries', async () => {
  follower.group.place = { kind: 'none' };
  follower.group.forwardsEdits = true;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const startedAt = performance.now();
  const now = vi.spyOn(performance, 'now').mockReturnValue(startedAt);
  try {
    const writing = put();
    while (follower.group.listening() < 2) await setImmediate();
    now.mockReturnValue(startedAt + 2_000);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await writing).toEqual([503, 'no_leader', 'did_not_happen']);
  } finally {
    now.mockRestore();
    vi.useRealTimers();
    follower.group.forwardsEdits = false;
  }
});

it('so does one that resets a connection that was used before', async () => {
  play = (socket) => socket.write(answer(written));
  expect((await put())[0]).toBe(201);
  play = (socket) => socket.resetAndDestroy();
  expect(await put()).toEqual([503, 'write_outcome_unknown', 'unknown']);
});

it('a leader that nobody can reach has not heard of the write', async () => {
  const gone = createServer();
  await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
  const { port } = gone.address() as { port: number };
  await new Promise((resolve) => gone.close(resolve));
  follower.group.place = { kind: 'there', name: 'n1', url: `http://127.0.0.1:${port}` };
  expect(await put()).toEqual([503, 'no_leader', 'did_not_happen']);
});

it('a write goes to the next leader when the last one cannot be reached', async () => {
  play = (socket, text) => isWhole(text) && socket.write(answer(written));
  follower.group.place = { kind: 'there', name: 'n3', url: 'http://127.0.0.1:1' };
  const writing = put();
  await expect.poll(() => follower.group.listening()).toBe(2);
  follower.group.lead({ kind: 'there', name: 'n1', url });
  expect((await writing)[0]).toBe(201);
});

it('a write whose body was still on its way did not happen', async () => {
  play = (socket, text) => text.includes('first part') && socket.destroy();
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(Buffer.from('first part')),
  });
  const response = await fetch(`${follower.app.url}/ledger/doc/large.bin`, {
    ...{ method: 'PUT', body, duplex: 'half' as const },
  });
  expect(response.status).toBe(503);
  expect(response.headers.get('tercet-write')).toBe('did_not_happen');
  expect(((await response.json()) as { error: string }).error).toBe('service_unavailable');
});

it('half an answer is not passed off as a whole one', async () => {
  play = (socket, text) => {
    if (!isWhole(text)) return;
    socket.write(answer(written).slice(0, -5), () => socket.destroy());
  };
  await expect(follower.app.request('PUT', '/ledger/doc', { a: 1 })).rejects.toThrow();
});

it('a leader that falls silent is waited for until another one leads', async () => {
  let isAsked = false;
  play = (_socket, text) => {
    isAsked ||= isWhole(text);
  };
  const writing = put();
  await expect.poll(() => isAsked).toBe(true);
  follower.group.lead({ kind: 'there', name: 'n3', url: 'http://127.0.0.1:1' });
  expect(await writing).toEqual([503, 'write_outcome_unknown', 'unknown']);
});

it('a leader that is doubted for a moment goes on', async () => {
  let answerLater: () => void = () => undefined;
  play = (socket, text) => {
    if (isWhole(text)) answerLater = () => void socket.write(answer(written));
  };
  const writing = put();
  await expect.poll(() => isWhole(received)).toBe(true);
  follower.group.lead({ kind: 'none' });
  follower.group.lead({ kind: 'there', name: 'n1', url });
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  answerLater();
  expect((await writing)[0]).toBe(201);
});

it('a client that leaves takes its request back from the leader', async () => {
  let isClosed = false;
  play = (socket) =>
    socket.once('close', () => {
      isClosed = true;
    });
  const leaving = new AbortController();
  const writing = fetch(`${follower.app.url}/ledger/doc`, {
    ...{ method: 'PUT', body: '{"a":1}', signal: leaving.signal },
  });
  await expect.poll(() => isWhole(received)).toBe(true);
  leaving.abort();
  await expect(writing).rejects.toThrow();
  await expect.poll(() => isClosed).toBe(true);
});

it('the leader gets what the client sent, the proof of the follower and no credentials', async () => {
  play = (socket, text) => isWhole(text) && socket.write(answer(written));
  await follower.app.request(
    'PUT',
    '/ledger/a%2Fb?ack=sync&x=%20',
    { a: 1 },
    {
      ...{ authorization: 'Basic !!', cookie: 'a=b', 'x-custom': 'kept', 'if-match': '1-a' },
      ...{ 'tercet-on-behalf-of': 'forged', 'content-type': 'application/json' },
    },
  );
  const [line, ...rest] = received.split('\r\n');
  const headers = rest.join('\n').toLowerCase();
  expect(line).toBe('PUT /ledger/a%2Fb?ack=sync&x=%20 HTTP/1.1');
  for (const kept of ['x-custom: kept', 'if-match: 1-a', 'tercet-forwarded: n2', 'content-length: 7']) {
    expect(headers).toContain(kept);
  }
  expect(headers).toMatch(/tercet-peer: n2 \d+ /);
  expect(headers).not.toMatch(/authorization|cookie|forged|transfer-encoding/);
});
