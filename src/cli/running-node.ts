/** Commands that ask a running node: which one, as whom, and what to say when it does not answer. */

import { HttpRequests, RequestError } from '../client/http-requests.ts';
import { OptionsError } from '../config.ts';
import type { FlagTable } from './flags.ts';

export const nodeFlags = {
  url: { value: 'URL', help: 'A node of the cluster (default http://127.0.0.1:5984, or TERCET_URL).' },
  user: {
    value: 'NAME:PASSWORD',
    help: 'A server admin, where the node has any. TERCET_ADMIN keeps it out of sight.',
  },
} as const satisfies FlagTable;

const urlDefault = 'http://127.0.0.1:5984';

export interface RunningNode {
  readonly url: string;
  /** The same credentials at another address. */
  at(url: string): RunningNode;
  /** @throws RunningNodeError */
  json<Answer>(method: 'GET' | 'POST' | 'DELETE', path: string, options: CallOptions): Promise<Answer>;
}

interface CallOptions {
  readonly timeoutMs: number;
  readonly body?: object;
}

/** A sentence for the operator: the node cannot be reached, or refuses. */
export class RunningNodeError extends Error {
  override readonly name = 'RunningNodeError';
}

/** @throws OptionsError */
export function runningNode(
  values: ReadonlyMap<string, readonly string[]>,
  environment: Readonly<Record<string, string | undefined>>,
): RunningNode {
  const text = values.get('url')?.[0] ?? (environment.TERCET_URL || urlDefault);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new OptionsError(`"${text}" is no URL of a node: write --url ${urlDefault}.`);
  }
  const inUrl = url.username === '' ? undefined : decodeURIComponent(`${url.username}:${url.password}`);
  const user = values.get('user')?.[0] ?? inUrl ?? (environment.TERCET_ADMIN || undefined);
  return nodeAt(url.origin, user === undefined ? undefined : credentialsOf(user));
}

type Credentials = { readonly name: string; readonly password: string };

function credentialsOf(text: string): Credentials {
  const colon = text.indexOf(':');
  if (colon < 1) throw new OptionsError('--user needs a name and a password: write --user NAME:PASSWORD.');
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

function nodeAt(url: string, credentials: Credentials | undefined): RunningNode {
  const requests = new HttpRequests(url, credentials === undefined ? {} : { credentials });
  return {
    url,
    at: (other) => nodeAt(other, credentials),
    json: async (method, path, { timeoutMs, body }) => {
      try {
        const signal = AbortSignal.timeout(timeoutMs);
        return await requests.json(method, path, { signal, ...(body && { body }) });
      } catch (error) {
        throw explained(error, url);
      }
    },
  };
}

function explained(error: unknown, url: string): unknown {
  if (error instanceof RequestError) return new RunningNodeError(refusal(error, url));
  if (!(error instanceof Error)) return error;
  const isLate = error.name === 'TimeoutError';
  if (!isLate && !(error instanceof TypeError)) return error;
  const cause = isLate
    ? 'it does not answer'
    : ((error.cause as Error | undefined)?.message ?? error.message);
  return new RunningNodeError(`Cannot reach a node at ${url} (${cause}): name another one with --url.`);
}

function refusal({ status, reason }: RequestError, url: string): string {
  switch (status) {
    case 401:
    case 403:
      return `${url} refuses (${reason}): name an admin with --user NAME:PASSWORD or TERCET_ADMIN.`;
    default:
      return `${url} answers ${status}: ${reason}`;
  }
}
