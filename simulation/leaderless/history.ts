/** What the clients of a leaderless run saw. Checkers judge this, and what the oracle knows. */

import type { Revision } from '../../src/document/revision.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import type { ReadAnswer, WriteAnswer } from './messages.ts';

export interface LeaderlessWrite {
  readonly kind: 'write';
  readonly client: string;
  readonly id: string;
  readonly settings: LeaderlessSettings;
  readonly deleted: boolean;
  readonly invokedAt: number;
  /** `none`: the client was not answered. */
  readonly answer: WriteAnswer | { readonly kind: 'none' } | { readonly kind: 'down' };
  readonly at: number;
  /** Nodes of the answer that did not have the write on their disks when the client was told. */
  readonly missingOn: readonly string[];
}

export interface LeaderlessRead {
  readonly kind: 'read';
  readonly client: string;
  readonly id: string;
  readonly settings: LeaderlessSettings;
  readonly invokedAt: number;
  readonly answer: ReadAnswer | { readonly kind: 'none' } | { readonly kind: 'down' };
  readonly at: number;
}

export type LeaderlessRecord = LeaderlessWrite | LeaderlessRead;

/** What one owner holds at the end. */
export interface FinalReplica {
  readonly node: string;
  readonly documents: ReadonlyMap<
    string,
    readonly { readonly revision: Revision; readonly deleted: boolean }[]
  >;
  readonly graves: readonly Revision[];
  readonly quarantined: readonly Revision[];
  /** Kept for others. */
  readonly hinted: readonly Revision[];
}
