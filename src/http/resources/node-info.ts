/** `/_node/{name}`: what operators' tools read from one node. `_local` is the node that answers. */

import { memoryUsage } from 'node:process';
import { failure } from '../../errors.ts';
import type { Exchange } from '../exchange.ts';
import { sendBytes, sendJson } from '../respond.ts';

export function showNode(exchange: Exchange): void {
  const [, name, section, ...path] = exchange.segments;
  const own = exchange.services.node.name;
  if (name !== '_local' && name !== own) throw failure('not_found', `no such node: ${name ?? ''}`);
  if (section === undefined) sendJson(exchange, 200, { name: own });
  else if (section === '_stats') sendJson(exchange, 200, descend(statistics(exchange), path));
  else if (section === '_system') sendJson(exchange, 200, systemState(exchange));
  else if (section === '_config') sendJson(exchange, 200, descend(configuration(exchange), path));
  else if (section === '_prometheus') {
    sendBytes(exchange, 200, 'text/plain; version=2.0', Buffer.from(prometheus(exchange)));
  } else throw failure('not_found', 'missing');
}

interface Tree {
  readonly [name: string]: Tree | object | string;
}

function descend(tree: Tree, path: readonly string[]): unknown {
  let place: unknown = tree;
  for (const name of path) {
    if (typeof place !== 'object' || place === null || !Object.hasOwn(place, name)) {
      throw failure('not_found', 'unknown_config_value');
    }
    place = (place as Tree)[name];
  }
  return place;
}

function statistics(exchange: Exchange): Tree {
  const { counters } = exchange.shared;
  const counter = (value: number, desc: string): object => ({ value, type: 'counter', desc });
  const methods = [...counters.methods].map(([name, value]) => [
    name,
    counter(value, `number of HTTP ${name} requests`),
  ]);
  const statuses = [...counters.statuses].map(([status, value]) => [
    String(status),
    counter(value, `number of HTTP ${status} responses`),
  ]);
  return {
    couchdb: {
      httpd: { requests: counter(counters.requests, 'number of HTTP requests') },
      httpd_request_methods: Object.fromEntries(methods),
      httpd_status_codes: Object.fromEntries(statuses),
      open_databases: counter(exchange.services.databases.names().length, 'number of open databases'),
    },
  };
}

function systemState(exchange: Exchange): object {
  const { rss, heapUsed, heapTotal, external } = memoryUsage();
  return {
    pid: process.pid,
    uptime: Math.floor(process.uptime()),
    memory: { resident: rss, heap_used: heapUsed, heap_total: heapTotal, external },
    feeds: exchange.shared.feeds.size,
  };
}

function prometheus(exchange: Exchange): string {
  const { counters, feeds } = exchange.shared;
  const { databases } = exchange.services;
  return [
    '# TYPE couchdb_httpd_requests_total counter',
    `couchdb_httpd_requests_total ${counters.requests}`,
    '# TYPE couchdb_httpd_request_methods counter',
    ...[...counters.methods].map(
      ([method, value]) => `couchdb_httpd_request_methods{method="${method}"} ${value}`,
    ),
    '# TYPE couchdb_httpd_status_codes counter',
    ...[...counters.statuses].map(([code, value]) => `couchdb_httpd_status_codes{code="${code}"} ${value}`),
    '# TYPE couchdb_open_databases gauge',
    `couchdb_open_databases ${databases.names().length}`,
    '# TYPE tercet_live_feeds gauge',
    `tercet_live_feeds ${feeds.size}`,
    '# TYPE tercet_resident_memory_bytes gauge',
    `tercet_resident_memory_bytes ${memoryUsage().rss}`,
    '# TYPE tercet_uptime_seconds gauge',
    `tercet_uptime_seconds ${Math.floor(process.uptime())}`,
    '',
  ].join('\n');
}

/** Settings are given at the start of a process; here they can be read, as strings, in CouchDB's sections. */
function configuration(exchange: Exchange): Tree {
  const { limits, cors } = exchange.services.http;
  return {
    chttpd: {
      enable_cors: String(cors !== undefined),
      max_http_request_size: String(limits.requestBodyBytesMax),
    },
    couchdb: {
      max_attachment_size: String(limits.attachmentBytesMax),
      max_document_size: String(limits.documentBytesMax),
      uuid: exchange.services.node.clusterUuid,
    },
    cors: {
      credentials: String(cors?.credentials ?? false),
      headers: cors?.headers.join(', ') ?? '',
      max_age: String(cors?.maxAgeSeconds ?? 0),
      methods: cors?.methods.join(', ') ?? '',
      origins: cors?.origins.join(', ') ?? '',
    },
    vendor: { name: 'Tercet', version: exchange.services.node.version },
  };
}
