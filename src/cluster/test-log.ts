/** A log without elections for the tests of this folder: what is proposed is committed, and applied where and when a test says. */

import { randomUUID } from 'node:crypto';
import type { Databases } from '../database/databases.ts';
import { openTestDatabases } from '../database/test-database.ts';
import { failure } from '../errors.ts';
import type { NodeId } from '../replication/strategy.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { systemRandom } from '../runtime/system-random.ts';
import type { AckRule } from '../single-leader/ack-policy.ts';
import { asIndex, asTerm } from '../single-leader/entry.ts';
import type { MemoryStore } from '../store/memory-store.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { Addresses } from './addresses.ts';
import { Catalog } from './catalog.ts';
import { Cluster } from './cluster.ts';
import type { CommittedEntry, Group, GroupStatus, MemberStatus, ProposalResult } from './group.ts';
import type { GroupStanding } from './group-status.ts';

export interface TestReplica {
  readonly store: MemoryStore;
  readonly databases: Databases;
  readonly catalog: Catalog;
}

/** One leader and any number of followers over one shared log. */
export class TestLog {
  readonly entries: CommittedEntry[] = [];
  /** What proposals are answered with; the default acknowledges. */
  answer: (entry: CommittedEntry, ack: AckRule) => ProposalResult = acknowledged;
  leads = true;
  /** False: a majority does not confirm that it still leads. */
  confirms = true;
  lineage = 0;
  members: readonly MemberStatus[] = voters;
  readonly #waiting = new Set<() => void>();
  #leader: TestReplica | undefined;
  #applying: Promise<void> = Promise.resolve();

  /** The replica that proposals are applied on at once. */
  async openLeader(): Promise<TestReplica & { readonly cluster: Cluster }> {
    const cluster = new Cluster({
      clock: systemClock,
      random: systemRandom,
      tickMs: 50,
      followerWrites: 'forward',
      addresses: new Addresses({ self: 'n1', url: undefined, fixed: [], learned: [] }),
      ...{ transport: undefined, hasSecret: false, leaderChoice: 'elected', readLease: false },
      peerHeaders: () => ({}),
      placeOwners: ({ n, nodes }) => nodes.slice(0, n),
      requireWriter: () => {},
    });
    const replica = await openReplica(createMemoryStore(), cluster.routeWrites);
    const onDefect = (error: unknown) => {
      throw error;
    };
    cluster.begin({ databases: replica.databases, group: this.#group(), request: undefined, onDefect });
    this.#leader = replica;
    return { ...replica, cluster };
  }

  /** Resolves when the leader has applied everything. */
  async settled(): Promise<void> {
    await this.#applying;
  }

  #group(): Group {
    const status = () => this.#status();
    return {
      status,
      standing: () => this.#standing(),
      propose: (data, ack) => this.#propose(data, ack),
      readBarrier: async () => {
        if (!this.confirms) throw failure('service_unavailable');
        return { index: this.entries.length, by: 'quorum' };
      },
      appliedThrough: (index) => this.#appliedThrough(index),
      whenSettled: (index, callback) => {
        if (this.leads) void this.#appliedThrough(index).then(callback);
        else callback();
      },
      expedite: () => () => undefined,
      committedMembership: () => ({
        ...{ founders: [], index: 0, lineage: 0 },
        members: this.members.map(({ id }) => id as NodeId),
      }),
      stalenessMs: () => 0,
      onChange: () => () => undefined,
      statePoint: () => undefined,
      installState: async () => undefined,
      receive: () => undefined,
      serve: () => undefined,
      close: async () => undefined,
      ...membership,
    };
  }

  #standing(): GroupStanding {
    const { applied, leader, leaderReady, lineage = 0, term } = this.#status();
    return { applied: { index: applied, term }, leader, leaderReady, lineage, removal: undefined };
  }

  #status(): GroupStatus {
    const applied = this.#leader?.catalog.appliedIndex() ?? 0;
    const last = this.entries.length;
    const epochs = [{ term: asTerm(1), leader: 'n1#0' as never, firstIndex: asIndex(1) }];
    return {
      ...{
        self: 'n1',
        id: 'n1#0',
        role: 'leader',
        term: 1,
        lineage: this.lineage,
        leader: 'n1',
        commit: last,
        applied,
        lastIndex: last,
        lastTerm: 1,
      },
      ...{
        epochs,
        members: this.members,
        leaderReady: this.leads,
        founded: true,
        awaitsAdmission: false,
        fencedOut: false,
        stopped: false,
      },
    };
  }

  async #propose(data: Uint8Array, ack: AckRule): Promise<ProposalResult> {
    const entry: CommittedEntry = { index: asIndex(this.entries.length + 1), term: asTerm(1), data };
    const result = this.answer(entry, ack);
    if (result.kind === 'rejected') return result;
    this.entries.push(entry);
    this.#applying = this.#applying.then(async () => {
      await this.#leader!.catalog.apply([entry], entry, () => true);
      for (const wake of [...this.#waiting]) wake();
    });
    return result;
  }

  async #appliedThrough(index: number): Promise<void> {
    while (this.#leader!.catalog.appliedIndex() < index) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }
}

const voters = ['n1#00000001', 'n2#00000002', 'n3#00000003'].map((id) => {
  return { id, name: id.slice(0, 2), kind: 'voter', url: undefined } as const;
});

const membership: Pick<
  Group,
  | 'transferLeadership'
  | 'promote'
  | 'forcePromotion'
  | 'survey'
  | 'addMember'
  | 'promoteLearner'
  | 'removeMember'
> = {
  survey: async () => [],
  transferLeadership: async () => 'done',
  promote: async () => 'already_leader',
  forcePromotion: async () => 'elected',
  addMember: async () => 'committed',
  promoteLearner: async () => 'committed',
  removeMember: async () => 'committed',
};

function acknowledged({ index, term }: CommittedEntry, { policy }: AckRule): ProposalResult {
  const receipt = { index, term, policy, durableOn: [], committed: true };
  return { kind: 'acknowledged', outcome: 'met', receipt, index, term };
}

/** A replica that follows: a test applies the log's entries to it. */
export async function openReplica(
  store: MemoryStore = createMemoryStore(),
  routeWrites?: Cluster['routeWrites'],
): Promise<TestReplica> {
  const databases = await openTestDatabases(store, undefined, routeWrites);
  const onMovedAside = () => undefined;
  return {
    store,
    databases,
    catalog: new Catalog({ store, databases, diskUuid: randomUUID(), onMovedAside }),
  };
}

/** Applies entries in batches of these sizes, the last one repeated as often as needed. */
export async function applyInBatches(
  { catalog }: TestReplica,
  entries: readonly CommittedEntry[],
  sizes: readonly number[],
): Promise<void> {
  let left = entries;
  for (let batch = 0; left.length > 0; batch += 1) {
    const size = sizes[Math.min(batch, sizes.length - 1)]!;
    const part = left.slice(0, size);
    await catalog.apply(part, part.at(-1)!, () => true);
    left = left.slice(size);
  }
}
