/**
 * A well-behaved client of a node that others treat badly: it writes, reads back and follows its changes without a
 * pause, and remembers everything that did not go as it should.
 */

import { request as httpRequest } from 'node:http';
import { waitUntil } from './harness.ts';

export interface Neighbour {
  /** Rounds of a write, a read and a list so far. */
  readonly rounds: number;
  readonly complaints: readonly string[];
  /** Resolves when so many more rounds have gone well. */
  untilRounds(more: number): Promise<void>;
  /** Ends it; rejects when the changes feed did not show everything that was written. */
  stop(): Promise<void>;
}

/** Between rounds, so that the neighbour leaves the cores to those whom it watches. */
const restMs = 2;

export async function startNeighbour(url: string): Promise<Neighbour> {
  const database = `${url}/neighbour`;
  const complaints: string[] = [];
  const created = await fetch(database, { method: 'PUT' });
  if (created.status !== 201) throw new Error(`the neighbour's database: ${created.status}`);
  const feed = followChanges(database);
  let rounds = 0;
  let stopped = false;

  const running = (async () => {
    while (!stopped) {
      try {
        await round(database, rounds);
        rounds += 1;
      } catch (error) {
        complaints.push(`round ${rounds}: ${String(error)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, restMs));
    }
  })();
  return {
    get rounds() {
      return rounds;
    },
    complaints,
    untilRounds: async (more) => {
      const goal = rounds + more;
      await waitUntil(`the neighbour gets on with its work`, () => rounds >= goal);
    },
    stop: async () => {
      stopped = true;
      await running;
      await waitUntil('the feed has shown every write', () => feed.seen() >= rounds);
      feed.close();
    },
  };
}

async function round(database: string, number: number): Promise<void> {
  const id = `round-${number}`;
  const text = `text of ${id} `.repeat(20);
  const put = await fetch(`${database}/${id}`, { method: 'PUT', body: JSON.stringify({ text }) });
  const written = (await put.json()) as { rev: string };
  if (put.status !== 201) throw new Error(`PUT: ${put.status} ${JSON.stringify(written)}`);
  const got = (await (await fetch(`${database}/${id}`)).json()) as { _rev: string; text: string };
  if (got._rev !== written.rev || got.text !== text) throw new Error(`GET: ${JSON.stringify(got)}`);
  const list = await fetch(`${database}/_all_docs?limit=3&startkey=${encodeURIComponent(`"${id}"`)}`);
  const { rows } = (await list.json()) as { rows: { id: string }[] };
  if (rows[0]?.id !== id) throw new Error(`_all_docs: ${JSON.stringify(rows)}`);
}

function followChanges(database: string): { seen(): number; close(): void } {
  let seen = 0;
  let line = '';
  const request = httpRequest(`${database}/_changes?feed=continuous&heartbeat=1000`, (response) => {
    response.setEncoding('utf8').on('data', (text: string) => {
      const lines = `${line}${text}`.split('\n');
      line = lines.pop() ?? '';
      seen += lines.filter((each) => each.includes('"id":"round-')).length;
    });
    response.on('error', () => undefined); // Shows as writes that were not seen.
  });
  request.on('error', () => undefined);
  request.end();
  return { seen: () => seen, close: () => request.destroy() };
}
