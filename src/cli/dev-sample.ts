/**
 * The sample data of `tercet dev`: about 10,000 public holidays of the world in the years around now, written to one node
 * in batches. Which years were loaded stands in a local document of that node, so a later start neither loads them again
 * nor brings back what somebody deleted.
 */

import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';

export interface CalendarEvent {
  readonly _id: string;
  /** `YYYY-MM-DD`. */
  readonly date: string;
  readonly country: string;
  readonly [member: string]: unknown;
}

const batchSize = 500;
const loadedId = '_local/tercet-dev-sample';
/** Longer than an election takes. */
const leaderWaitMs = 15_000;
const retryMs = 100;

/** The events of three years around `year`, or of the three nearest that the file has. */
export function readCalendar(file: string, year: number): CalendarEvent[] {
  if (!existsSync(file)) throw new Error(`The sample data ${file} is missing: run "npm run build".`);
  const events = gunzipSync(readFileSync(file))
    .toString()
    .split('\n')
    .map((line) => JSON.parse(line) as CalendarEvent);
  const years = nearestYears(yearsOf(events), year);
  return events.filter((event) => years.includes(yearOf(event)));
}

export function nearestYears(available: readonly number[], year: number): number[] {
  const byDistance = [...available].sort(
    (left, right) => Math.abs(left - year) - Math.abs(right - year) || left - right,
  );
  return byDistance.slice(0, 3).sort((left, right) => left - right);
}

/** The years of the events, ascending. */
export function yearsOf(events: readonly CalendarEvent[]): number[] {
  return [...new Set(events.map(yearOf))].sort((left, right) => left - right);
}

function yearOf(event: CalendarEvent): number {
  return Number(event.date.slice(0, 4));
}

/** Writes the events that were not loaded yet; tells after every batch how many are done. */
export async function loadCalendar(
  databaseUrl: string,
  events: readonly CalendarEvent[],
  onProgress: (done: number) => void,
): Promise<void> {
  const loaded = await request('GET', `${databaseUrl}/${loadedId}`);
  const known = loaded.status === 200 ? (loaded.body as { _rev: string; years: number[] }) : undefined;
  const fresh = events.filter((event) => known?.years.includes(yearOf(event)) !== true);
  if (fresh.length === 0) return;
  for (let start = 0; start < fresh.length; start += batchSize) {
    const docs = fresh.slice(start, start + batchSize);
    // Rows that are there already, from a load that was interrupted, are conflicts, and that is fine.
    const { status, body } = await request('POST', `${databaseUrl}/_bulk_docs`, { docs });
    if (status >= 300) throw new Error(`Cannot write sample data to ${databaseUrl}: ${JSON.stringify(body)}`);
    onProgress(start + docs.length);
  }
  const years = yearsOf(events);
  await request('PUT', `${databaseUrl}/${loadedId}`, { ...(known && { _rev: known._rev }), years });
}

/** Makes a database unless it is there, on the whole cluster; waits for somebody to lead it. */
export async function ensureDatabase(url: string, strategy: string): Promise<void> {
  const deadline = performance.now() + leaderWaitMs;
  for (;;) {
    if ((await request('GET', url)).status === 200) return;
    const { status, body } = await request('PUT', `${url}?strategy=${strategy}`);
    if (status < 300 || status === 412) return;
    if (status !== 503 || performance.now() > deadline) {
      throw new Error(`Cannot create ${url}: ${JSON.stringify(body)}`);
    }
    await sleep(retryMs);
  }
}

/** Documents that are not deleted; undefined when the node does not answer. */
export async function documentCount(databaseUrl: string): Promise<number | undefined> {
  try {
    return ((await request('GET', databaseUrl)).body as { doc_count: number }).doc_count;
  } catch {
    // People kill nodes here; that is no error.
    return undefined;
  }
}

export async function request(
  method: string,
  url: string,
  body?: object,
): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(url, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: await answer.json() };
}
