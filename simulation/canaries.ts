/**
 * Planted bugs. A checker that was never seen red proves nothing, so each of these puts one classic mistake into a run,
 * and a test demands that it is caught within so many seeds.
 *
 * Production code has no part in it: a canary is wrapped around the core, the log writer or the disk, or is a choice that
 * the simulated application makes.
 */

import type { Core } from '../src/replication/strategy.ts';
import { asIndex, asTerm, plus } from '../src/single-leader/entry.ts';
import type { DurableState, LogWrite, RaftEffect, RaftEvent } from '../src/single-leader/events.ts';
import { entriesBetween } from '../src/single-leader/log.ts';
import type { RaftMessage } from '../src/single-leader/messages.ts';
import type { Raft } from '../src/single-leader/state.ts';
import { majorityMatch } from './replica.ts';

type RaftCore = Core<RaftEvent, RaftEffect>;

export interface Canary {
  readonly core?: (core: RaftCore, raft: Raft) => RaftCore;
  readonly logWrite?: (write: LogWrite) => LogWrite;
  readonly onRestart?: (durable: DurableState) => DurableState;
  /** The disk says that a batch is durable before it is. */
  readonly tellsBeforeSync?: boolean;
  /** Linearizable reads are answered from what is applied here. */
  readonly answersStale?: boolean;
  /** Session reads take no notice of the client's token. */
  readonly ignoresToken?: boolean;
  /** Entries that a deposed leader gives up are gone. */
  readonly dropsRecovered?: boolean;
  /** A node whose disk was replaced goes on as who it was. */
  readonly keepsIdentity?: boolean;
  /** A witness answers reads, from the documents that it does not have. */
  readonly letsWitnessAnswer?: boolean;
  /** What is applied counts until another state is visible in its place, whatever that is. */
  readonly countsReplacedState?: boolean;
  /** Of a write that comes back and the one that is current, either may win. */
  readonly letsLateWritesWin?: boolean;
}

export interface PlantedBug {
  readonly canary: Canary;
  readonly explanation: string;
  /** It must be caught by one of so many seeds, */
  readonly seedsMax: number;
  /** beginning with this one: a rare moment is not searched for by every run of the tests. 1 unless told. */
  readonly seedFirst?: number;
  /** The profile under which it must be. */
  readonly profile: string;
}

export const plantedBugs: Readonly<Record<string, PlantedBug>> = {
  'ack-before-fsync': {
    explanation: 'the disk says that a batch is durable before it is',
    canary: { tellsBeforeSync: true },
    profile: 'crash',
    seedsMax: 3,
  },
  'vote-forgotten': {
    explanation: 'a node that restarts knows neither its term nor whom it voted for',
    canary: { onRestart: forgetVote },
    profile: 'elections',
    seedsMax: 5,
  },
  'vote-for-everyone': {
    explanation: 'a node grants every vote it is asked for',
    canary: { core: grantEveryVote },
    profile: 'elections',
    seedsMax: 25,
  },
  'stale-read': {
    explanation: 'any node answers linearizable reads from what it has applied',
    canary: { answersStale: true },
    profile: 'all',
    seedsMax: 3,
  },
  'token-ignored': {
    explanation: "a session read takes no notice of the client's token",
    canary: { ignoresToken: true },
    profile: 'all',
    seedsMax: 3,
  },
  'commit-of-old-term': {
    explanation: 'a leader commits entries of earlier terms by counting who has them',
    canary: { core: commitByCountingAlone },
    profile: 'figure-8',
    seedsMax: 60,
  },
  'truncation-lost': {
    explanation: 'entries that were truncated from the log stay on the disk',
    canary: { logWrite: (write) => ({ ...write, truncateFrom: undefined }) },
    profile: 'elections',
    seedFirst: 46,
    seedsMax: 10,
  },
  'applied-twice': {
    explanation: 'a node that restarts applies its last entry again',
    canary: { onRestart: (durable) => ({ ...durable, applied: asIndex(Math.max(0, durable.applied - 1)) }) },
    profile: 'crash',
    seedsMax: 3,
  },
  'entry-skipped': {
    explanation: 'one node skips one entry in a hundred',
    canary: { core: skipSomeEntries },
    profile: 'calm',
    seedsMax: 3,
  },
  'acknowledged-early': {
    explanation: "a leader acknowledges every write when its own disk has it, whatever the write's policy",
    canary: { core: acknowledgeAlone },
    profile: 'calm',
    seedsMax: 3,
  },
  'recovered-dropped': {
    explanation: 'what a deposed leader has to give up is thrown away',
    canary: { dropsRecovered: true },
    profile: 'all',
    seedsMax: 20,
  },
  'late-write-wins': {
    explanation: 'a write that comes back may displace what was acknowledged since',
    canary: { letsLateWritesWin: true },
    profile: 'elections',
    seedsMax: 20,
  },
  'identity-kept': {
    explanation: 'a node whose disk was replaced votes as who it was',
    canary: { keepsIdentity: true },
    profile: 'wipe',
    seedsMax: 10,
  },
  'side-not-fenced': {
    explanation: 'nobody takes notice that a membership was forced somewhere else',
    canary: { core: hearNoLineage },
    profile: 'force',
    seedsMax: 5,
  },
  'replaced-state-counts': {
    explanation: 'reads count on what is applied while the state of a forced membership takes its place',
    canary: { countsReplacedState: true },
    profile: 'all',
    seedFirst: 53,
    seedsMax: 1,
  },
  'witness-answers': {
    explanation: 'a witness answers reads like everybody else',
    canary: { letsWitnessAnswer: true },
    profile: 'witness',
    seedsMax: 3,
  },
  'appointed-unread': {
    explanation: 'whoever is appointed gets every vote, whatever its log lacks',
    canary: { core: obeyAppointments },
    profile: 'appointed',
    seedsMax: 20,
  },
  'election-stuck': {
    explanation: 'from term 3 on nobody hears that it was voted for',
    canary: { core: hearNoVotes },
    profile: 'elections',
    seedsMax: 5,
  },
};

