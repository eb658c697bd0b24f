/** What an operator wants of a group: another leader, more or fewer members. Any node may be asked. */

import type { NodeId } from '../replication/strategy.ts';
import { pause } from '../runtime/pause.ts';
import { asIndex, asTerm, type LogPosition, type MemberKind } from '../single-leader/entry.ts';
import type { MembershipOutcome, PromotionOutcome, TransferOutcome } from '../single-leader/events.ts';
import { forcedTerm } from './forced-term.ts';
import type { GroupCaller } from './group-caller.ts';
import type { Hello } from './group-calls.ts';
import type { GroupHome } from './group-home.ts';
import type { GroupSettings } from './group-settings.ts';

/** A node that is to become a member. */
export interface Newcomer {
  readonly name: string;
  readonly kind: 'learner' | 'witness';
  /** Where the others will reach it; undefined where they know. */
  readonly url?: string | undefined;
}

export type AdmissionOutcome =
  | MembershipOutcome
  | 'unreachable'
  /** It was founded apart from this group. */
  | 'other_group';

/** What a member says when all are asked. */
export interface SurveyedMember {
  readonly name: string;
  readonly kind: MemberKind;
  /** It answers, with the disk that is the member. */
  readonly answers: boolean;
  /** Where its log ends; undefined where it does not answer or has none. */
  readonly last?: LogPosition | undefined;
}

export class GroupAdministration {
  readonly #home: GroupHome;
  readonly #caller: GroupCaller;

  constructor(home: GroupHome, caller: GroupCaller) {
    this.#home = home;
    this.#caller = caller;
  }

  async transfer(to: string | undefined): Promise<TransferOutcome> {
    const target = to === undefined ? undefined : this.#memberNamed(to);
    if (to !== undefined && target === undefined) return 'no_such_voter';
    const answer = await this.#caller.askLeader({ op: 'transfer', to: target });
    return answer?.kind === 'transfer' ? answer.outcome : 'not_leader';
  }

  async promote(): Promise<PromotionOutcome> {
    const { desk, id, options, settings } = this.#home;
    const { leader, role } = this.#home.status();
    const mustBeAsked = settings.raft.leaderChoice === 'elected' && leader !== undefined;
    if (!mustBeAsked || leader === options.self || role === 'leader') return desk.promote();
    // Nobody stands against a leader that lives: it hands over instead.
    const answer = await this.#caller.askLeader({ op: 'transfer', to: id });
    if (answer?.kind !== 'transfer') return 'not_elected';
    if (answer.outcome === 'no_such_voter') return 'no_voter';
    const leads = await this.#home.until((now) => now.role === 'leader', electionMsMax(settings));
    return leads ? 'elected' : 'not_elected';
  }

  force(voters: readonly string[]): Promise<PromotionOutcome> {
    const { desk, id, options } = this.#home;
    const ids = [id, ...voters.flatMap((name) => this.#memberNamed(name) ?? [])];
    const { lineage = 0, members: known, term } = this.#home.status();
    const members = [...new Set(ids)].map((member) => {
      const url = known.find((each) => each.id === member)?.url;
      return { id: member, kind: 'voter' as const, ...(url !== undefined && { url }) };
    });
    return desk.force({ term: forcedTerm(options.clock.now(), Math.max(term, lineage)), members });
  }

  async add({ name, kind, url }: Newcomer): Promise<AdmissionOutcome> {
    if (this.#memberNamed(name) !== undefined) return 'already_so';
    const hello = await this.#acquainted(name);
    if (hello === undefined) return 'unreachable';
    const founders = this.#home.record?.founders ?? [];
    if (hello.founders !== undefined && hello.founders.join() !== founders.join()) return 'other_group';
    return this.#caller.changeMembers({
      kind: kind === 'learner' ? 'add_learner' : 'add_witness',
      node: hello.id,
      ...(url !== undefined && { url }),
    });
  }

  /** The answer of a node whose own stream to this one may still be on its way: what it says before that is lost. */
  async #acquainted(name: string): Promise<Hello | undefined> {
    const { options, settings } = this.#home;
    const deadline = options.clock.monotonic() + settings.acquaintanceMsMax;
    for (;;) {
      const hello = await this.#caller.hello(name);
      if (hello !== undefined || options.clock.monotonic() >= deadline) return hello;
      await pause(options.clock, settings.retryMs);
    }
  }

  survey(): Promise<readonly SurveyedMember[]> {
    const { lastIndex, lastTerm, members, self } = this.#home.status();
    return Promise.all(
      members.map(async ({ id, name, kind }): Promise<SurveyedMember> => {
        const own = { index: asIndex(lastIndex), term: asTerm(lastTerm) };
        if (name === self) return { name, kind, answers: id === this.#home.id, last: own };
        const hello = await this.#caller.hello(name);
        const answers = hello?.id === id;
        return { name, kind, answers, last: answers ? hello.last : undefined };
      }),
    );
  }

  async promoteLearner(name: string): Promise<MembershipOutcome> {
    const node = this.#memberNamed(name);
    return node === undefined
      ? 'no_such_member'
      : this.#caller.changeMembers({ kind: 'promote_learner', node });
  }

  async remove(name: string): Promise<MembershipOutcome> {
    const node = this.#memberNamed(name);
    return node === undefined ? 'no_such_member' : this.#caller.changeMembers({ kind: 'remove', node });
  }

  /** By name, or by name and disk where a name alone may mean two. */
  #memberNamed(name: string): NodeId | undefined {
    const member = this.#home.status().members.find((each) => each.id === name || each.name === name);
    return member === undefined ? undefined : (member.id as NodeId);
  }
}

function electionMsMax({ raft, tickMs }: GroupSettings): number {
  return 2 * raft.electionTicksMax * tickMs;
}
