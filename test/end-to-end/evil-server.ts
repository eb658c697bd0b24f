/** A server that a replication should not have been pointed at: each path begins with the way in which it misbehaves. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';

export interface EvilServer {
  /** Of a database that misbehaves so. */
  url(behaviour: Behaviour): string;
  /** Speaks no HTTP. */
  readonly noiseUrl: string;
  /** Connections open now, over all behaviours. */
  connections(): number;
  close(): Promise<void>;
}

type Answer = (response: ServerResponse, path: string) => void;

/** A database of a thousand documents until the replication has got somewhere; then what its name says. */
const behaviours = {
  /** Accepts and never says a word. */
  silent: () => undefined,
  /** Sends a byte now and then, for ever. */
  trickles: (response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{"db_name":"');
    const timer = setInterval(() => response.write('x'), 50);
    response.once('close', () => clearInterval(timer));
  },
  /** A reply without an end, as fast as it is taken. */
  endless: (response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{"db_name":"');
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(1_000_000)));
    };
    response.on('drain', more);
    more();
  },
  html: (response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Please log in</html>');
  },
  redirects: (response, path) => {
    response.writeHead(302, { location: path }).end();
  },
  failing: (response) => {
    response.writeHead(500).end('{"error":"unknown_error","reason":"function_clause"}');
  },
  /** Hangs up in the middle of a reply. */
  vanishes: (response) => {
    response.writeHead(200, { 'content-length': 100 }).write('{"db_name":', () => response.socket?.destroy());
  },
  wrongTypes: (response, path) => {
    answerJson(response, path.includes('_changes') ? { results: { length: 10 }, last_seq: {} } : {});
  },
  /** Names revisions that are none. */
  wrongRevisions: (response, path) => {
    const results = [{ seq: 1, id: '__proto__', changes: [{ rev: '../../x' }] }];
    answerJson(response, path.includes('_changes') ? { results, last_seq: 1, pending: 0 } : {});
  },
  /** Sends documents that no client could write. */
  wrongDocuments: (response, path) => {
    const rev = `1-${'a'.repeat(32)}`;
    const ids = ['deep', '_nonsense', 'x'.repeat(10_000), 'other'];
    if (path.includes('_changes')) {
      const results = ids.map((id, n) => ({ seq: n + 1, id, changes: [{ rev }] }));
      answerJson(response, { results: path.includes('since=0') ? results : [], last_seq: 4, pending: 0 });
    } else if (path.includes('_bulk_get')) {
      const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
      const members = `"_rev":"${rev}","_revisions":{"start":1,"ids":["${'a'.repeat(32)}"]},"a":{"__proto__":{"a":1}}`;
      const docs = ids.map((id) => `{"_id":"${id}",${members}${id === 'deep' ? `,"deep":${deep}` : ''}}`);
      response.end(`{"results":[${docs.map((doc) => `{"docs":[{"ok":${doc}}]}`).join(',')}]}`);
    } else answerJson(response, {});
  },
} satisfies Record<string, Answer>;

export type Behaviour = keyof typeof behaviours;
export const allBehaviours = Object.keys(behaviours) as Behaviour[];

function answerJson(response: ServerResponse, value: object): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

export async function startEvilServer(): Promise<EvilServer> {
  const sockets = new Set<Socket>();
  const http = createServer((request: IncomingMessage, response) => {
    const path = request.url ?? '';
    const behaviour = path.split('/')[1] as Behaviour;
    response.on('error', () => undefined);
    if (path.includes('/_local/') && request.method === 'GET') {
      response.writeHead(404).end('{"error":"not_found","reason":"missing"}');
    } else behaviours[behaviour](response, path);
  });
  const noise = createTcpServer((socket) => {
    socket.resume().write(Buffer.alloc(10_000, '\x00\x16\x03HTTP/1.1 200\r\r\n'));
  });
  const [url, noiseUrl] = await Promise.all([listen(http, sockets), listen(noise, sockets)]);
  return {
    url: (behaviour) => `${url}/${behaviour}`,
    noiseUrl: `${noiseUrl}/noise`,
    connections: () => sockets.size,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all([http, noise].map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

async function listen(server: Server, sockets: Set<Socket>): Promise<string> {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
