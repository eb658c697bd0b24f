/**
 * A group of Raft cores for tests: a network whose messages lie in the open and a disk for each replica whose writes
 * are durable when the test says so. Not a simulator: no clock, no workload, no checkers.
 */

import { assert } from '../errors.ts';
import type { NodeId } from '../replication/strategy.ts';
import type { AckRule } from './ack-policy.ts';
import type { Entry, LogIndex, LogPosition, Member, MemberKind, StatePoint } from './entry.ts';
import { asIndex, asTerm } from './entry.ts';
import type { DurableState, LogWrite, RaftEffect, RaftEvent, RaftNotice } from './events.ts';
import type { RaftMessage } from './messages.ts';
import { checkInvariants, createRaft, freshState, statePoint, step } from './raft.ts';
import type { Raft, RaftOptions } from './state.ts';
import { raftDefaults } from './state.ts';

/** Ids as a test writes them. */
export function nodeId(name: string): NodeId {
  return name as NodeId;
}

export function members(...names: readonly string[]): Member[] {
  return names.map((name) => {
    const [id, kind] = name.split(':');
    return { id: nodeId(id as string), kind: (kind ?? 'voter') as MemberKind };
  });
}

export function dataEntry(index: number, term: number, text = `${index}:${term}`): Entry {
  return {
    index: asIndex(index),
    term: asTerm(term),
    body: { kind: 'data', data: new TextEncoder().encode(text) },
  };
}

/** The same numbers for the same seed, uniform in [0, 1) (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What is on a disk after a write. */
function written(disk: DurableState, write: LogWrite): DurableState {
  const { hardState, reset, truncateFrom, entries, start } = write;
  const kept = reset
    ? []
    : disk.entries.filter(({ index }) => truncateFrom === undefined || index < truncateFrom);
  const from = start ?? disk.start;
  return {
    hardState: hardState ?? disk.hardState,
    start: from,
    entries: [...kept, ...entries].filter(({ index }) => index > from.index),
    applied: start === undefined || start.index < disk.applied ? disk.applied : start.index,
  };
}

/** Waits in a replica's disk queue: durable in this order. */
export type DiskJob =
  | { readonly kind: 'write'; readonly ticket: number; readonly write: LogWrite }
  | { readonly kind: 'applied'; readonly through: LogIndex };

export interface Replica {
  readonly id: NodeId;
  raft: Raft;
  disk: DurableState;
  queue: DiskJob[];
  isUp: boolean;
  /** What it applied, or got with a fetched state. */
  applied: LogPosition[];
  notices: RaftNotice[];
}

export interface Sent {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: RaftMessage;
}

export interface GroupSetup {
  /** `n1`, or `w1:witness`, `l1:learner`. */
  readonly names: readonly string[];
  readonly options?: Partial<RaftOptions>;
  readonly seed?: number;
  /** Told of every effect, right after the step that made it. */
  readonly observe?: (replica: Replica, effect: RaftEffect) => void;
}

export interface TestGroup {
  readonly replicas: Map<NodeId, Replica>;
  readonly options: RaftOptions;
  readonly random: () => number;
  readonly observe: (replica: Replica, effect: RaftEffect) => void;
  now: number;
  network: Sent[];
  /** Nothing gets from the first to the second. */
  cuts: Set<string>;
}

export function createGroup({ names, options, seed = 1, observe = () => {} }: GroupSetup): TestGroup {
  const group: TestGroup = {
    replicas: new Map(),
    options: { ...raftDefaults, ...options },
    random: seededRandom(seed),
    observe,
    now: 0,
    network: [],
    cuts: new Set(),
  };
  const all = members(...names);
  for (const { id } of all) join(group, id, freshState({ members: all, lineage: asTerm(0) }));
  return group;
}

/** Starts a replica from a disk; without one it waits to be taken in. */
export function join(group: TestGroup, id: NodeId, disk: DurableState = freshState(undefined)): Replica {
  const raft = startCore(group, id, disk);
  const applied: LogPosition[] = disk.entries.filter(({ index }) => index <= disk.applied);
  const replica: Replica = { id, raft, disk, queue: [], isUp: true, applied, notices: [] };
  group.replicas.set(id, replica);
  return replica;
}

