/**
 * Which of the copies that an acknowledgement counted were gone, and when.
 *
 *     w=2, by n1 and n2     n2 destroyed ──── n4 in its place is filled       n1 wiped ──── filled again
 *                           1 of 2 gone       none gone                       1 of 2 gone: the write must be there
 *
 * A promise of W holds while fewer than W are gone at once: whoever comes next is filled from so many that one of them has
 * the write. One that was taken out of the cluster has nothing that counts any more, also while it runs; and what one
 * acknowledged that was no owner any more was never there.
 */

import type { LeaderlessRecord, LeaderlessWrite } from './history.ts';
import type { WriteAnswer } from './messages.ts';
import type { Oracle } from './oracle.ts';

export type Acknowledged = Pick<LeaderlessWrite, 'at' | 'settings'> & {
  readonly answer: Pick<Extract<WriteAnswer, { durableOn: unknown }>, 'durableOn' | 'standIns'>;
};

interface Gone {
  readonly from: number;
  readonly until: number;
}

/** Whether W of the copies were gone at once, at some time until then. */
export function isDestroyed(write: Acknowledged, oracle: Oracle, until: number): boolean {
  const { answer, settings } = write;
  const gone = answer.durableOn.map((node) => goneOf(write, node, oracle));
  const moments = gone.flat().filter(({ from }) => from <= until);
  return moments.some(({ from }) => {
    const isGone = (times: readonly Gone[]) => times.some((each) => each.from <= from && from < each.until);
    return gone.filter(isGone).length >= settings.w;
  });
}

function goneOf(write: Acknowledged, node: string, oracle: Oracle): readonly Gone[] {
  const { at } = write;
  if (isStrayCopy(write, node, oracle)) return [{ from: at, until: Number.POSITIVE_INFINITY }];
  return oracle.losses.flatMap((loss) => {
    if (loss.node !== node) return [];
    // What was taken after a disk was replaced is on the new one.
    const isLost = loss.at >= at || (loss.isGone && loss.until > at);
    return isLost ? [{ from: Math.max(at, loss.at), until: loss.until }] : [];
  });
}

/** Of one that took itself for an owner when another had its place, or that stood in from outside of the cluster. */
function isStrayCopy({ answer, at }: Acknowledged, node: string, oracle: Oracle): boolean {
  return answer.standIns.includes(node) ? !oracle.wasMember(node, at) : !oracle.wasOwner(node, at);
}

/**
 * What clients were told by nodes whose place is another's, and by nobody else: with W = 1 or R = 1, or by several of them,
 * they go on by themselves until somebody stops them. Such a read says nothing, and such a write may turn up or not.
 */
export function withoutStrays(
  records: readonly LeaderlessRecord[],
  oracle: Oracle,
): readonly LeaderlessRecord[] {
  return records.flatMap((record): LeaderlessRecord[] => {
    const { answer, at } = record;
    if (answer.kind === 'met' && record.kind === 'write') {
      const isStray = answer.durableOn.every((node) => isStrayCopy({ ...record, answer }, node, oracle));
      return [isStray ? { ...record, answer: { ...answer, kind: 'partial' } } : record];
    }
    if (answer.kind !== 'answered' || answer.from.length === 0) return [record];
    return answer.from.some((node) => oracle.wasOwner(node, at)) ? [record] : [];
  });
}
