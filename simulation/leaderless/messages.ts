/** What simulated replicas of a leaderless database say to each other, and what clients ask them. */

import type { Revision } from '../../src/document/revision.ts';
import type { Stamp } from '../../src/document/stamp.ts';
import type { Answer, Question } from '../../src/leaderless/anti-entropy.ts';
import type { NamedRevisions } from '../../src/leaderless/bucket-entries.ts';
import type { HeldRevision } from '../../src/leaderless/held-revisions.ts';
import type { Grave } from '../../src/replication/graves.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import type { GroupEntry } from './group.ts';

/** A revision on its way between replicas. Its body is one number of its own, so a number names its write. */
export interface ToldRevision extends HeldRevision {
  readonly id: string;
  readonly value: number;
  readonly stamp: Stamp | undefined;
}

export type PeerRequest =
  /** `standsInFor`: keep it for this owner, unless that is you. */
  | { readonly kind: 'join'; readonly revisions: readonly ToldRevision[]; readonly standsInFor?: string }
  | { readonly kind: 'repair'; readonly revisions: readonly ToldRevision[] }
  | { readonly kind: 'digest' | 'full'; readonly id: string }
  | { readonly kind: 'question'; readonly question: Question }
  | { readonly kind: 'fetch'; readonly wanted: readonly NamedRevisions[] }
  | { readonly kind: 'bury'; readonly graves: readonly Grave[] }
  /** Are you an owner, do you know your own state, and whom do you count as members? */
  | { readonly kind: 'standing' };

export type PeerReply =
  | { readonly kind: 'durable' }
  | { readonly kind: 'refused' }
  /** Whatever became of it, it does not count: whoever asks, or is asked, is no owner or no member. */
  | { readonly kind: 'unconfirmed' }
  /** Some of it is not joined, now or later: it is in quarantine. */
  | { readonly kind: 'rejected' }
  | { readonly kind: 'digest'; readonly digest: string | undefined }
  | {
      readonly kind: 'full';
      readonly digest: string | undefined;
      readonly held: readonly ToldRevision[];
      readonly grave: readonly Revision[] | undefined;
    }
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'fetched'; readonly revisions: readonly ToldRevision[] }
  | {
      readonly kind: 'standing';
      readonly isOwner: boolean;
      readonly isWhole: boolean;
      readonly members: readonly string[];
    };

export type PeerMessage =
  | { readonly kind: 'heartbeat' }
  /** From the leader of the group: its log, and how much of it is decided. */
  | { readonly kind: 'group'; readonly entries: readonly GroupEntry[]; readonly committed: number }
  | { readonly kind: 'request'; readonly call: string; readonly request: PeerRequest }
  | { readonly kind: 'reply'; readonly call: string; readonly reply: PeerReply };

export interface WriteRequest {
  readonly id: string;
  /** The leaf to replace; none to create. */
  readonly base: Revision | undefined;
  readonly deleted: boolean;
  readonly value: number;
  readonly settings: LeaderlessSettings;
}

export type WriteAnswer =
  | {
      readonly kind: 'met' | 'partial';
      readonly revision: Revision;
      readonly durableOn: readonly string[];
      /** Those of them that are no owners, as far as the coordinator knows. */
      readonly standIns: readonly string[];
    }
  | { readonly kind: 'unknown' | 'failed'; readonly revision: Revision }
  | { readonly kind: 'conflict' };

export interface ReadRequest {
  readonly id: string;
  readonly settings: LeaderlessSettings;
}

export type ReadAnswer =
  | { readonly kind: 'answered'; readonly leaves: readonly ToldRevision[]; readonly from: readonly string[] }
  | { readonly kind: 'unreached' };
