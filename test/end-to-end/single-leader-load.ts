/**
 * Clients of a single-leader database who write down what they see, for the checker that the simulator uses too.
 *
 *   closed loop   some clients at each node read a document (linearizable) and replace what they read (compare-and-set)
 *   open loop     a new document every few milliseconds, at the nodes in turn, whether or not earlier ones are answered:
 *                 they show how long nobody could write
 *
 * What an error says about its write is believed: `Tercet-Write: did_not_happen` is a refusal, and the checker complains
 * if the value is ever read.
 */

import { performance } from 'node:perf_hooks';
import { absent, type ClientRecord, type WriteResult } from '../../simulation/history.ts';
import type { TestNode } from './harness.ts';
import { type Acknowledged, ask, type Reply } from './single-leader-cluster.ts';

const clientsPerNode = 2;
const sharedDocuments = 4;
const probeEveryMs = 20;
/** Between two operations of a client, so that two cores can follow. */
const pauseMsMax = 20;
const majority = { kind: 'semi-sync', disksMin: 2 } as const;

export interface Load {
  readonly records: ClientRecord[];
  readonly acknowledged: Acknowledged[];
  /** Answers that no fault may cause. */
  readonly unexpected: string[];
  stop(): Promise<void>;
  longestGapMs(): number;
}

interface Notes {
  readonly prefix: string;
  readonly records: ClientRecord[];
  readonly acknowledged: Acknowledged[];
  readonly unexpected: string[];
  readonly acknowledgedAt: number[];
  isStopped: boolean;
  values: number;
}

/** `prefix` keeps the documents of one load apart from those of another. */
export function startLoad(nodes: readonly TestNode[], prefix: string): Load {
  const notes: Notes = {
    ...{ prefix, records: [], acknowledged: [], unexpected: [], acknowledgedAt: [performance.now()] },
    ...{ isStopped: false, values: absent },
  };
  const clients = nodes.flatMap((node) =>
    Array.from({ length: clientsPerNode }, (_, number) => runClient(node, `${node.name}-${number}`, notes)),
  );
  const running = Promise.all([...clients, probe(nodes, notes)]);
  return {
    ...notes,
    stop: async () => {
      notes.acknowledgedAt.push(performance.now());
      notes.isStopped = true;
      await running;
    },
    longestGapMs: () => {
      const times = notes.acknowledgedAt;
      return Math.max(...times.slice(1).map((time, index) => time - times[index]!));
    },
  };
}

const nowMicroseconds = () => performance.now() * 1_000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function runClient(node: TestNode, client: string, notes: Notes): Promise<void> {
  while (!notes.isStopped) {
    const document = `${notes.prefix}-${Math.floor(Math.random() * sharedDocuments)}`;
    const seen = await read(node, client, document, notes);
    if (seen !== undefined) await write(node, client, document, seen, notes);
    await pause(Math.random() * pauseMsMax);
  }
}

interface Seen {
  readonly value: number;
  readonly rev: string | undefined;
}

async function read(
  node: TestNode,
  client: string,
  document: string,
  notes: Notes,
): Promise<Seen | undefined> {
  const invokedAt = nowMicroseconds();
  const reply = await ask('GET', `${node.url}/ledger/${document}`);
  const seen = seenIn(reply);
  if (seen === undefined) {
    if (reply !== undefined && reply.status !== 503) complain('read', node, document, reply, notes);
    return undefined;
  }
  const result = {
    kind: 'answered',
    at: nowMicroseconds(),
    value: seen.value,
    index: 0,
    lineage: 0,
  } as const;
  notes.records.push({
    ...{ kind: 'read', client, document, level: 'linearizable', node: node.name, after: 0 },
    ...{ staleMicrosecondsMax: 0, invokedAt, result },
  });
  const given = reply?.headers.get('tercet-consistency') ?? '';
  if (!given.startsWith('linearizable')) notes.unexpected.push(`${node.name} read at the level "${given}"`);
  return seen;
}

function seenIn(reply: Reply | undefined): Seen | undefined {
  if (reply?.status === 404 && reply.json.reason === 'missing') return { value: absent, rev: undefined };
  if (reply?.status !== 200) return undefined;
  return { value: Number(reply.json.value), rev: String(reply.json._rev) };
}

async function write(
  node: TestNode,
  client: string,
  document: string,
  seen: Seen,
  notes: Notes,
): Promise<void> {
  notes.values += 1;
  const value = notes.values;
  const invokedAt = nowMicroseconds();
  const body = seen.rev === undefined ? { value } : { value, _rev: seen.rev };
  const reply = await ask('PUT', `${node.url}/ledger/${document}`, body);
  const result = writeResult(reply);
  notes.records.push({
    ...{ kind: 'write', client, document, expected: seen.value, value, ack: majority, invokedAt, result },
  });
  note(reply, node, document, notes);
}

function writeResult(reply: Reply | undefined): WriteResult {
  const at = nowMicroseconds();
  if (reply?.status === 201) {
    return { kind: 'acknowledged', at, index: 0, term: 0, leader: '', durableOn: [], lineage: 0 };
  }
  if (reply?.status === 409) return { kind: 'conflict', at, index: 0, lineage: 0 };
  const isRefused = reply?.headers.get('tercet-write') === 'did_not_happen';
  return isRefused ? { kind: 'refused', at } : { kind: 'unknown' };
}

function note(reply: Reply | undefined, node: TestNode, document: string, notes: Notes): void {
  if (reply?.status === 201) {
    notes.acknowledged.push({ id: document, rev: String(reply.json.rev) });
    if (!notes.isStopped) notes.acknowledgedAt.push(performance.now());
  } else if (reply !== undefined && ![409, 503].includes(reply.status)) {
    complain('write', node, document, reply, notes);
  }
}

async function probe(nodes: readonly TestNode[], notes: Notes): Promise<void> {
  const asked: Promise<void>[] = [];
  for (let number = 0; !notes.isStopped; number += 1) {
    const node = nodes[number % nodes.length]!;
    asked.push(
      write(node, 'probe', `${notes.prefix}-probe-${number}`, { value: absent, rev: undefined }, notes),
    );
    await pause(probeEveryMs);
  }
  await Promise.all(asked);
}

function complain(what: string, node: TestNode, document: string, reply: Reply, notes: Notes): void {
  notes.unexpected.push(`${node.name} ${what} ${document}: ${reply.status} ${JSON.stringify(reply.json)}`);
}
