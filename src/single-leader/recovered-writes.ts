/**
 * What a follower hands over before it forgets it.
 *
 * A leader that was cut off may hold entries that the next leader never saw; some of them it acknowledged (async).
 * Raft lets the follower it becomes truncate them. Here they are given to the driver first, grouped by the epoch they
 * were written in, and come back as branches tagged "recovered from epoch N":
 *
 *     before   1:1  2:1  3:1 (x)  4:1 (y)          n1 led term 1 alone at last
 *     append       2:1, then 3:2                   n2 leads term 2
 *     recovered  epoch 1: [3:1 (x), 4:1 (y)], then truncate from 3
 *
 * Handing over too much does no harm: a revision that the leader has already unites with itself.
 */

import type { Entry, Epoch } from './entry.ts';
import { epochAt } from './epochs.ts';
import type { RaftNotice } from './events.ts';

/** Notices that hand over the data among `entries`, one for each epoch. */
export function handOver(entries: readonly Entry[], epochs: readonly Epoch[]): RaftNotice[] {
  const byEpoch = new Map<Epoch | undefined, Entry[]>();
  for (const entry of entries) {
    if (entry.body.kind !== 'data') continue;
    const epoch = epochAt(epochs, entry.index);
    const group = byEpoch.get(epoch);
    if (group === undefined) byEpoch.set(epoch, [entry]);
    else group.push(entry);
  }
  return [...byEpoch].map(([epoch, group]) => ({ kind: 'recovered', epoch, entries: group }));
}
