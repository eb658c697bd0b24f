/** What anti-entropy costs two replicas that are equal, and two of which one missed a thousand documents. */

import { local, startAll, until } from './clusters/cluster.ts';
import { newMembers, prepare, programOf } from './clusters/tercet.ts';
import { loadDocuments, requestJson } from './database-requests.ts';
import { startProcess, stopProcess } from './processes.ts';
import { median, type Sample } from './rows.ts';
import { groupDatabase } from './wires/http.ts';
import { documentBytes, documentId, documentText } from './workloads.ts';

interface Round {
  readonly outcome: 'equal' | 'repaired' | 'failed';
  readonly documents_sent: number;
  readonly compared_bytes: number;
  readonly elapsed_ms: number;
}

const missed = 1_000;
const equalRounds = 9;
/** What a document costs on its way beside its body. */
const envelopeBytes = 200;

export async function measureComparison(directory: string, documents: number): Promise<Sample[]> {
  const members = await newMembers(2);
  const [one] = members as [(typeof members)[0]];
  const programs = members.map((member) => programOf(member, members, directory));
  const kept = await startAll(programs.slice(0, 1), async () => true as const);
  const startOther = () => startProcess(programs[1]!.command, programs[1]!.parameters, { cwd: directory });
  let other = startOther();
  try {
    // Nothing but the rounds that are asked for brings anything.
    const query = 'strategy=leaderless&n=2&r=1&hints=false&read_repair=off&anti_entropy=false';
    await until('the database exists', () => prepare(members, query));
    await loadDocuments({ url: one.url, address: local(one.port) }, 'd', documents);
    await untilRound(one.url, 'equal');
    const equal: Round[] = [];
    for (let n = 0; n < equalRounds; n++) equal.push(await untilRound(one.url, 'equal'));
    await stopProcess(other.child);
    await writeAlone(one.url);
    other = startOther();
    const healing = await untilRound(one.url, 'repaired');
    if (healing.documents_sent !== missed) throw new Error(`${healing.documents_sent} documents were sent`);
    await untilRound(one.url, 'equal');
    const bytes = healing.compared_bytes + missed * (documentBytes + envelopeBytes);
    return [
      sample('compare-bytes', median(equal.map(({ compared_bytes }) => compared_bytes))),
      sample('compare-time', median(equal.map(({ elapsed_ms }) => elapsed_ms))),
      sample('heal-bytes', bytes / (missed * documentBytes)),
      sample('heal-time', healing.elapsed_ms),
    ];
  } finally {
    await stopProcess(other.child);
    await kept.stop();
  }
}

function sample(row: Sample['row'], value: number): Sample {
  return { row, system: 'tercet', value };
}

/** The next round that ends so. */
function untilRound(url: string, outcome: Round['outcome']): Promise<Round> {
  return until(`a round ends ${outcome}`, async () => {
    const answer = await requestJson(`${url}/${groupDatabase}/_anti_entropy`, 'POST', {});
    const [round] = (answer as { replicas: Round[] }).replicas;
    return round?.outcome === outcome ? round : undefined;
  });
}

async function writeAlone(url: string): Promise<void> {
  const docs = Array.from({ length: missed }, (_, index) => {
    return JSON.parse(documentText(documentId('m', index), index)) as object;
  });
  await requestJson(`${url}/${groupDatabase}/_bulk_docs?w=1`, 'POST', { docs });
}
