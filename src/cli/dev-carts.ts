/**
 * The leaderless sample of `tercet dev`: a database `carts` of a few shopping carts, of which every node has a replica. What
 * was loaded stands in a local document of the node that it was loaded on, so a later start does not bring back what
 * somebody deleted.
 */

import { request } from './dev-sample.ts';

interface Cart {
  readonly _id: string;
  readonly items: readonly string[];
}

const goods = ['bread', 'milk', 'apples', 'coffee', 'soap', 'rice'] as const;
const owners = ['anna', 'bruno', 'chen', 'dana', 'emil'] as const;
const loadedId = '_local/tercet-dev-carts';

export function sampleCarts(): readonly Cart[] {
  return owners.map((owner, index) => ({
    _id: `cart-${owner}`,
    items: goods.slice(index, index + 1 + (index % 3)),
  }));
}

/** Makes the carts with a replica on each of `nodes` nodes, unless they are there. Somebody must lead the catalog. */
export async function prepareCarts(nodeUrl: string, nodes: number): Promise<void> {
  const url = `${nodeUrl}/carts`;
  const made = await request('PUT', `${url}?strategy=leaderless&n=${nodes}`);
  if (made.status >= 300 && made.status !== 412) throw cannot(`create ${url}`, made.body);
  if ((await request('GET', `${url}/${loadedId}`)).status === 200) return;
  // Rows that are there already, from a load that was interrupted, are conflicts, and that is fine.
  const written = await request('POST', `${url}/_bulk_docs`, { docs: sampleCarts() });
  if (written.status >= 300) throw cannot(`write sample data to ${url}`, written.body);
  await request('PUT', `${url}/${loadedId}`, { carts: owners.length });
}

function cannot(what: string, body: unknown): Error {
  return new Error(`Cannot ${what}: ${JSON.stringify(body)}`);
}