function startCore({ options, now, random }: TestGroup, self: NodeId, durable: DurableState): Raft {
  return createRaft({ self, options, durable, now, random: random() });
}

export function replicaOf(group: TestGroup, name: string): Replica {
  const replica = group.replicas.get(nodeId(name));
  assert(replica !== undefined, `the test speaks of ${name}`);
  return replica;
}

export function give(group: TestGroup, replica: Replica, event: RaftEvent): void {
  if (!replica.isUp) return;
  const effects = step(replica.raft, event);
  checkInvariants(replica.raft);
  for (const effect of effects) {
    carryOut(group, replica, effect);
    group.observe(replica, effect);
  }
}

function carryOut(group: TestGroup, replica: Replica, effect: RaftEffect): void {
  switch (effect.kind) {
    case 'persist':
      replica.queue.push({ kind: 'write', ticket: effect.ticket, write: effect.write });
      return;
    case 'send':
      group.network.push({ from: replica.id, to: effect.to, message: effect.message });
      return;
    case 'apply': {
      for (const { index, term } of effect.entries) replica.applied.push({ index, term });
      const last = effect.entries.at(-1) as Entry;
      replica.queue.push({ kind: 'applied', through: last.index });
      return;
    }
    default:
      replica.notices.push(effect);
  }
}

/** Makes the first `count` jobs of a replica's disk durable. */
export function flushDisk(group: TestGroup, replica: Replica, count = replica.queue.length): void {
  const done = replica.queue.splice(0, count);
  let ticket: number | undefined;
  for (const job of done) {
    if (job.kind === 'write') {
      replica.disk = written(replica.disk, job.write);
      ticket = job.ticket;
    } else {
      replica.disk = { ...replica.disk, applied: job.through };
    }
  }
  if (ticket !== undefined) give(group, replica, { kind: 'persisted', ticket });
}

export function cut(group: TestGroup, one: string, other: string): void {
  group.cuts.add(`${one}>${other}`).add(`${other}>${one}`);
}

export function heal(group: TestGroup): void {
  group.cuts.clear();
}

export function deliver(group: TestGroup, { from, to, message }: Sent): void {
  const replica = group.replicas.get(to);
  if (replica !== undefined && !group.cuts.has(`${from}>${to}`))
    give(group, replica, { kind: 'received', from, message });
}

/** Delivers in order and makes everything durable, until nothing is on its way. */
export function settle(group: TestGroup, roundsMax = 10_000): void {
  for (let round = 0; round < roundsMax; round++) {
    const next = group.network.shift();
    if (next !== undefined) {
      deliver(group, next);
      continue;
    }
    const busy = [...group.replicas.values()].find((replica) => replica.isUp && replica.queue.length > 0);
    if (busy === undefined) return;
    flushDisk(group, busy);
  }
  assert(false, 'a group comes to rest');
}

/** One tick for everybody, then everything that follows from it. */
export function tick(group: TestGroup, count = 1): void {
  for (let done = 0; done < count; done++) {
    group.now += 1;
    for (const replica of group.replicas.values())
      give(group, replica, { kind: 'tick', now: group.now, random: group.random() });
    settle(group);
  }
}

/** Lets time pass for everybody, but only `name` loses its patience. */
export function timeOut(group: TestGroup, name: string): void {
  const replica = replicaOf(group, name);
  for (const other of group.replicas.values()) other.raft.electionTicks = Number.POSITIVE_INFINITY;
  replica.raft.electionTicks = group.options.electionTicksMin;
  tick(group, group.options.electionTicksMin);
}

/** Loses what is not durable. */
export function crash(replica: Replica): void {
  replica.isUp = false;
  replica.queue = [];
}

