/** Cluster services that do as a test says, and databases whose writes tell of the acknowledgement that it says. */

import { onBehalfOfHeader } from '../../src/access/on-behalf-of.ts';
import { peerProofHeader, provePeer } from '../../src/access/peer-proof.ts';
import { replicationOf } from '../../src/cluster/replication-choice.ts';
import type { Databases, RouteWrites } from '../../src/database/databases.ts';
import type { AckSettings } from '../../src/database/model.ts';
import type { AckWish, WriteOptions, WriteReceipt } from '../../src/database/writes.ts';
import { failure } from '../../src/errors.ts';
import type { ClusterServices, ClusterStatus, GroupPosition, LeaderPlace } from '../../src/http/services.ts';
import { startTestApp, type TestApp, type TestAppOptions } from './http-app.ts';

const secret = 'the secret of the test cluster';
const inLog = { reference: 1, identity: 'abcd' };

/** What a test may change at any time. */
export interface FakeGroup {
  place: LeaderPlace;
  followerWrites: 'forward' | 'refuse';
  /** Undefined: no leader confirms. */
  confirmedBy: 'quorum' | 'lease' | undefined;
  stalenessMs: number | undefined;
  applied: GroupPosition;
  /** What the next writes are told. */
  receipt: Partial<WriteReceipt>;
  status: Partial<ClusterStatus>;
  policies: ReadonlyMap<string, AckSettings>;
  isWitness: boolean;
  /** True says so only: there is nobody to take an edit to. */
  forwardsEdits: boolean;
  readonly acksWished: (AckWish | undefined)[];
  readonly barriers: { count: number };
  readonly promotions: object[];
  readonly transfers: (string | undefined)[];
  readonly nodeChanges: string[];
  /** Changes who leads and tells it. */
  lead(place: LeaderPlace): void;
  /** How many wait to hear of a change. */
  listening(): number;
}

export interface FakeNode {
  readonly app: TestApp;
  readonly group: FakeGroup;
}

export async function startFakeNode(name: string, options: TestAppOptions = {}): Promise<FakeNode> {
  const listeners = new Set<() => void>();
  const group = fakeGroup(listeners);
  const app = await startTestApp({
    ...{ name, secret, routeWrites: routeWrites(group) },
    cluster: (databases) => fakeCluster({ name, group, databases, listeners }),
    ...options,
  });
  return { app, group };
}

function fakeGroup(listeners: ReadonlySet<() => void>): FakeGroup {
  const group: FakeGroup = {
    place: { kind: 'here' },
    followerWrites: 'forward',
    confirmedBy: 'lease',
    stalenessMs: undefined,
    applied: { term: 4, index: 100 },
    receipt: {},
    status: {},
    policies: new Map(),
    isWitness: false,
    forwardsEdits: false,
    ...{ acksWished: [], barriers: { count: 0 }, promotions: [], transfers: [], nodeChanges: [] },
    lead: (place) => {
      group.place = place;
      for (const listener of [...listeners]) listener();
    },
    listening: () => listeners.size,
  };
  return group;
}

function routeWrites(group: FakeGroup): RouteWrites {
  const tell = ({ ack, onReceipt }: WriteOptions): void => {
    group.acksWished.push(ack);
    const { term, index } = group.applied;
    const usual = { met: true, policy: 'semi-sync', durableOn: ['n1', 'n2'], elapsedMs: 1.23456 };
    onReceipt?.({ ...usual, term, index: index + 1, ...group.receipt });
  };
  return (_database, _replication, local) => ({
    edit: (edits, options) => {
      tell(options);
      return local.edit(edits, options);
    },
    insert: (revisions, options) => {
      tell(options);
      return local.insert(revisions, options);
    },
    purge: (request) => local.purge(request),
    writeLocal: (write) => local.writeLocal(write),
    changeSettings: (change) => local.changeSettings(change),
    storeBlob: (content, bytesMax) => local.storeBlob(content, bytesMax),
    flush: () => local.flush(),
  });
}

