/**
 * The single-leader sample of `tercet dev`: a database `ledger` of some dozens of payments, made once for the whole
 * cluster, and who leads it. What was loaded stands in a local document of the database, so a later start does not bring
 * back what somebody deleted.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { request } from './dev-sample.ts';

export interface LedgerEntry {
  readonly _id: string;
  readonly from: string;
  readonly to: string;
  readonly amount_cents: number;
  readonly note: string;
}

const accounts = ['anna', 'bakery', 'bruno', 'chen', 'rent', 'salary'] as const;
const notes = ['bread', 'the flat', 'a loan', 'work in March', 'the concert'] as const;
const entryCount = 36;
/** Longer than an election takes; a cluster of which a majority is missing never has a leader. */
const leaderWaitMs = 15_000;
const retryMs = 100;
const loadedId = '_local/tercet-dev-ledger';

export function ledgerEntries(): readonly LedgerEntry[] {
  return Array.from({ length: entryCount }, (_, index) => ({
    _id: `entry-${String(index + 1).padStart(4, '0')}`,
    from: accounts[index % accounts.length]!,
    // One to five accounts further, so that nobody pays themselves.
    to: accounts[(index + 1 + (index % (accounts.length - 1))) % accounts.length]!,
    amount_cents: 250 + ((index * 7_919) % 90_000),
    note: notes[index % notes.length]!,
  }));
}

/**
 * Makes the ledger unless it is there, and writes its entries unless they were written once. Any node will do.
 * @returns the name of the node that leads, undefined when none did for as long as it was waited for
 */
export async function prepareLedger(nodeUrl: string): Promise<string | undefined> {
  const leader = await leaderOf(nodeUrl);
  if (leader === undefined) return undefined;
  const url = `${nodeUrl}/ledger`;
  const made = await request('PUT', `${url}?strategy=single-leader`);
  if (made.status >= 300 && made.status !== 412) throw cannot(`create ${url}`, made.body);
  if ((await request('GET', `${url}/${loadedId}`)).status === 200) return leader;
  const written = await request('POST', `${url}/_bulk_docs`, { docs: ledgerEntries() });
  if (written.status >= 300) throw cannot(`write sample data to ${url}`, written.body);
  await request('PUT', `${url}/${loadedId}`, { entries: entryCount });
  return leader;
}

async function leaderOf(nodeUrl: string): Promise<string | undefined> {
  const deadline = performance.now() + leaderWaitMs;
  while (performance.now() < deadline) {
    const { body } = await request('GET', `${nodeUrl}/_cluster`);
    const { leader } = body as { leader: string | null };
    if (leader !== null) return leader;
    await sleep(retryMs);
  }
  return undefined;
}

function cannot(what: string, body: unknown): Error {
  return new Error(`Cannot ${what}: ${JSON.stringify(body)}`);
}
