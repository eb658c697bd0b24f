/**
 * How nodes give each other what the log no longer has: whole states to those too far behind, and the entries that a
 * deposed leader had to give up.
 *
 * A recovered entry stays on its node's disk until the leader says that the group keeps it, and is offered again until then,
 * by every life of the node.
 */

import type { DriverLog, StateWrite } from '../src/runtime/driver-log.ts';
import type { Entry, StatePoint } from '../src/single-leader/entry.ts';
import type { RaftNotice, StateScope } from '../src/single-leader/events.ts';
import type { Application } from './application.ts';
import { type AppliedState, decodeCommand, type NodeMessage, type WriteCommand } from './commands.ts';

type StateNeeded = Extract<RaftNotice, { kind: 'state_needed' }>;

export interface TransferDeskPorts {
  readonly self: string;
  readonly application: Application;
  readonly log: DriverLog;
  readonly send: (to: string, message: NodeMessage) => void;
  readonly leader: () => string | undefined;
  /** What a state through this index has to carry along; undefined while the log has moved on from it. */
  readonly pointAt: (index: number) => StatePoint | undefined;
  /** The core still needs a state as it was asked for. */
  readonly mayInstall: (scope: StateScope, point: StatePoint) => boolean;
  /** Tells the core, and makes the state durable with what the core writes. */
  readonly install: (point: StatePoint, write: StateWrite) => void;
  /** Proposes a write again as the leader; calls back once it is committed. */
  readonly recover: (write: WriteCommand, committed: () => void) => void;
  /** The term in which a membership was last forced. */
  readonly lineage: () => number;
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
    const { application } = this.#ports;
    const state = application.state();
    const due = this.#asked.filter(({ atLeast }) => atLeast <= application.index());
    const point = due.length === 0 ? undefined : this.#ports.pointAt(state.index);
    if (point === undefined) return;
    this.#asked = this.#asked.filter(({ atLeast }) => atLeast > state.index);
    for (const { from } of due) this.#ports.send(from, { kind: 'state', point, state });
  }

  stateArrived(point: StatePoint, state: AppliedState): void {
    const needed = this.#needed;
    if (needed === undefined || point.index < needed.atLeast) return;
    this.#needed = undefined;
    if (!this.#ports.mayInstall(needed.scope, point)) return;
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
    const owed = this.#recovered.filter((entry) => this.#isOwed(entry));
    this.recoveredKept(this.#recovered.filter((entry) => !owed.includes(entry)));
    if (owed.length === 0) return;
    if (leader === this.#ports.self) this.recoveredOffered(leader, owed);
    else this.#ports.send(leader, { kind: 'recovered', entries: owed });
  }

  /** As the leader: makes what they say the group's. */
  recoveredOffered(from: string, entries: readonly Entry[]): void {
    const { application, recover, self, send } = this.#ports;
    for (const entry of entries) {
      const write = writeOf(entry);
      if (write === undefined) continue;
      const kept = () => {
        if (from === self) this.recoveredKept([entry]);
        else send(from, { kind: 'recovered_kept', entries: [entry] });
      };
      if (application.state().recovered.has(write.value)) kept();
      else recover(write, kept);
    }
  }

  recoveredKept(entries: readonly Entry[]): void {
    const isKept = (own: Entry) => entries.some((one) => one.index === own.index && one.term === own.term);
    const kept = this.#recovered.filter(isKept);
    if (kept.length === 0) return;
    this.#recovered = this.#recovered.filter((own) => !isKept(own));
    // Should this fail, the next life offers them again, which changes nothing.
    this.#ports.log.forgetRecovered(kept, () => {});
  }

  /** Somebody was told of it, or it was committed before a forced membership went on without it. */
  #isOwed(entry: Entry): boolean {
    return writeOf(entry)?.isToldEarly === true || entry.term < this.#ports.lineage();
  }
}

/** What a recovered write wrote may have come back itself. */
function writeOf({ body }: Entry): WriteCommand | undefined {
  if (body.kind !== 'data') return undefined;
  const command = decodeCommand(body.data);
  if (command.kind === 'write') return command;
  const { document, expected, value } = command;
  return { kind: 'write', document, expected, value, isToldEarly: true };
}