export const noCanary: Canary = {};

/** Changes what a core is told, or what it says. */
function around(
  core: RaftCore,
  change: {
    readonly event?: (event: RaftEvent) => RaftEvent | undefined;
    readonly effect?: (effect: RaftEffect) => RaftEffect;
    /** What it says besides. */
    readonly more?: () => readonly RaftEffect[];
  },
): RaftCore {
  return {
    checkInvariants: () => core.checkInvariants(),
    step: (event) => {
      const told = change.event === undefined ? event : change.event(event);
      if (told === undefined) return [];
      const effects = [...core.step(told), ...(change.more?.() ?? [])];
      return change.effect === undefined ? effects : effects.map(change.effect);
    },
  };
}

function forgetVote(durable: DurableState): DurableState {
  const { term } = durable.entries.at(-1) ?? durable.start;
  return { ...durable, hardState: { ...durable.hardState, term, vote: undefined } };
}

function grantEveryVote(core: RaftCore): RaftCore {
  const granted = (message: RaftMessage): RaftMessage =>
    message.kind === 'vote_response' ? { ...message, granted: true } : message;
  return around(core, {
    effect: (effect) => (effect.kind === 'send' ? { ...effect, message: granted(effect.message) } : effect),
  });
}

/** The rule of §5.4.2 without its second half: that the entry counted must be of the leader's own term. */
function commitByCountingAlone(core: RaftCore, raft: Raft): RaftCore {
  const more = (): RaftEffect[] => {
    const { role, log, commit } = raft;
    if (role.kind !== 'leader') return [];
    const reached = majorityMatch(raft, role);
    if (reached <= commit) return [];
    raft.commit = reached;
    return [{ kind: 'apply', entries: entriesBetween(log, plus(commit, 1), raft.commit) }];
  };
  return around(core, { more });
}

function skipSomeEntries(core: RaftCore, raft: Raft): RaftCore {
  const isKept = (entry: { readonly index: number }) =>
    !raft.self.startsWith('n2#') || entry.index % 100 !== 50;
  return around(core, {
    effect: (effect) =>
      effect.kind === 'apply'
        ? {
            ...effect,
            entries: effect.entries.map((entry) =>
              isKept(entry) ? entry : { ...entry, body: { kind: 'withheld' } },
            ),
          }
        : effect,
  });
}

function acknowledgeAlone(core: RaftCore): RaftCore {
  const asIfAsync = (event: RaftEvent): RaftEvent =>
    event.kind === 'propose'
      ? {
          ...event,
          proposals: event.proposals.map((proposal) => ({
            ...proposal,
            ack: { ...proposal.ack, policy: { kind: 'async' } },
          })),
        }
      : event;
  return around(core, { event: asIfAsync });
}

function hearNoLineage(core: RaftCore, raft: Raft): RaftCore {
  const isOfAnother = (event: RaftEvent) =>
    event.kind === 'received' && event.message.lineage !== raft.lineage;
  return around(core, { event: (event) => (isOfAnother(event) ? undefined : event) });
}

function obeyAppointments(core: RaftCore): RaftCore {
  const longest = { index: asIndex(Number.MAX_SAFE_INTEGER), term: asTerm(Number.MAX_SAFE_INTEGER) };
  const asked = (message: RaftMessage): RaftMessage =>
    (message.kind === 'vote_request' || message.kind === 'pre_vote_request') &&
    message.reason === 'appointment'
      ? { ...message, last: longest }
      : message;
  return around(core, {
    event: (event) => (event.kind === 'received' ? { ...event, message: asked(event.message) } : event),
  });
}

function hearNoVotes(core: RaftCore, raft: Raft): RaftCore {
  const isVote = (event: RaftEvent) => event.kind === 'received' && event.message.kind === 'vote_response';
  return around(core, { event: (event) => (raft.term >= 3 && isVote(event) ? undefined : event) });
}
