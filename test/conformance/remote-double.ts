/** Remote databases that misbehave: one that answers whatever a test wants, and a proxy that spoils a good one's answers. */

import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Double {
  readonly url: string;
  close(): Promise<void>;
}

export async function startDouble(listener: RequestListener): Promise<Double> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export type Intervention = (request: IncomingMessage, response: ServerResponse) => 'handled' | 'forward';

/** Forwards to `upstream` whatever the intervention leaves alone. */
export function startProxy(upstream: string, intervene: Intervention): Promise<Double> {
  return startDouble((request, response) => {
    if (intervene(request, response) === 'handled') return;
    const { method, headers } = request;
    const forwarded = httpRequest(
      new URL(upstream),
      { method, headers, path: request.url, agent: false },
      (reply) => {
        response.writeHead(reply.statusCode ?? 500, reply.headers);
        reply.pipe(response);
      },
    );
    forwarded.on('error', () => response.destroy());
    response.on('close', () => forwarded.destroy());
    request.pipe(forwarded);
  });
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Forwards to `upstream` what the judge, who sees whole requests, does not answer itself. */
export function startJudge(
  upstream: string,
  judge: (request: {
    readonly path: string;
    readonly body: string;
  }) => Answer | undefined | Promise<undefined>,
): Promise<Double> {
  return startDouble((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const body = Buffer.concat(chunks);
      const path = request.url ?? '';
      const verdict = await judge({ path, body: body.toString('latin1') });
      if (verdict !== undefined) {
        response.writeHead(verdict.status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(verdict.body));
        return;
      }
      const { method, headers } = request;
      const forwarded = httpRequest(new URL(upstream), { method, headers, path, agent: false }, (reply) => {
        response.writeHead(reply.statusCode ?? 500, reply.headers);
        reply.pipe(response);
      });
      forwarded.end(body);
    });
  });
}

/** A source with one document, as CouchDB would answer; `change` replaces the answer to one endpoint. */
export function sourceDouble(change: Readonly<Record<string, unknown>>): RequestListener {
  const rev = `1-${'a'.repeat(32)}`;
  const document = { _id: 'one', _rev: rev, _revisions: { start: 1, ids: ['a'.repeat(32)] }, fine: true };
  const answers: Readonly<Record<string, unknown>> = {
    info: { db_name: 'double', update_seq: 1 },
    changes: { results: [{ id: 'one', seq: 1, changes: [{ rev }] }], last_seq: 1, pending: 0 },
    bulk_get: { results: [{ id: 'one', docs: [{ ok: document }] }] },
    ...change,
  };
  return (request, response) => {
    request.resume();
    const path = request.url ?? '';
    if (path.includes('/_local/')) {
      const isPut = request.method === 'PUT';
      response.writeHead(isPut ? 201 : 404, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify(isPut ? { ok: true, id: 'x', rev: '0-1' } : { error: 'not_found', reason: 'missing' }),
      );
      return;
    }
    const key = path.includes('/_changes') ? 'changes' : path.includes('/_bulk_get') ? 'bulk_get' : 'info';
    const answer = answers[key];
    if (typeof answer === 'function') {
      answer(response);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  };
}
