/** What tests of single-leader databases ask of a running cluster, and what must be true of it in the end. */

import { type TestNode, waitUntil } from './harness.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Record<string, unknown>;
}

/** A node that is paused or cut off does not answer at all. */
const requestMsMax = 3_000;

/** Undefined when no whole answer came: nothing is known then about a write. */
export async function ask(
  method: string,
  url: string,
  body?: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply | undefined> {
  try {
    const answer = await fetch(url, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      signal: AbortSignal.timeout(requestMsMax),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return {
      status: answer.status,
      headers: answer.headers,
      json: (await answer.json()) as Record<string, unknown>,
    };
  } catch {
    return undefined;
  }
}

/** Asks again until it is answered so: while leaders change, a node says with 503 that it cannot tell. */
export function untilStatus(status: number, method: string, url: string, body?: object): Promise<Reply> {
  let last: Reply | undefined;
  return waitUntil(`${method} ${url} is answered ${status}`, async () => {
    last = await ask(method, url, body);
    return last?.status === status && last;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; last: ${last?.status} ${JSON.stringify(last?.json)}`);
  });
}

/** Makes it, and waits until all nodes have it; asks again until somebody leads. */
export async function createDatabase(nodes: readonly TestNode[], name: string, query: string): Promise<void> {
  await waitUntil(`${name} exists`, async () => {
    const reply = await ask('PUT', `${nodes[0]!.url}/${name}?${query}`);
    // An earlier attempt may have made it without an answer in time.
    return reply?.status === 201 || reply?.status === 412;
  });
  for (const { url } of nodes) await untilStatus(200, 'GET', `${url}/${name}`);
}

export function createLedger(nodes: readonly TestNode[], query = ''): Promise<void> {
  return createDatabase(nodes, 'ledger', `strategy=single-leader${query}`);
}

interface ClusterView {
  readonly node: string;
  readonly role: string;
  readonly term: number;
  readonly leader: string | null;
  readonly applied: number;
  readonly epochs: readonly { readonly term: number; readonly leader: string }[];
  readonly nodes: readonly { readonly name: string; readonly id: string; readonly kind: string }[];
}

export async function viewOf(node: TestNode): Promise<ClusterView | undefined> {
  return (await ask('GET', `${node.url}/_cluster`))?.json as ClusterView | undefined;
}

export interface Leading {
  readonly leader: TestNode;
  readonly term: number;
}

/** The one whom all of `nodes` follow. */
export function agreedLeader(nodes: readonly TestNode[]): Promise<Leading> {
  return waitUntil(`${nodes.map(({ name }) => name).join(', ')} follow one of them`, async () => {
    const views = await Promise.all(nodes.map(viewOf));
    const leading = views.find((view) => view?.role === 'leader');
    const leader = nodes.find(({ name }) => name === leading?.leader);
    const areOne = views.every((view) => view?.leader === leading?.node && view?.term === leading?.term);
    return leading !== undefined && leader !== undefined && areOne && { leader, term: leading.term };
  });
}

interface Leaves {
  readonly id: string;
  readonly revs: readonly string[];
}

async function leavesOf(node: TestNode): Promise<readonly Leaves[]> {
  const { json } = await untilStatus(200, 'GET', `${node.url}/ledger/_changes?style=all_docs`);
  const rows = json.results as { id: string; changes: { rev: string }[] }[];
  return rows.map(({ id, changes }) => ({ id, revs: changes.map(({ rev }) => rev) }));
}

/** Documents with more than one leaf, as `id: rev rev`: what `conflicts=true` shows, and deleted branches too. */
export async function branchesOn(node: TestNode): Promise<readonly string[]> {
  const branched = (await leavesOf(node)).filter(({ revs }) => revs.length > 1);
  return branched.map(({ id, revs }) => `${id}: ${revs.join(' ')}`);
}

/** Changes of the ledger in order, with their tokens: the same on every node. */
export async function changesOf(node: TestNode): Promise<unknown> {
  const { json } = await untilStatus(200, 'GET', `${node.url}/ledger/_changes?style=all_docs`);
  return [json.results, json.last_seq];
}

export interface Acknowledged {
  readonly id: string;
  readonly rev: string;
}

/** What the node lacks of these revisions, as CouchDB's replicators ask for it. */
export async function missingOn(node: TestNode, acknowledged: readonly Acknowledged[]): Promise<unknown> {
  const asked = new Map<string, string[]>();
  for (const { id, rev } of acknowledged) asked.set(id, [...(asked.get(id) ?? []), rev]);
  return (await untilStatus(200, 'POST', `${node.url}/ledger/_revs_diff`, Object.fromEntries(asked))).json;
}
