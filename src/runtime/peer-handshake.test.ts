import { createServer } from 'node:http';
import { type AddressInfo, createConnection, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { packFrames } from './peer-frames.ts';
import { targetOf } from './peer-handshake.ts';
import {
  bytesOf,
  closeTestNodes,
  cluster,
  link,
  proverOf,
  startNode,
  startPair,
  type TestNode,
  until,
  untilUp,
} from './test-peers.ts';

afterEach(closeTestNodes);

const run = { cluster, process: 'f0' };

interface Invited {
  readonly target?: string;
  readonly proof?: string;
  readonly upgrade?: string;
}

/** Speaks to `n1` by hand, as `n2` where nothing else is said. */
async function knock(
  n1: TestNode,
  { target, proof, upgrade }: Invited = {},
): Promise<{ socket: Socket; answer: string }> {
  const path = target ?? targetOf({ from: 'n2', to: 'n1', ...run });
  const lines = [
    `GET ${path} HTTP/1.1`,
    ...['Host: n1', 'Connection: Upgrade', `Upgrade: ${upgrade ?? 'tercet-peer/1'}`],
    `Tercet-Peer: ${proof ?? proverOf('n2').prove({ method: 'GET', target: path })}`,
  ];
  const socket = createConnection({ host: '127.0.0.1', port: n1.port });
  socket.on('error', () => socket.destroy());
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const answer = await new Promise<string>((resolve) =>
    socket.once('data', (chunk) => resolve(String(chunk))),
  );
  return { socket, answer };
}

async function reasonOf(n1: TestNode, invited: Invited): Promise<string> {
  const { socket, answer } = await knock(n1, invited);
  await until(() => expect(socket.destroyed).toBe(true));
  const logged = n1.logged.at(-1);
  expect(logged).toMatchObject({ level: 'warn', message: 'refused a peer' });
  const { reason } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as { reason: string };
  expect(logged?.reason).toBe(reason);
  return `${answer.slice(9, 12)} ${reason}`;
}

test('a peer with another secret is refused at both ends with a line that says so', async () => {
  const n1 = await startNode('n1');
  const n2 = await startNode('n2', { secret: 'some other secret' });
  link(n1, n2);
  for (const node of [n1, n2]) {
    const expected = expect.objectContaining({
      level: 'warn',
      reason: expect.stringContaining('need the same secret'),
    });
    await until(() => {
      expect(node.logged).toContainEqual(expected);
      expect(node.logged.map(({ message }) => message)).toContain('no link to a peer');
    });
    expect(node.logged.map(({ message }) => message)).toContain('refused a peer');
  }
  expect(n1.transport.linkState('n2').kind).not.toBe('up');
});

test('a peer of another cluster is refused, and the line names both', async () => {
  const n1 = await startNode('n1');
  const n2 = await startNode('n2', { cluster: 'd'.repeat(32) });
  link(n1, n2);
  await until(() => expect(n1.logged.some(({ message }) => message === 'no link to a peer')).toBe(true));
  const { reason } = n1.logged.find(({ message }) => message === 'no link to a peer') ?? {};
  expect(reason).toContain(`409: This cluster is ${'d'.repeat(32)}, the peer's is "${cluster}"`);
});

test('who is not meant, not known or of another version is refused with the reason', async () => {
  const n1 = await startNode('n1', { peers: ['n2'] });
  const asN2 = (target: string) => ({ target, proof: proverOf('n2').prove({ method: 'GET', target }) });
  expect(await reasonOf(n1, { upgrade: 'tercet-peer/9' })).toContain('426 This node speaks tercet-peer/1');
  expect(await reasonOf(n1, asN2(targetOf({ from: 'n2', to: 'n3', ...run })))).toContain(
    '409 This is n1, not "n3"',
  );
  expect(await reasonOf(n1, asN2(targetOf({ from: 'n3', to: 'n1', ...run })))).toContain(
    '401 The proof is that',
  );
  expect(await reasonOf(n1, { target: '/calendar' })).toContain('404 Peers are met at /_peer');
  const target = targetOf({ from: 'n4', to: 'n1', ...run });
  const stranger = { target, proof: proverOf('n4').prove({ method: 'GET', target }) };
  expect(await reasonOf(n1, stranger)).toContain('403 n1 does not know a peer n4');
});

test('of several versions the first that both speak is taken', async () => {
  const n1 = await startNode('n1', { peers: ['n2'] });
  const { socket, answer } = await knock(n1, { upgrade: 'tercet-peer/2, tercet-peer/1' });
  expect(answer).toMatch(/^HTTP\/1\.1 101 .*Upgrade: tercet-peer\/1\r\n/s);
  socket.destroy();
});

test('an invitation that was overheard is of no use a second time', async () => {
  const n1 = await startNode('n1', { peers: ['n2'] });
  const proof = proverOf('n2').prove({ method: 'GET', target: targetOf({ from: 'n2', to: 'n1', ...run }) });
  const { socket, answer } = await knock(n1, { proof });
  expect(answer).toContain('101');
  expect(await reasonOf(n1, { proof })).toContain('401');
  socket.destroy();
});

test('one who listens at the address of a peer without its secret is told nothing', async () => {
  const heard: Buffer[] = [];
  const impostor = createServer();
  impostor.on('upgrade', (_request, socket) => {
    // Whoever is not believed may be cut off in the middle of a word.
    socket.on('error', () => socket.destroy());
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tercet-peer/1\r\n\r\n');
    socket.on('data', (chunk: Buffer) => heard.push(chunk));
    socket.on('end', () => socket.end());
  });
  await new Promise<void>((resolve) => impostor.listen(0, '127.0.0.1', resolve));
  const n1 = await startNode('n1');
  n1.transport.addPeer({ name: 'n2', url: `http://127.0.0.1:${(impostor.address() as AddressInfo).port}` });
  n1.transport.start();
  await until(() => expect(n1.logged.at(-1)?.reason).toContain('need the same secret'));
  expect(n1.transport.send('n2', 16, bytesOf('a document'))).toBe('link_down');
  await n1.close();
  await new Promise((resolve) => impostor.close(resolve));
  expect(heard).toEqual([]);
});

const tooLong = Buffer.from([0xff, 0xff, 0xff, 0xff, 16, 0, 0, 0, 0]);
const rows = [
  { name: 'text', bytes: Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n') },
  { name: 'a frame beyond the bound', bytes: tooLong },
  {
    name: 'an answer to nothing',
    bytes: Buffer.concat(packFrames([{ kind: 240, id: 1, body: bytesOf('?') }])),
  },
  { name: 'kind 0', bytes: Buffer.alloc(9) },
];

test.each(rows)('$name instead of frames closes that stream and nothing else', async ({ bytes }) => {
  const { n1, n2 } = await startPair({ n1: { peers: ['n3'] } });
  const target = targetOf({ from: 'n3', to: 'n1', ...run });
  const { socket } = await knock(n1, { target, proof: proverOf('n3').prove({ method: 'GET', target }) });
  socket.write(bytes);
  await until(() => expect(socket.destroyed).toBe(true));
  expect(n1.logged.at(-1)?.reason).toMatch(/^the peer sent a frame of/);
  await n2.transport.request('n1', 16, bytesOf('still there'), { timeoutMs: 20_000 });
  expect(n1.received).toEqual([]);
  expect(n1.defects).toEqual([]);
});

test('a second stream of a peer replaces its first', async () => {
  const n1 = await startNode('n1', { peers: ['n2'] });
  const first = await knock(n1);
  const second = await knock(n1);
  await until(() => expect(first.socket.destroyed).toBe(true));
  second.socket.write(Buffer.concat(packFrames([{ kind: 16, id: 0, body: bytesOf('on the second') }])));
  await until(() => expect(n1.received.map(({ text }) => text)).toEqual(['on the second']));
  second.socket.destroy();
});

test('a node that is removed from the peers is let go, and refused from then on', async () => {
  const { n1, n2 } = await startPair();
  await n1.transport.removePeer('n2');
  expect(n1.transport.linkState('n2')).toEqual({ kind: 'down', reason: 'no peer', isRefused: false });
  await until(() => expect(n2.logged.at(-1)?.reason).toContain('403: n1 does not know a peer n2'));
  n1.transport.addPeer({ name: 'n2', url: n2.url });
  await untilUp(n1, n2);
  await untilUp(n2, n1);
});