interface Fake {
  readonly name: string;
  readonly group: FakeGroup;
  readonly databases: Databases;
  readonly listeners: Set<() => void>;
}

function fakeCluster({ name, group, databases, listeners }: Fake): ClusterServices {
  const onLeaderChange = (listener: () => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  return {
    get followerWrites() {
      return group.followerWrites;
    },
    get forwardsEdits() {
      return group.forwardsEdits;
    },
    ...{ leaderChoice: 'elected', readLease: false },
    policies: () => group.policies,
    hasDocuments: () => !group.isWitness,
    status: () => statusOf(name, group),
    removal: () => (group.place.kind === 'removed' ? group.place.advice : undefined),
    ...{ committedMembership: () => undefined, ownersMax: () => undefined },
    isSingleLeader: (database) => databases.replication(database).strategy === 'single-leader',
    nodes: {
      add: async ({ name: added, url, kind }) => {
        group.nodeChanges.push(`add ${added} ${url} ${kind}`);
        return { name: added, id: `${added}#ff`, url, kind };
      },
      promote: async (promoted) => {
        group.nodeChanges.push(`promote ${promoted}`);
        return { name: promoted, id: `${promoted}#ff`, url: undefined, kind: 'voter' };
      },
      remove: async (removed) => void group.nodeChanges.push(`remove ${removed}`),
    },
    leader: (waitMs) => waitForLeader(group, onLeaderChange, waitMs),
    onLeaderChange,
    readBarrier: async () => {
      group.barriers.count += 1;
      if (group.confirmedBy === undefined) throw failure('service_unavailable', 'No leader confirmed it.');
      return { index: group.applied.index, by: group.confirmedBy };
    },
    stalenessMs: () => group.stalenessMs,
    appliedPosition: () => group.applied,
    waitForPosition: async ({ index }) => {
      if (index > group.applied.index) throw failure('service_unavailable', 'Not there yet.');
    },
    isInCatalog: (database) => databases.replication(database).reference !== undefined,
    createDatabase: async (database, choice) => {
      await databases.create(database, { incarnation: 'abcd', replication: replicationOf(choice, inLog) });
    },
    deleteDatabase: (database) => databases.drop(database, []),
    setReplication: (database, choice) => databases.configure(database, replicationOf(choice, inLog)),
    replaceOwner: async () => undefined,
    ...leadership(group),
    peerHeaders: (request) => ({
      [peerProofHeader]: provePeer(secret, name, request, Date.now()),
      [onBehalfOfHeader]: request.onBehalfOf,
    }),
  };
}

function statusOf(name: string, { applied, place, status }: FakeGroup): ClusterStatus {
  const leader = place.kind === 'here' ? name : place.kind === 'there' ? place.name : undefined;
  return {
    ...{ role: place.kind === 'here' ? 'leader' : 'follower', term: applied.term, leader },
    ...{ hasQuorum: leader !== undefined, commit: applied.index, applied: applied.index },
    ...{ epochs: [], members: [], kind: 'voter', quorum: undefined },
    ...status,
  };
}

function leadership(group: FakeGroup): Pick<ClusterServices, 'promote' | 'transfer'> {
  return {
    promote: async (options) => {
      group.promotions.push(options);
      return { ok: true, outcome: 'elected' };
    },
    transfer: async (to) => {
      group.transfers.push(to);
      return { ok: true, outcome: 'done' };
    },
  };
}

function waitForLeader(
  group: FakeGroup,
  onLeaderChange: (listener: () => void) => () => void,
  waitMs: number,
): Promise<LeaderPlace> {
  if (group.place.kind !== 'none' || waitMs === 0) return Promise.resolve(group.place);
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      stop();
      resolve(group.place);
    };
    const timer = setTimeout(end, waitMs);
    const stop = onLeaderChange(end);
  });
}
