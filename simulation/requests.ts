/** What clients ask of a simulated node, and what they are told. */

import type { AckRule } from '../src/single-leader/ack-policy.ts';
import type { AckPromise, ReadLevel } from './history.ts';

export interface WriteRequest {
  readonly document: string;
  readonly expected: number;
  readonly value: number;
  readonly ack: AckRule;
}

export type WriteAnswer =
  | {
      readonly kind: 'acknowledged';
      readonly index: number;
      readonly term: number;
      readonly leader: string;
      readonly ack: AckPromise;
      /** Which of the leader's members really had it on their disks at that moment. */
      readonly durableOn: readonly string[];
      readonly lineage: number;
    }
  | { readonly kind: 'conflict'; readonly index: number; readonly lineage: number }
  | { readonly kind: 'refused'; readonly leader: string | undefined }
  | { readonly kind: 'unknown' };

export interface ReadRequest {
  readonly document: string;
  readonly level: ReadLevel;
  /** With `session`: from no state before this index. */
  readonly after: number;
  /** With `bounded`. */
  readonly staleMsMax: number;
}

export type ReadAnswer =
  | { readonly kind: 'answered'; readonly value: number; readonly index: number; readonly lineage: number }
  | { readonly kind: 'refused' };

export type Answer<Told> = (told: Told) => void;
