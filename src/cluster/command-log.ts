/** Puts commands into the group's log on behalf of a request, and says in the request's words what came of it. */

import type { AckSettings } from '../database/model.ts';
import type { WriteOptions } from '../database/writes.ts';
import { failure } from '../errors.ts';
import type { Clock } from '../runtime/ports.ts';
import type { AckPolicy, AckRule } from '../single-leader/ack-policy.ts';
import { type Command, encodeCommand } from './commands.ts';
import { mustHaveFollowers } from './enough-followers.ts';
import type { Group, ProposalResult } from './group.ts';
import { nameOf } from './group-node-id.ts';

/** How changes of the catalog and recovered writes are acknowledged, whatever a database's own policy. */
export const catalogAck: AckSettings = {
  policy: 'semi-sync',
  followers: 'majority',
  onTimeout: 'fail',
  timeoutMs: 10_000,
};

/** Whether a client may be told of its write before it is committed. */
export function tellsEarly(settings: AckSettings, { ack }: WriteOptions): boolean {
  return (ack?.policy ?? settings.policy) === 'async' || (ack?.onTimeout ?? settings.onTimeout) === 'degrade';
}

export interface Logged {
  /** Resolves when everything logged is applied here, or this node no longer leads; not by itself in a hurry. Never rejects. */
  readonly applied: Promise<void>;
  /** Why the commands are not acknowledged; they may come about all the same. */
  readonly failed: Error | undefined;
}

type Acknowledged = Extract<ProposalResult, { kind: 'acknowledged' }>;

export interface CommandLogContext {
  readonly group: () => Group;
  readonly clock: Clock;
  readonly tickMs: number;
}

export class CommandLog {
  readonly #context: CommandLogContext;

  constructor(context: CommandLogContext) {
    this.#context = context;
  }

  get isLeading(): boolean {
    return this.#context.group().standing().leaderReady;
  }

  /** @throws TercetError service_unavailable: nothing was done */
  requireLeading(): void {
    const { leader, leaderReady } = this.#context.group().standing();
    if (!leaderReady) throw notLeading(leader);
  }

  /** Until the function returned is called, entries are applied as soon as they can be. */
  expedite(): () => void {
    return this.#context.group().expedite();
  }

  /** Nothing was committed and given up all the same since this term: that is what forcing a membership does. */
  lineage(): number {
    return this.#context.group().standing().lineage;
  }

  /** Resolves once everything acknowledged before the call is applied here. */
  async barrier(): Promise<void> {
    await this.#context.group().readBarrier();
  }

  /**
   * Resolves once the commands are acknowledged as the settings, or the request, ask.
   * @throws TercetError service_unavailable, bad_request: nothing was done; write_outcome_unknown: it may come about
   */
  async log(commands: readonly Command[], settings: AckSettings, options: WriteOptions): Promise<Logged> {
    const logged = await this.tryLog(commands, settings, options);
    if (logged.failed !== undefined) throw logged.failed;
    return logged;
  }

  /** The same with the failure as a value, for who has to hold something until the fate of the commands is settled. */
  async tryLog(commands: readonly Command[], settings: AckSettings, options: WriteOptions): Promise<Logged> {
    if (commands.length === 0) return { applied: Promise.resolve(), failed: undefined };
    const { clock } = this.#context;
    const group = this.#context.group();
    if ((options.ack?.followers ?? settings.followers) !== 'majority')
      mustHaveFollowers(settings, options.ack, group.status().members);
    const rule = this.#rule(settings, options);
    const startedAt = clock.monotonic();
    const results = await Promise.all(commands.map((command) => group.propose(encodeCommand(command), rule)));
    const applied = this.#appliedAll(results);
    const unsettled = results.find(
      (result) => result.kind !== 'acknowledged' || result.outcome === 'timed_out',
    );
    if (unsettled !== undefined) return { applied, failed: this.#failure(results, unsettled) };
    const last = results.at(-1) as Acknowledged;
    options.onReceipt?.({
      met: results.every((result) => result.kind === 'acknowledged' && result.outcome === 'met'),
      policy: policyText(last.receipt.policy),
      term: last.term,
      index: last.index,
      durableOn: last.receipt.durableOn.map(({ id }) => nameOf(id)),
      elapsedMs: Math.round(clock.monotonic() - startedAt),
    });
    return { applied, failed: undefined };
  }

  #rule(settings: AckSettings, { ack }: WriteOptions): AckRule {
    const policy = ack?.policy ?? settings.policy;
    const timeoutMs = ack?.timeoutMs ?? settings.timeoutMs;
    return {
      policy: policyOf(policy, ack?.followers ?? settings.followers),
      onTimeout: ack?.onTimeout ?? settings.onTimeout,
      timeoutTicks: Math.max(1, Math.ceil(timeoutMs / this.#context.tickMs)),
    };
  }

  async #appliedAll(results: readonly ProposalResult[]): Promise<void> {
    const last = results.reduce((high, result) => Math.max(high, 'index' in result ? result.index : 0), 0);
    if (last === 0) return;
    await new Promise<void>((resolve) => this.#context.group().whenSettled(last, resolve));
  }

  #failure(results: readonly ProposalResult[], first: ProposalResult): Error {
    const nothingDone = results.every((result) => result.kind === 'rejected');
    if (nothingDone && first.kind === 'rejected') {
      return first.reason === 'overloaded'
        ? failure('service_unavailable', 'The leader has too many writes on their way; try again.')
        : notLeading(first.leader);
    }
    const why =
      first.kind === 'acknowledged'
        ? "The write was not acknowledged in time; it is in the leader's log and will likely come about."
        : 'The leader was lost while the write was on its way; it may or may not come about.';
    return failure('write_outcome_unknown', why);
  }
}

function notLeading(leader: string | undefined): Error {
  const where = leader === undefined ? 'no leader is known at the moment; try again' : `${leader} does`;
  return failure('not_leader', `This node does not lead: ${where}. The write did not happen.`);
}

function policyOf(policy: AckSettings['policy'], followers: AckSettings['followers']): AckPolicy {
  if (policy === 'semi-sync') return { kind: 'semi_sync', followers };
  return { kind: policy };
}

function policyText(policy: AckPolicy): string {
  if (policy.kind !== 'semi_sync') return policy.kind;
  return `semi-sync(${policy.followers})`;
}
