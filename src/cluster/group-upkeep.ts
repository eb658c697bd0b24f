/**
 * What is tried until it is done, one round after the other, never two at once:
 *
 *     no group known      found one, or find out which there is
 *     no replica          begin again when the disk takes writes
 *     waits to be in      ask the leader to be taken in one step further
 *     hears no leader     ask the others whether it is a member still
 *     at another address  tell the others
 *     otherwise           hand recovered entries over, forget what everybody has of the log
 */

import { asIndex } from '../single-leader/entry.ts';
import { membershipOf } from '../single-leader/log-changes.ts';
import type { GroupCaller } from './group-caller.ts';
import { decideFounding, type GroupRecord } from './group-founding.ts';
import type { GroupHome } from './group-home.ts';
import { truncateKind } from './group-kinds.ts';
import { nameOf } from './group-node-id.ts';
import type { GroupReplica } from './group-replica.ts';
import { encodeThrough, LogMeter, truncatableThrough } from './group-truncation.ts';

export class GroupUpkeep {
  readonly #home: GroupHome;
  readonly #caller: GroupCaller;
  readonly #meter = new LogMeter();
  #cancel: () => void = () => {};
  #isStopped = false;
  #lastTrouble = '';

  constructor(home: GroupHome, caller: GroupCaller) {
    this.#home = home;
    this.#caller = caller;
  }

  /** Resolves after the first round. */
  start(): Promise<void> {
    return this.#tryOnce();
  }

  /** A round under way goes on until its next answer, and does nothing with it. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  async #tryOnce(): Promise<void> {
    const { clock } = this.#home.options;
    try {
      await this.#evaluate();
    } catch (cause) {
      this.#report('a group that cannot go on', cause);
    }
    if (this.#isStopped) return;
    this.#cancel = clock.after(this.#home.settings.retryMs, () => void this.#tryOnce());
  }

  async #evaluate(): Promise<void> {
    const { record, replica, options } = this.#home;
    if (record === undefined) return this.#findGroup();
    if (replica === undefined) {
      if (this.#home.mayOpen && options.store.health().kind === 'writable') await this.#home.open();
      return;
    }
    await this.#join(replica, record);
    if (this.#home.standing().leader !== undefined) {
      this.#home.removal.forget();
      await this.#home.recovered.offer();
    } else if (!record.isJoining) await this.#askWhetherRemoved(record);
    if (!this.#isStopped) this.#truncate(replica);
  }

  async #findGroup(): Promise<void> {
    const { id, options } = this.#home;
    const { names } = this.#caller;
    const answers = await Promise.all(options.peers.map((peer) => this.#caller.hello(peer)));
    if (this.#isStopped) return;
    const hellos = answers.filter((hello) => hello !== undefined);
    const { mayFound = true } = options;
    const decision = decideFounding({ self: id, names, hellos, mayFound });
    if (decision.kind === 'wait') this.#report(`no group yet: ${decision.reason}`);
    else await this.#home.adopt(decision.record);
  }

  /** Taken out by an operator, it stays out; fenced out, it comes back as what it was. */
  async #join(replica: GroupReplica, record: GroupRecord): Promise<void> {
    const { id, options } = this.#home;
    const { fencedOut, members } = this.#home.status();
    const member = members.find((each) => each.id === id);
    const hasOldDisk = members.some((each) => each.id !== id && each.name === options.self);
    const isIn = member !== undefined && member.kind !== 'learner' && !hasOldDisk && !fencedOut;
    if (member !== undefined && !fencedOut) await this.#announce(replica);
    if (isIn || !(record.isJoining || fencedOut)) {
      if (record.isJoining) await this.#home.changeRecord({ founders: record.founders, isJoining: false });
      return;
    }
    const was = fencedOut ? member?.kind : record.was;
    const isNews = !record.isJoining || was !== record.was;
    if (isNews) await this.#home.changeRecord({ ...record, isJoining: true, ...(was && { was }) });
    const joining = { id, url: options.urlOf?.(options.self), was };
    const answer = await this.#caller.askLeader({ op: 'join', joining });
    const outcome = answer?.kind === 'change' ? answer.outcome : undefined;
    // A learner that nobody wants as more than that has arrived.
    const hasArrived = outcome === 'already_so';
    // It was taken in, and out again before it asked for more.
    const wasRemoved = outcome === 'no_such_member' && this.#home.committedMembership() !== undefined;
    if (hasArrived || wasRemoved)
      await this.#home.changeRecord({ founders: record.founders, isJoining: false });
  }

  async #askWhetherRemoved({ founders }: GroupRecord): Promise<void> {
    const { log } = this.#home.options;
    const before = this.#home.standing().removal;
    await this.#home.removal.evaluate(founders);
    const { removal } = this.#home.standing();
    if (removal !== undefined && before === undefined)
      log.warn(removal, 'this node was removed from the group');
    this.#home.announce();
  }

  /** Others find a member where it says that it is; one alone has nobody to tell. */
  async #announce({ raft }: GroupReplica): Promise<void> {
    const { id, options } = this.#home;
    const url = options.urlOf?.(options.self);
    const members = membershipOf(raft)?.members ?? [];
    const known = members.find((member) => member.id === id);
    if (url === undefined || members.length < 2 || known === undefined || known.url === url) return;
    await this.#caller.askLeader({ op: 'change', change: { kind: 'move', node: id, url } });
  }

  #truncate(replica: GroupReplica): void {
    const { transport } = this.#home.options;
    const { raft, appliedIndex } = replica;
    const through = truncatableThrough(raft, appliedIndex, this.#home.settings, this.#meter);
    if (through === undefined) return;
    replica.request({ kind: 'truncate_prefix', through: asIndex(through) });
    for (const { id } of membershipOf(raft)?.members ?? []) {
      if (id !== this.#home.id) transport.send(nameOf(id), truncateKind, encodeThrough(through));
    }
  }

  /** The same trouble again and again is one line. */
  #report(what: string, cause?: unknown): void {
    const trouble = `${what} ${String(cause ?? '')}`;
    if (trouble !== this.#lastTrouble) {
      if (cause === undefined) this.#home.options.log.info({}, what);
      else this.#home.options.log.warn({ err: cause }, what);
    }
    this.#lastTrouble = trouble;
  }
}
