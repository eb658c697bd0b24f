/** What simulated replicas of a leaderless database say to each other, and what clients ask them. */

import type { Revision } from '../../src/document/revision.ts';
import type { Stamp } from '../../src/document/stamp.ts';
import type { Answer, Question } from '../../src/leaderless/anti-entropy.ts';
import type { NamedRevisions } from '../../src/leaderless/bucket-entries.ts';
import type { HeldRevision } from '../../src/leaderless/held-revisions.ts';
import type { Grave } from '../../src/replication/graves.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';

/** A revision on its way between replicas. Its body is one number of its own, so a number names its write. */
export interface ToldRevision extends HeldRevision {
  readonly id: string;
  readonly value: number;
  readonly stamp: Stamp | undefined;
}

export type PeerRequest =
  /** `standsInFor`: keep it for this owner. */
  | { readonly kind: 'join'; readonly revisions: readonly ToldRevision[]; readonly standsInFor?: string }
  | { readonly kind: 'repair'; readonly revisions: readonly ToldRevision[] }
  | { readonly kind: 'digest' | 'full'; readonly id: string }
  | { readonly kind: 'question'; readonly question: Question }
  | { readonly kind: 'fetch'; readonly wanted: readonly NamedRevisions[] }
  | { readonly kind: 'bury'; readonly graves: readonly Grave[] };

export type PeerReply =
  | { readonly kind: 'durable' }
  | { readonly kind: 'refused' }
  /** Some of it is not joined, now or later: it is in quarantine. */
  | { readonly kind: 'rejected' }
  | { readonly kind: 'digest'; readonly digest: string | undefined }
  | {
      readonly kind: 'full';
      readonly digest: string | undefined;
      readonly held: readonly ToldRevision[];
      readonly grave: readonly Revision[] | undefined;
    }
  /** `isWhole`: the replica knows its own state. */
  | { readonly kind: 'answer'; readonly answer: Answer; readonly isWhole: boolean }
  | { readonly kind: 'fetched'; readonly revisions: readonly ToldRevision[] };

export type PeerMessage =
  | { readonly kind: 'heartbeat' }
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
