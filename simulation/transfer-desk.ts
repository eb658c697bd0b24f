/**
 * How nodes give each other what the log no longer has: whole states to those too far behind, and the entries that a
 * deposed leader had to give up.
 *
 * A recovered entry stays on its node's disk until the leader says that the group keeps it, and is offered again until then,
 * by every life of the node.
 */

import type { DriverLog, StateWrite } from '../src/runtime/driver-log.ts';
import type { Entry, StatePoint } from '../src/single-leader/entry.ts';
import type { RaftNotice } from '../src/single-leader/events.ts';
import type { Application } from './application.ts';
import { type AppliedState, decodeCommand, encodeCommand, type NodeMessage } from './commands.ts';

type StateNeeded = Extract<RaftNotice, { kind: 'state_needed' }>;

export interface TransferDeskPorts {
  readonly self: string;
  readonly application: Application;
  readonly log: DriverLog;
  readonly send: (to: string, message: NodeMessage) => void;
  readonly leader: () => string | undefined;
  /** What a state through this index has to carry along; undefined while the log has moved on from it. */
  readonly pointAt: (index: number) => StatePoint | undefined;
  /** Tells the core, and makes the state durable with what the core writes. */
  readonly install: (point: StatePoint, write: StateWrite) => void;
  /** Proposes data to the group as its leader; calls back once it is committed. */
  readonly propose: (data: Uint8Array, committed: () => void) => void;
  /** Entries that an earlier life left. */
  readonly recovered: readonly Entry[];
  /** A planted bug: what left the log is gone. */
  readonly dropsRecovered: boolean;
}

export class TransferDesk {
  readonly #ports: TransferDeskPorts;
  #recovered: readonly Entry[];
  #needed: StateNeeded | undefined;
  #asked: { readonly from: string; readonly atLeast: number }[] = [];

  constructor(ports: TransferDeskPorts) {
    this.#ports = ports;
    this.#recovered = ports.recovered;
  }

  stateNeeded(needed: StateNeeded): void {
    this.#needed = needed;
    this.#ports.send(needed.from, { kind: 'state_request', atLeast: needed.atLeast });
  }

  /** Someone needs a state: it goes out when it is new enough. */
  stateRequested(from: string, atLeast: number): void {
    this.#asked.push({ from, atLeast });
    this.applied();
  }

  applied(): void {
    const state = this.#ports.application.state();
    const due = this.#asked.filter(({ atLeast }) => atLeast <= state.index);
    const point = due.length === 0 ? undefined : this.#ports.pointAt(state.index);
    if (point === undefined) return;
    this.#asked = this.#asked.filter(({ atLeast }) => atLeast > state.index);
    for (const { from } of due) this.#ports.send(from, { kind: 'state', point, state });
  }

  stateArrived(point: StatePoint, state: AppliedState): void {
    const needed = this.#needed;
    if (needed === undefined || point.index < needed.atLeast) return;
    this.#needed = undefined;
    const isOlder = point.index <= this.#ports.application.plannedIndex();
    if (isOlder && needed.scope === 'changes') return;
    const operations = this.#ports.application.replaceBy(state);
    const durable = () => this.#ports.application.show(state);
    this.#ports.install(point, { kind: 'state', operations, durable });
  }

  keepRecovered(entries: readonly Entry[]): void {
    if (this.#ports.dropsRecovered) return;
    const data = entries.filter((entry) => entry.body.kind === 'data');
    this.#ports.log.keepRecovered(data);
    this.#recovered = [...this.#recovered, ...data];
  }

  /** Called now and then: hands what was recovered to whoever leads. */
  offerRecovered(): void {
    const leader = this.#ports.leader();
    if (this.#recovered.length === 0 || leader === undefined) return;
    if (leader === this.#ports.self) this.branchesOffered(this.#ports.self, this.#recovered);
    else this.#ports.send(leader, { kind: 'branches', entries: this.#recovered });
  }

  /** As the leader: makes them the group's. */
  branchesOffered(from: string, entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.body.kind !== 'data') continue;
      const { document, value } = decodeCommand(entry.body.data);
      this.#ports.propose(encodeCommand({ kind: 'branch', document, value }), () => {
        if (from === this.#ports.self) this.branchesKept([entry]);
        else this.#ports.send(from, { kind: 'branches_kept', entries: [entry] });
      });
    }
  }

  branchesKept(entries: readonly Entry[]): void {
    const isKept = (own: Entry) => entries.some((one) => one.index === own.index && one.term === own.term);
    const kept = this.#recovered.filter(isKept);
    if (kept.length === 0) return;
    this.#recovered = this.#recovered.filter((own) => !isKept(own));
    // Should this fail, the next life offers them again, which changes nothing.
    this.#ports.log.forgetRecovered(kept, () => {});
  }
}
