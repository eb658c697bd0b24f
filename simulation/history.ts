/**
 * What the clients of a run saw, and what the world knows about it. Checkers judge a history; they see nothing else.
 *
 * A document holds one value. Every write carries a value of its own, so a value names its write, and `absent` stands
 * for a document that was never written. A write is a compare-and-set: it replaces `expected`, or is a conflict.
 */

export const absent = 0;

/** Stands in for the end of time: an operation that may take effect at any moment after its call. */
export const never = Number.POSITIVE_INFINITY;

export type ReadLevel = 'linearizable' | 'session' | 'bounded' | 'eventual';

/** Where in the one order of writes something stands. */
export type LogIndex = number;

/** What a client was promised at the moment of its acknowledgement. */
export interface AckPromise {
  readonly kind: 'async' | 'semi-sync' | 'sync';
  /** On how many disks the write must be by then, the leader's among them. */
  readonly disksMin: number;
}

export type WriteResult =
  | {
      readonly kind: 'acknowledged';
      readonly at: number;
      readonly index: LogIndex;
      readonly term: number;
      /** The leader that acknowledged. */
      readonly leader: string;
      /** Which nodes really had the write on their disks at that moment; a client cannot know that, the world does. */
      readonly durableOn: readonly string[];
      /** The lineage of whoever answered; 0 unless a membership was forced. */
      readonly lineage: number;
    }
  | {
      readonly kind: 'conflict';
      readonly at: number;
      /** The place of the state that says so. */
      readonly index: LogIndex;
      readonly lineage: number;
    }
  /** Definitely did not happen, and never will. */
  | { readonly kind: 'refused'; readonly at: number }
  /** No answer, or one that leaves it open. */
  | { readonly kind: 'unknown' };

export interface WriteRecord {
  readonly kind: 'write';
  readonly client: string;
  readonly document: string;
  readonly expected: number;
  readonly value: number;
  readonly ack: AckPromise;
  readonly invokedAt: number;
  readonly result: WriteResult;
}

export type ReadResult =
  | {
      readonly kind: 'answered';
      readonly at: number;
      readonly value: number;
      /** The place of the state that the answer was read from. */
      readonly index: LogIndex;
      /** As in WriteResult; of a weaker level, the term of the state's epoch, which is never lower than its lineage. */
      readonly lineage: number;
    }
  | { readonly kind: 'refused' }
  | { readonly kind: 'unknown' };

export interface ReadRecord {
  readonly kind: 'read';
  readonly client: string;
  readonly document: string;
  readonly level: ReadLevel;
  readonly node: string;
  /** With `session`: the place the client has already seen. */
  readonly after: LogIndex;
  /** With `bounded`: how old the state may be, in microseconds. */
  readonly staleMicrosecondsMax: number;
  readonly invokedAt: number;
  readonly result: ReadResult;
}

export type ClientRecord = WriteRecord | ReadRecord;

/** One write that took effect, in the one order of the writes. */
export interface AppliedWrite {
  readonly index: LogIndex;
  readonly document: string;
  readonly expected: number;
  readonly value: number;
  /** It came back from the disk of a deposed leader. */
  readonly isLate: boolean;
}

/** Somebody broke a promise: which one, and the evidence in a sentence. */
export interface Violation {
  readonly checker: string;
  readonly message: string;
  /** When it showed, in microseconds, if that is known. */
  readonly at?: number;
}
