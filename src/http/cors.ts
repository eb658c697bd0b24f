/** Cross-origin requests, as configured: preflights and the headers of ordinary answers. */

import type { Exchange } from './exchange.ts';
import type { CorsSettings } from './services.ts';

const exposedHeaders = 'Content-Type, Content-Length, Accept-Ranges, ETag, Location, X-Couch-Request-ID';
/** What single-leader and leaderless databases tell, and what a failed write does. */
const exposedByCluster =
  'Tercet-Consistency, Tercet-Leader, Tercet-Position, Tercet-Quorum, Tercet-Receipt, Tercet-Write';

/** Headers for an answer to another origin; undefined for all other requests. */
export function corsHeaders(exchange: Exchange): readonly string[] | undefined {
  const { cluster, http } = exchange.services;
  if (http.cors === undefined) return undefined;
  const origin = allowedOrigin(http.cors, exchange.header('origin'));
  if (origin === undefined) return ['Vary', 'Origin'];
  const exposed = cluster === undefined ? exposedHeaders : `${exposedHeaders}, ${exposedByCluster}`;
  return [...originHeaders(http.cors, origin), 'Access-Control-Expose-Headers', exposed];
}

/** What answers a preflight; undefined when the request is none, or asks for what is not allowed. */
export function preflightHeaders(exchange: Exchange): readonly string[] | undefined {
  const { cors } = exchange.services.http;
  const wanted = exchange.header('access-control-request-method');
  if (cors === undefined || wanted === undefined || exchange.method !== 'OPTIONS') return undefined;
  if (allowedOrigin(cors, exchange.header('origin')) === undefined || !cors.methods.includes(wanted))
    return undefined;
  return [
    'Access-Control-Allow-Methods',
    cors.methods.join(', '),
    'Access-Control-Allow-Headers',
    cors.headers.join(', '),
    'Access-Control-Max-Age',
    String(cors.maxAgeSeconds),
  ];
}

function allowedOrigin(cors: CorsSettings, origin: string | undefined): string | undefined {
  if (origin === undefined) return undefined;
  return cors.origins.includes('*') || cors.origins.includes(origin) ? origin : undefined;
}

/** Whether pages of this origin may use the node. */
export function isAllowedOrigin(cors: CorsSettings | undefined, origin: string): boolean {
  return cors !== undefined && allowedOrigin(cors, origin) !== undefined;
}

function originHeaders(cors: CorsSettings, origin: string): string[] {
  // Browsers refuse `*` together with credentials, so the origin itself is named.
  const headers = ['Access-Control-Allow-Origin', origin, 'Vary', 'Origin'];
  return cors.credentials ? [...headers, 'Access-Control-Allow-Credentials', 'true'] : headers;
}

/** What CouchDB's documentation tells browsers' applications to ask for. */
export function corsSettings(origins: readonly string[]): CorsSettings | undefined {
  if (origins.length === 0) return undefined;
  return {
    origins,
    // A browser sends no cookies to "*", and a page from anywhere should not act as the user.
    credentials: !origins.includes('*'),
    headers: [
      'accept',
      'tercet-after',
      'idempotency-key',
      'authorization',
      'content-type',
      'origin',
      'referer',
      'if-match',
      'if-none-match',
      'range',
    ],
    methods: ['GET', 'PUT', 'POST', 'HEAD', 'DELETE', 'COPY'],
    maxAgeSeconds: 600,
  };
}
