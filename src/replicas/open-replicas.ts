/**
 * Puts a node's leaderless databases together: how peers are asked and answered, how writes and reads go, hints, and who
 * is alive. {@link Replicas} is there before anything is opened, because databases get their way of writes from it;
 * {@link openReplicas} gives it what it works with.
 */

import type { Databases } from '../database/databases.ts';
import type { DetectorOptions } from '../leaderless/failure-detector.ts';
import { HintBook, type HintLimits, hintLimitsDefault } from '../leaderless/hints.ts';
import type { Pace } from '../leaderless/token-bucket.ts';
import type { Log } from '../runtime/log.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import type { Store } from '../store/store.ts';
import { AntiEntropy } from './anti-entropy.ts';
import { closingClock } from './closing-clock.ts';
import { ContentSender } from './contents.ts';
import { Delivery } from './delivery.ts';
import { Forgetting } from './forgetting.ts';
import { Handoff, hintFor } from './handoff.ts';
import { openHintStore } from './hint-store.ts';
import { Joining } from './joining.ts';
import { Liveness } from './liveness.ts';
import { membersOnly } from './members-only.ts';
import { PeerDesk } from './peer-desk.ts';
import { Rejoining } from './rejoining.ts';
import { ReplicaCaller } from './replica-caller.ts';
import { heartbeatKind } from './replica-kinds.ts';
import { ReplicaServer } from './replica-server.ts';
import type { ReplicaSets } from './replica-sets.ts';
import { standingHere } from './replica-status.ts';
import type { Replicas, ReplicasParts } from './replicas.ts';
import type { ArrivedRevision } from './revision-codec.ts';

export interface ReplicasSettings {
  readonly detector: DetectorOptions;
  readonly hints: HintLimits;
  /** Between tries to fill a replica whose disk was lost. */
  readonly rejoinMs: number;
  /** See AntiEntropyOptions. */
  readonly antiEntropy: { readonly intervalMs: number; readonly returnMs: number; readonly pace: Pace };
}

const replicasDefaults: ReplicasSettings = {
  detector: {
    ...{ heartbeatMs: 250, intervalMsMax: 2_500, phiMax: 8, samplesMax: 100 },
    ...{ slowFactor: 4, slowMsMin: 20 },
  },
  hints: hintLimitsDefault,
  rejoinMs: 1_000,
  antiEntropy: {
    ...{ intervalMs: 60_000, returnMs: 2_000 },
    pace: { tokensPerSecond: 8_000_000, burst: 8_000_000 },
  },
};

export interface OpenReplicasOptions {
  readonly databases: Databases;
  readonly store: Store;
  readonly self: string;
  readonly peers: () => readonly string[];
  readonly transport: Pick<PeerTransport, 'send' | 'request' | 'linkState'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onDefect: (error: unknown) => void;
  readonly settings?: Partial<ReplicasSettings>;
}

export interface OpenReplicas {
  /** For the transport's handlers; undefined for a kind that belongs to somebody else. */
  serve(from: string, kind: number, bytes: Uint8Array): Uint8Array | Promise<Uint8Array> | undefined;
  /** False for a message that belongs to somebody else. */
  receive(from: string, kind: number): boolean;
  close(): Promise<void>;
}

/** For a node without peers. */
export const nowhere: OpenReplicasOptions['transport'] = {
  send: () => 'link_down',
  request: () =>
    Promise.reject(new PeerRequestError('link_down', 'not_delivered', 'This node has no peers.')),
  linkState: () => ({ kind: 'down', reason: 'This node has no peers.', isRefused: false }),
};

export async function openReplicas(replicas: Replicas, options: OpenReplicasOptions): Promise<OpenReplicas> {
  const closing = closingClock(options.clock);
  const parts = await openParts(replicas, { ...options, clock: closing.clock });
  const { antiEntropy, contents, handoff, liveness, rejoining } = parts;
  const { sets } = replicas;
  const server = new ReplicaServer({
    databaseOf: (identity) => sets.databaseOf(identity),
    mayRead: (identity, node) => sets.mayRead(identity, node),
    isOwner: (identity, node) => sets.isOwner(identity, node),
    standIn: (arrivals) => standIn(arrivals, sets, handoff),
  });
  const desk = new PeerDesk({
    ...{ server, contents, sets },
    standing: (identity) => standingHere(sets.byIdentity(identity), { rejoining, members: sets.members() }),
  });
  replicas.begin(parts);
  liveness.start();
  handoff.start();
  antiEntropy.start();
  rejoining.start();
  return {
    serve: (from, kind, bytes) => desk.serve(from, kind, bytes),
    receive(from, kind) {
      if (kind === heartbeatKind) liveness.heard(from);
      return kind === heartbeatKind;
    },
    async close() {
      liveness.stop();
      antiEntropy.stop();
      rejoining.stop();
      sets.end();
      closing.close();
      await handoff.close();
    },
  };
}

interface OpenParts extends ReplicasParts {
  readonly contents: ContentSender;
}

async function openParts({ sets }: Replicas, options: OpenReplicasOptions): Promise<OpenParts> {
  const { clock, databases, log, onDefect, peers, random, self, store } = options;
  const transport = membersOnly(options.transport, (node) => sets.isMember(node));
  const settings = { ...replicasDefaults, ...options.settings };
  sets.begin(databases);
  const liveness: Liveness = new Liveness({
    ...{ peers, transport, clock, detector: settings.detector },
    onBack: (peer) => {
      handoff.back(peer);
      antiEntropy.back(peer);
    },
  });
  const caller = new ReplicaCaller({
    ...{ transport, onDefect, now: () => clock.monotonic() },
    onReply: (peer, reply, elapsedMs) => {
      if (reply === 'answered') liveness.answered(peer, elapsedMs);
    },
  });
  const contents = new ContentSender(transport, onDefect);
  const delivery = new Delivery(caller, contents);
  const book = new HintBook(settings.hints);
  const hints = await openHintStore({ store, clock, random, book });
  const handoff = new Handoff({
    ...{ store: hints, book, delivery, clock, random, log, sets },
    isThere: (node) => !liveness.isSuspected(node),
  });
  const joining = new Joining({ self, transport, caller, clock, log });
  const { pace, ...times } = settings.antiEntropy;
  const antiEntropy = new AntiEntropy({
    ...{ sets, liveness, clock, random, log, ...times, forgetting: new Forgetting(self, clock) },
    comparison: { transport, caller, delivery, joining, clock, pace },
  });
  const retryMs = settings.rejoinMs;
  const rejoining = new Rejoining({ sets, antiEntropy, liveness, transport, clock, log, onDefect, retryMs });
  const talking = { transport, caller, contents, delivery, joining };
  return { ...talking, self, clock, liveness, hints, handoff, antiEntropy, rejoining };
}

/** A stand-in counts once it will bring what it took to its owner. */
function standIn(
  arrivals: readonly ArrivedRevision[],
  sets: ReplicaSets,
  handoff: Handoff,
): Promise<'stored' | 'refused'> {
  const kept = arrivals.flatMap(({ identity, owner, revision }) => {
    const set = sets.byIdentity(identity);
    if (set === undefined || owner === undefined || owner === sets.self) return [];
    return [hintFor(owner, set, revision.id, revision.revision)];
  });
  return handoff.keepNow(kept);
}
