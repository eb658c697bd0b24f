/** What a node asks of another over plain HTTP, before there is a stream between them or when there is none any more. */

import { nodeUrl, type Peer } from '../config.ts';
import { type CommittedMembership, readMembership } from './group-removal.ts';

const waitMs = 1_000;

/** The cluster uuid that a peer shows at `GET /`; undefined when it does not answer in time or is something else. */
export async function askPeerUuid(url: string): Promise<string | undefined> {
  const { uuid, vendor } = (await ask(`${url}/`, {})) as { uuid?: unknown; vendor?: { name?: unknown } };
  return typeof uuid === 'string' && vendor?.name === 'Tercet' ? uuid : undefined;
}

/**
 * The nodes of a cluster, as one of them shows them at `GET /_cluster`; undefined when it does not answer in time.
 * @param proof headers that prove this node
 */
export async function askForNodes(
  url: string,
  proof: Readonly<Record<string, string>>,
): Promise<readonly Peer[] | undefined> {
  const { node, nodes } = (await ask(`${url}/_cluster`, proof)) as { node?: unknown; nodes?: unknown };
  if (typeof node !== 'string' || !Array.isArray(nodes)) return undefined;
  const shown = nodes.flatMap((each: Partial<Peer>) => {
    const known = typeof each?.url === 'string' ? nodeUrl(each.url) : undefined;
    return typeof each?.name === 'string' && known !== undefined ? [{ name: each.name, url: known }] : [];
  });
  // It answers here, whatever it believes about its own address.
  return [...shown.filter(({ name }) => name !== node), { name: node, url }];
}

/** Whom a node counts as members, as it shows them at `GET /_cluster`; undefined: no answer, or it is none itself. */
export async function askForMembership(
  url: string,
  proof: Readonly<Record<string, string>>,
): Promise<CommittedMembership | undefined> {
  const { membership } = (await ask(`${url}/_cluster`, proof)) as { membership?: unknown };
  return readMembership(membership);
}

/** An empty object where no JSON object came in time. */
async function ask(url: string, headers: Readonly<Record<string, string>>): Promise<object> {
  const aborter = new AbortController();
  // The timer of `AbortSignal.timeout` keeps no process alive, and neither does a fetch whose connection was closed before
  // the request was out: a node that only waits for it would end, silently.
  const timer = setTimeout(() => aborter.abort(), waitMs);
  try {
    const answer = await fetch(url, { headers, signal: aborter.signal, redirect: 'error' });
    const value: unknown = await answer.json();
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    // A peer that is not there yet is the ordinary case: nodes of a new cluster start one after the other.
    return {};
  } finally {
    clearTimeout(timer);
  }
}
