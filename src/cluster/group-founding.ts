/**
 * How a group comes to be, once, and how its nodes know it.
 *
 * Nodes of a new cluster start in any order and ask each other. The first by name founds, once everybody else has said
 * that there is no group; it writes down the founders, disk by disk, and the others find out when they ask it again.
 *
 *     n1  hello? ─► n2: n2#bb, none   n3: n3#cc, none      → founds { n1#aa, n2#bb, n3#cc }, durably
 *     n2  hello? ─► n1: founders { n1#aa, n2#bb, n3#cc }    → it is one of them: a voter with an empty log
 *     n3  with a new disk, n3#dd, hears the same            → not one of them: waits to be taken in
 *
 * 1. A founder that comes late is as one that was cut off from the start: it holds nothing and has promised nothing.
 * 2. Nobody founds while a peer is silent: the silent one may know a group.
 * 3. The nodes must agree on who they are, or two of them could each be the first.
 *
 *   F    the store's record: { founders, isJoining, was }
 */

import type { NodeId } from '../replication/strategy.ts';
import { DriverLog, logRange, readLog, type StateWrite } from '../runtime/driver-log.ts';
import type { Member, MemberKind, Membership } from '../single-leader/entry.ts';
import { asTerm } from '../single-leader/entry.ts';
import type { LogWrite } from '../single-leader/events.ts';
import { freshState } from '../single-leader/raft.ts';
import type { Operation, Store, Entry as StoredPair } from '../store/store.ts';
import type { Hello } from './group-calls.ts';
import { nameOf } from './group-node-id.ts';
import { groupNumber, type WrittenLog } from './group-replica.ts';

const recordKey = Uint8Array.of(0x46);

export interface GroupRecord {
  readonly founders: readonly NodeId[];
  /** This node came later, and waits to be taken in. */
  readonly isJoining: boolean;
  /** What it was in the membership that others went on without. */
  readonly was?: MemberKind;
}

export interface StoredGroup {
  readonly record: GroupRecord;
  readonly log: WrittenLog;
}

/** Undefined: this disk knows no group. */
export async function readGroup(store: Store): Promise<StoredGroup | undefined> {
  const pairs: StoredPair[] = [];
  for await (const chunk of store.scan(logRange(groupNumber))) pairs.push(...chunk);
  const log = readLog(pairs);
  const record = store.get(recordKey);
  if (log.durable === undefined || record === undefined) return undefined;
  return {
    record: JSON.parse(new TextDecoder().decode(record)) as GroupRecord,
    log: { ...log, durable: log.durable },
  };
}

/** Makes this disk one of the group, durably: as a founder, or as one that waits. */
export async function writeGroup(
  store: Store,
  record: GroupRecord,
  urlOf: (name: string) => string | undefined = () => undefined,
): Promise<void> {
  const { hardState, start } = freshState(record.isJoining ? undefined : foundedBy(record.founders, urlOf));
  const found = { start: start.index, last: start.index };
  await new Promise<void>((resolve, reject) => {
    const log = new DriverLog({
      ...{ group: groupNumber, found },
      commit: (operations, settled) => {
        store.commit(operations).then(
          () => settled(undefined),
          (error: unknown) => settled(error as Error),
        );
      },
    });
    const belonging: StateWrite = { kind: 'state', operations: [recordOperation(record)], durable: () => {} };
    const empty: LogWrite = { hardState, reset: false, truncateFrom: undefined, entries: [], start };
    log.persist([belonging, empty], (error) => (error === undefined ? resolve() : reject(error)));
  });
}

export async function writeRecord(store: Store, record: GroupRecord): Promise<void> {
  await store.commit([recordOperation(record)]);
}

function recordOperation(record: GroupRecord): Operation {
  return { kind: 'put', key: recordKey, value: new TextEncoder().encode(JSON.stringify(record)) };
}

/** Each founder writes down the addresses that it knows; the first change in the log makes those of its leader common. */
function foundedBy(founders: readonly NodeId[], urlOf: (name: string) => string | undefined): Membership {
  const members = founders.map((id): Member => {
    const url = urlOf(nameOf(id));
    return { id, kind: 'voter', ...(url !== undefined && { url }) };
  });
  return { members, lineage: asTerm(0) };
}

export interface FoundingFacts {
  readonly self: NodeId;
  /** All nodes that this one was told of, itself included, in order. */
  readonly names: readonly string[];
  /** Of those who answered. */
  readonly hellos: readonly Hello[];
  readonly mayFound: boolean;
}

export type FoundingDecision =
  | { readonly kind: 'found'; readonly record: GroupRecord }
  /** There is a group already. */
  | { readonly kind: 'belong'; readonly record: GroupRecord }
  | { readonly kind: 'wait'; readonly reason: string };

export function decideFounding({ self, names, hellos, mayFound }: FoundingFacts): FoundingDecision {
  const groups = new Map(
    hellos.flatMap(({ founders }) => (founders === undefined ? [] : [[founders.join(), founders]])),
  );
  const [founders] = groups.values();
  if (groups.size > 1) return { kind: 'wait', reason: 'the peers belong to different groups' };
  if (founders !== undefined)
    return { kind: 'belong', record: { founders, isJoining: !founders.includes(self) } };
  if (!mayFound) return { kind: 'wait', reason: 'none of the nodes that it was told to join knows one' };
  const silent = names.find((name) => name !== nameOf(self) && !hellos.some(({ id }) => nameOf(id) === name));
  if (silent !== undefined) return { kind: 'wait', reason: `${silent} does not answer` };
  const other = hellos.find((hello) => hello.names.join() !== names.join());
  if (other !== undefined)
    return { kind: 'wait', reason: `${nameOf(other.id)} was told of other nodes: ${other.names.join(', ')}` };
  if (names[0] !== nameOf(self)) return { kind: 'wait', reason: `${names[0]} founds the group` };
  const ids = [self, ...hellos.map(({ id }) => id)].sort();
  return { kind: 'found', record: { founders: ids, isJoining: false } };
}
