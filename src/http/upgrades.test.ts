import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createConnection } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, expect, test } from 'vitest';
import { attachUpgrades } from './upgrades.ts';

const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Answers with what it was asked; upgrades between nodes are closed with one word. */
async function startEcho(): Promise<number> {
  const answers = new WeakMap<Duplex, ServerResponse>();
  const server = createServer((request, response) => {
    answers.set(request.socket, response);
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => response.end(`${request.method} ${request.url} [${body}]`));
  });
  attachUpgrades(server, {
    acceptPeer: (_request, socket) => socket.end('taken over'),
    answerOn: (socket) => answers.get(socket),
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function exchange(port: number, text: string): Promise<string> {
  const socket = createConnection({ host: '127.0.0.1', port });
  socket.end(text);
  let received = '';
  for await (const chunk of socket) received += String(chunk);
  return received;
}

const h2c = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';

test('a request that asks for another protocol is answered as if it had not asked', async () => {
  const answer = await exchange(
    await startEcho(),
    `GET /calendar?x=%C3%A9 HTTP/1.1\r\nHost: a\r\n${h2c}\r\n`,
  );
  expect(answer).toContain('200 OK');
  expect(answer).toContain('GET /calendar?x=%C3%A9 []');
});

test('its body is not lost, nor is the request that follows on the same connection', async () => {
  const first = `POST /calendar HTTP/1.1\r\nHost: a\r\n${h2c}Content-Length: 11\r\n\r\n{"_id":"a"}`;
  const second = `GET /again HTTP/1.1\r\nHost: a\r\n${h2c}\r\n`;
  const third = 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  const answer = await exchange(await startEcho(), first + second + third);
  expect(answer.match(/(GET|POST) .*\]/g)).toEqual([
    'POST /calendar [{"_id":"a"}]',
    'GET /again []',
    'GET /last []',
  ]);
});

test('a request for a stream between nodes is handed over, whatever its version', async () => {
  const request = 'GET /_peer HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tercet-peer/9\r\n\r\n';
  expect(await exchange(await startEcho(), request)).toBe('taken over');
});
