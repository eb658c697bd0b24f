/**
 * Once a majority can work, does it work again?
 *
 * The nemesis heals a majority, leaves the others broken, and says when. From then on, within a stated time, a client's
 * write must be acknowledged; and once everything is healed, all nodes must have caught up. A run that fails only here lost
 * nothing and answered nothing wrong: it is stuck.
 */

import type { ClientRecord, Violation } from '../history.ts';

export interface LivenessInput {
  readonly records: readonly ClientRecord[];
  /** When the majority was healed, in microseconds. */
  readonly healedAt: number;
  /** By when it must have acknowledged enough. */
  readonly dueAt: number;
  /** How many acknowledged writes are enough. */
  readonly writesMin: number;
}

export function checkLiveness({ records, healedAt, dueAt, writesMin }: LivenessInput): Violation[] {
  const acknowledged = records.filter(
    ({ result }) => result.kind === 'acknowledged' && result.at >= healedAt && result.at <= dueAt,
  ).length;
  if (acknowledged >= writesMin) return [];
  const time = `${((dueAt - healedAt) / 1_000_000).toFixed(1)} s`;
  return [
    {
      checker: 'liveness',
      message: `${time} after a majority was healed ${acknowledged} writes were acknowledged, not ${writesMin}`,
    },
  ];
}
