/** Makes the two ends of a replication from what was asked for. */

import type { Databases } from '../database/databases.ts';
import type { Digest } from '../document/revision.ts';
import type { ReplicationEndpoint } from './endpoint.ts';
import { HttpEndpoint } from './http-endpoint.ts';
import type { LedDatabases } from './led-databases.ts';
import { LocalEndpoint } from './local-endpoint.ts';
import { type EndSpec, identityOf, type ReplicationRequest } from './replication-request.ts';

export interface EndsContext {
  readonly databases: Databases;
  readonly digest: Digest;
  /** Names this node among all clusters: part of every replication id. */
  readonly localIdentity: string;
  /** Headers that prove this node to a peer of its cluster, for one request. Only links between nodes get them. */
  readonly peerHeaders: (request: {
    readonly method: string;
    readonly target: string;
  }) => Readonly<Record<string, string>>;
  /** Databases whose writes other nodes have a say in. Without: every database of this node is its own. */
  readonly led?: LedDatabases;
}

export interface Ends {
  readonly source: ReplicationEndpoint;
  readonly target: ReplicationEndpoint;
  close(): void;
}

/** @throws TercetError when this node cannot do what is asked, such as running a filter function */
export function createEnds(request: ReplicationRequest, context: EndsContext): Ends {
  const source = createEnd(request.source, { request, context, isTarget: false });
  const target = createEnd(request.target, { request, context, isTarget: true });
  return {
    source,
    target,
    close: () => {
      source.close();
      target.close();
    },
  };
}

interface EndOptions {
  readonly request: ReplicationRequest;
  readonly context: EndsContext;
  readonly isTarget: boolean;
}

function createEnd(end: EndSpec, { request, context, isTarget }: EndOptions): ReplicationEndpoint {
  const identity = identityOf(end, context.localIdentity);
  const selection = isTarget ? {} : request.selection;
  const create = isTarget && request.createTarget;
  const pace = { idleMs: request.idleMs, connectionsMax: request.connectionsMax };
  if (end.kind === 'local') {
    const { databases, led } = context;
    const url = led?.urlOf(end.name);
    if (url !== undefined) {
      const address = { url, headers: {}, prove: context.peerHeaders };
      return new HttpEndpoint({ ...{ address, identity, selection, create }, ...pace });
    }
    const createDatabase = create ? (led?.create ?? createHere(databases)) : undefined;
    return new LocalEndpoint({ databases, name: end.name, identity, selection, createDatabase });
  }
  return new HttpEndpoint({
    // A user's own replication is that user's, with the credentials given, even where the URL is a peer's.
    address: {
      url: end.url,
      headers: end.headers,
      ...(end.identity === undefined ? {} : { prove: context.peerHeaders }),
    },
    ...{ identity, selection, create },
    ...pace,
  });
}

function createHere(databases: Databases): (name: string) => Promise<void> {
  return async (name) => void (await databases.create(name));
}
