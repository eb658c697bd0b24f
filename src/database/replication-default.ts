/** How a database is replicated when whoever creates it says nothing. */

import type { AckSettings, ReplicationChoice } from './model.ts';

/** A majority, and an error of unknown outcome rather than an acknowledgement that promises less. */
export const ackDefault: AckSettings = {
  policy: 'semi-sync',
  followers: 'majority',
  onTimeout: 'fail',
  timeoutMs: 5_000,
};

/** One order of writes that a majority has: the choice that surprises nobody who knows databases. */
export const replicationDefault: ReplicationChoice = { strategy: 'single-leader', ack: ackDefault };
