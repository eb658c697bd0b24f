/** Members of a group for tests: real HTTP servers and links in one process, each over a disk that outlives it. */

import { randomUUID } from 'node:crypto';
import { failure } from '../errors.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { systemRandom } from '../runtime/system-random.ts';
import { closeTestNodes, link, startNode, type TestNode, until } from '../runtime/test-peers.ts';
import type { AckRule } from '../single-leader/ack-policy.ts';
import { raftDefaults } from '../single-leader/state.ts';
import { createMemoryStore, type MemoryStore } from '../store/memory-store.ts';
import { type CommittedEntry, type Group, type GroupOptions, openGroup } from './group.ts';
import type { GroupSettings } from './group-settings.ts';
import type { StateMachine } from './state-machine.ts';

const quick: GroupSettings = {
  tickMs: 10,
  raft: { ...raftDefaults, electionTicksMin: 15, electionTicksMax: 30 },
  readMsMax: 4_000,
  handOverMsMax: 1_000,
  acquaintanceMsMax: 2_000,
  retryMs: 20,
  askRemovalMs: 100,
  logEntriesKept: 1_000,
  logEntriesMax: 4_000,
  logBytesKept: 32_000_000,
  logBytesMax: 256_000_000,
};

export const byMajority: AckRule = {
  policy: { kind: 'semi_sync', followers: 'majority' },
  onTimeout: 'block',
  timeoutTicks: 1,
};

export const byLeader: AckRule = { policy: { kind: 'async' }, onTimeout: 'block', timeoutTicks: 1 };

/** What survives a restart: the store, and the texts that were applied to it. */
export interface TestDisk {
  readonly uuid: string;
  readonly store: MemoryStore;
  readonly machine: StateMachine;
  texts(): readonly string[];
  /** While full, nothing becomes durable. */
  setFull(isFull: boolean): void;
}

export function createDisk(): TestDisk {
  let isFull = false;
  const store = createMemoryStore({
    sync: async () => {
      if (isFull) throw failure('insufficient_storage');
    },
  });
  const applied = new Map<number, string>();
  let index = 0;
  return {
    uuid: randomUUID(),
    store,
    machine: {
      appliedIndex: () => index,
      async apply(entries, through) {
        await store.commit([{ kind: 'put', key: Buffer.from('T'), value: Buffer.from(`${through.index}`) }]);
        for (const entry of entries) applied.set(entry.index, Buffer.from(entry.data).toString());
        index = through.index;
      },
    },
    texts: () => [...applied.values()],
    setFull(full) {
      isFull = full;
      // The store finds out that there is room again by writing, as a real one does by itself.
      if (!full) void store.commit([{ kind: 'put', key: Buffer.from('room'), value: Buffer.from('yes') }]);
    },
  };
}

export interface Recovered {
  readonly texts: readonly string[];
  readonly epoch: number;
}

export interface TestMember {
  readonly name: string;
  readonly disk: TestDisk;
  readonly group: Group;
  readonly node: TestNode;
  readonly recovered: Recovered[];
  /** From now on nobody takes what it recovered. */
  refuseRecovered(): void;
  readonly defects: unknown[];
  /** Cut off, nothing that it or others say arrives. */
  setCut(isCut: boolean): void;
  isCut(): boolean;
  close(): Promise<void>;
}

export interface MemberStart {
  readonly name: string;
  readonly peers: readonly string[];
  readonly disk?: TestDisk;
  readonly settings?: Partial<GroupSettings>;
}

const members = new Set<TestMember>();

/** For `afterEach`. */
export async function closeMembers(): Promise<void> {
  await Promise.all([...members].map((member) => member.close()));
  await closeTestNodes();
}

export async function startMember({
  name,
  peers,
  disk = createDisk(),
  settings,
}: MemberStart): Promise<TestMember> {
  let isCut = false;
  let isRefusing = false;
  let group: Group | undefined;
  const recovered: Recovered[] = [];
  const node = await startNode(name, {
    onMessage: (from, kind, bytes) => {
      if (!isCut) group?.receive(from, kind, bytes);
    },
    onRequest: (from, kind, bytes) => {
      const answer = isCut ? undefined : group?.serve(from, kind, bytes);
      if (answer === undefined) throw new PeerRefusal('not now');
      return answer;
    },
  });
  const { transport } = node;
  const cutTransport: GroupOptions['transport'] = {
    send: (peer, kind, bytes) => (isCut ? 'link_down' : transport.send(peer, kind, bytes)),
    request: (peer, kind, bytes, options) => transport.request(peer, kind, bytes, options),
  };
  const defects: unknown[] = [];
  const opened = await openGroup({
    ...{ store: disk.store, diskUuid: disk.uuid, self: name, peers, transport: cutTransport },
    ...{ clock: systemClock, random: systemRandom, stateMachine: disk.machine },
    log: { info: () => {}, warn: () => {}, error: () => {} },
    onRecovered: async (entries, epoch) => {
      recovered.push({ texts: entries.map(textOf), epoch });
      if (isRefusing) throw new Error('nobody takes it');
    },
    onStateNeeded: () => {},
    askMembership: async (peer) => (isCut ? undefined : membershipOn(peer)),
    onDefect: (error) => defects.push(error),
    settings: { ...quick, ...settings },
  });
  group = opened;
  const member: TestMember = {
    ...{ name, disk, group: opened, node, recovered, defects },
    refuseRecovered: () => {
      isRefusing = true;
    },
    setCut: (cut) => {
      isCut = cut;
    },
    isCut: () => isCut,
    async close() {
      members.delete(member);
      await opened.close();
      await node.close();
    },
  };
  members.add(member);
  for (const other of members) if (other !== member) link(other.node, node);
  return member;
}

function membershipOn(name: string): ReturnType<Group['committedMembership']> {
  const asked = [...members].find((member) => member.name === name && !member.isCut());
  return asked?.group.committedMembership();
}

function textOf({ data }: CommittedEntry): string {
  return Buffer.from(data).toString();
}

export function startMembers(...names: readonly string[]): Promise<TestMember[]> {
  return Promise.all(
    names.map((name) => startMember({ name, peers: names.filter((peer) => peer !== name) })),
  );
}

/** Closes a member and starts it again, with the same disk or with a new one. */
export async function restart(
  member: TestMember,
  { peers, disk = member.disk }: { readonly peers: readonly string[]; readonly disk?: TestDisk },
): Promise<TestMember> {
  await member.close();
  return startMember({ name: member.name, peers, disk });
}

/** The one of them that leads and may be asked, once there is one and all of them know it. */
export async function leaderOf(group: readonly TestMember[]): Promise<TestMember> {
  let found: TestMember | undefined;
  await until(() => {
    const leader = group.find((member) => member.group.status().leaderReady);
    const known = group.map((member) => member.group.status().leader);
    if (leader === undefined || known.some((name) => name !== leader.name))
      throw new Error(`no leader that all know: ${known.join()}`);
    found = leader;
  });
  return found as TestMember;
}

export function followersOf(group: readonly TestMember[], leader: TestMember): TestMember[] {
  return group.filter((member) => member !== leader);
}

export function write(member: TestMember, text: string, ack: AckRule = byMajority) {
  return member.group.propose(Buffer.from(text), ack);
}

export async function untilApplied(group: readonly TestMember[], texts: readonly string[]): Promise<void> {
  await until(() => {
    for (const { name, disk } of group) {
      if (disk.texts().join() !== texts.join()) throw new Error(`${name} applied ${disk.texts().join()}`);
    }
  });
}
