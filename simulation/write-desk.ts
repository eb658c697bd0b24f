/**
 * How a leader takes writes: it checks the value a write expects against what is applied and what is in its log, and
 * proposes only what fits. So what is in the log always fits what is before it.
 *
 * A leader knows the whole log once it has applied the entry that began its term: everything after it are its own proposals,
 * held here until they are applied. Until then it refuses. That a write does not fit is told as a conflict only
 * after a linearizable read says so: a deposed leader, or a write that may still vanish, proves nothing.
 */

import type { AckOutcome, AckRule, Receipt } from '../src/single-leader/ack-policy.ts';
import type { Membership } from '../src/single-leader/entry.ts';
import { electors } from '../src/single-leader/membership.ts';
import { encodeCommand, type WriteCommand } from './commands.ts';
import type { AckPromise } from './history.ts';
import type { Answer, WriteAnswer, WriteRequest } from './requests.ts';

interface Pending {
  readonly request: WriteRequest;
  readonly answer: Answer<WriteAnswer>;
}

interface InFlight {
  readonly id: number;
  readonly value: number;
  index: number | undefined;
}

export interface WriteDeskPorts {
  readonly self: string;
  readonly propose: (id: number, data: Uint8Array, ack: AckRule) => void;
  readonly nextId: () => number;
  readonly leader: () => string | undefined;
  /** This node leads, and has applied everything from before its term. */
  readonly knowsWholeLog: () => boolean;
  readonly appliedValue: (document: string) => number;
  readonly appliedIndex: () => number;
  /** Calls back once what is applied is as new as any leader's was at the call, or with false. */
  readonly readBarrier: (ready: (isReady: boolean) => void) => void;
  readonly membership: () => Membership | undefined;
  readonly durableOn: (index: number, term: number) => readonly string[];
  readonly lineage: () => number;
  /** A planted bug: a write that comes back is current if it wins by the rule for branches. */
  readonly letsLateWritesWin: boolean;
}

export class WriteDesk {
  readonly #ports: WriteDeskPorts;
  readonly #pending = new Map<number, Pending>();
  /** By document, oldest first: the last one counts, and those before it if that is rejected. */
  readonly #inFlight = new Map<string, readonly InFlight[]>();

  constructor(ports: WriteDeskPorts) {
    this.#ports = ports;
  }

  write(request: WriteRequest, answer: Answer<WriteAnswer>): void {
    const { propose, nextId, knowsWholeLog, leader } = this.#ports;
    if (!knowsWholeLog()) return answer({ kind: 'refused', leader: leader() });
    const held = this.#heldOf(request.document);
    if (held !== request.expected) return this.#proveConflict(request, answer);
    const id = nextId();
    this.#pending.set(id, { request, answer });
    const { document, expected, value, ack } = request;
    this.#hold(id, document, value);
    const isToldEarly = ack.policy.kind === 'async' || ack.onTimeout === 'degrade';
    propose(id, encodeCommand({ kind: 'write', document, expected, value, isToldEarly }), ack);
  }

  /**
   * A write that a deposed leader held alone comes back, under `id`: it is current where nobody wrote since, and otherwise a
   * branch. False: only a leader that knows the whole log can tell.
   */
  recover(id: number, { document, expected, value }: WriteCommand, ack: AckRule): boolean {
    const { propose, knowsWholeLog, letsLateWritesWin } = this.#ports;
    if (!knowsWholeLog()) return false;
    const held = this.#heldOf(document);
    const isCurrent = held === expected || (letsLateWritesWin && value % 2 === 0);
    if (isCurrent) this.#hold(id, document, value);
    propose(id, encodeCommand({ kind: 'recovered', document, expected, value, isCurrent }), ack);
    return true;
  }

  logged(id: number, index: number): void {
    for (const writes of this.#inFlight.values()) {
      for (const inFlight of writes) if (inFlight.id === id) inFlight.index = index;
    }
  }

  rejected(id: number, leader: string | undefined): void {
    this.#forgetInFlight((inFlight) => inFlight.id === id);
    this.#settle(id, { kind: 'refused', leader });
  }

  acknowledged(id: number, outcome: AckOutcome, receipt: Receipt): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    if (outcome === 'unknown' || outcome === 'timed_out') return this.#settle(id, { kind: 'unknown' });
    const { index, term } = receipt;
    const ack = this.#promiseOf(pending.request, outcome);
    const durableOn = this.#membersAmong(this.#ports.durableOn(index, term));
    const { lineage, self: leader } = this.#ports;
    this.#settle(id, { kind: 'acknowledged', index, term, leader, ack, durableOn, lineage: lineage() });
  }

  /** What is applied need not be held here. */
  applied(): void {
    const index = this.#ports.appliedIndex();
    this.#forgetInFlight((inFlight) => inFlight.index !== undefined && inFlight.index <= index);
  }

  /** Another term: what this leader had in flight is in its log, or nowhere. */
  deposed(): void {
    this.#inFlight.clear();
  }

  #proveConflict(request: WriteRequest, answer: Answer<WriteAnswer>): void {
    this.#ports.readBarrier((isReady) => {
      const isConflict = isReady && this.#ports.appliedValue(request.document) !== request.expected;
      answer(
        isConflict
          ? { kind: 'conflict', index: this.#ports.appliedIndex(), lineage: this.#ports.lineage() }
          : { kind: 'refused', leader: this.#ports.leader() },
      );
    });
  }

  #promiseOf({ ack: { policy } }: WriteRequest, outcome: AckOutcome): AckPromise {
    if (outcome === 'degraded' || policy.kind === 'async') return { kind: 'async', disksMin: 1 };
    const membership = this.#ports.membership();
    const size = membership === undefined ? 1 : electors(membership).length;
    if (policy.kind === 'sync') return { kind: 'sync', disksMin: size };
    const disks = policy.followers === 'majority' ? Math.floor(size / 2) + 1 : policy.followers + 1;
    return { kind: 'semi-sync', disksMin: disks };
  }

  #membersAmong(nodes: readonly string[]): readonly string[] {
    const membership = this.#ports.membership();
    if (membership === undefined) return nodes;
    const counted = new Set<string>(electors(membership).map((member) => member.id));
    return nodes.filter((node) => counted.has(node));
  }

  #heldOf(document: string): number {
    return this.#inFlight.get(document)?.at(-1)?.value ?? this.#ports.appliedValue(document);
  }

  #hold(id: number, document: string, value: number): void {
    const before = this.#inFlight.get(document) ?? [];
    this.#inFlight.set(document, [...before, { id, value, index: undefined }]);
  }

  #forgetInFlight(isOver: (inFlight: InFlight) => boolean): void {
    for (const [document, writes] of this.#inFlight) {
      const rest = writes.filter((inFlight) => !isOver(inFlight));
      if (rest.length === 0) this.#inFlight.delete(document);
      else this.#inFlight.set(document, rest);
    }
  }

  #settle(id: number, told: WriteAnswer): void {
    this.#pending.get(id)?.answer(told);
    this.#pending.delete(id);
  }
}