export function restart(group: TestGroup, replica: Replica): void {
  replica.raft = startCore(group, replica.id, replica.disk);
  replica.applied = replica.applied.filter(({ index }) => index <= replica.disk.applied);
  replica.notices = [];
  replica.isUp = true;
}

/** What `state_needed` asks for: the applied state of another replica, whole. */
export function fetchState(group: TestGroup, replica: Replica, source: Replica): StatePoint {
  const index = asIndex(Math.max(source.raft.log.start.index, source.applied.at(-1)?.index ?? 0));
  const point = statePoint(source.raft, index);
  replica.applied = source.applied.filter((position) => position.index <= index);
  give(group, replica, { kind: 'state_installed', point });
  return point;
}

export function leaderOf(group: TestGroup): Replica | undefined {
  const leaders = [...group.replicas.values()].filter(
    ({ raft, isUp }) => isUp && raft.role.kind === 'leader',
  );
  return leaders.sort((left, right) => right.raft.term - left.raft.term)[0];
}

/** `1:1 2:1 3:4`: the log as index:term, after `[start]`. */
export function logOf({ raft: { log } }: Replica): string {
  const start = log.start.index === 0 ? [] : [`[${log.start.index}:${log.start.term}]`];
  return [...start, ...log.entries.map(({ index, term }) => `${index}:${term}`)].join(' ');
}

let ids = 0;

/** A request id that no other test uses. */
export function nextId(): number {
  ids += 1;
  return ids;
}

const blocking: AckRule = {
  policy: { kind: 'semi_sync', followers: 'majority' },
  onTimeout: 'block',
  timeoutTicks: 0,
};

/** Proposes a text to a replica, by majority and with all patience unless told otherwise. */
export function proposeText(group: TestGroup, name: string, text: string, ack: AckRule = blocking): number {
  const id = nextId();
  const data = new TextEncoder().encode(text);
  give(group, replicaOf(group, name), { kind: 'propose', proposals: [{ id, data, ack }] });
  return id;
}

/** A disk whose log has entries of these terms, as the paper draws logs: `[1, 1, 4]` is 1:1 2:1 3:4. */
function diskWith(
  names: readonly string[],
  terms: readonly number[],
  { term = terms.at(-1) ?? 0, applied = 0 }: { readonly term?: number; readonly applied?: number } = {},
): DurableState {
  const fresh = freshState({ members: members(...names), lineage: asTerm(0) });
  return {
    ...fresh,
    hardState: { ...fresh.hardState, term: asTerm(term) },
    entries: terms.map((entryTerm, at) => dataEntry(at + 1, entryTerm)),
    applied: asIndex(applied),
  };
}

/** A group of replicas with logs of their own; see {@link diskWith}. */
export function groupWith(
  logs: Readonly<Record<string, readonly number[]>>,
  { term, ...setup }: Omit<GroupSetup, 'names'> & { readonly term?: number } = {},
): TestGroup {
  const names = Object.keys(logs);
  const group = createGroup({ names, ...setup });
  for (const name of names) {
    const terms = logs[name] as readonly number[];
    join(group, nodeId(name), diskWith(names, terms, term === undefined ? {} : { term }));
  }
  return group;
}

/** A group that has elected its first replica and is at rest. */
export function groupLedBy(names: readonly string[], options: Partial<RaftOptions> = {}): TestGroup {
  const group = createGroup({ names, options });
  timeOut(group, names[0] as string);
  assert(leaderOf(group)?.id === names[0], 'the first replica leads');
  return group;
}

/** Notices of a kind that a replica gave so far. */
export function noticesOf<Kind extends RaftNotice['kind']>(
  replica: Replica,
  kind: Kind,
): Extract<RaftNotice, { kind: Kind }>[] {
  return replica.notices.filter(
    (notice): notice is Extract<RaftNotice, { kind: Kind }> => notice.kind === kind,
  );
}

/** A message as a peer would send it in its term. */
export function fromPeer(group: TestGroup, from: string, to: string, message: RaftMessage): void {
  deliver(group, { from: nodeId(from), to: nodeId(to), message });
}
