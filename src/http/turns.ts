/** Long requests in short turns: between them the node serves its other clients. */

import { setImmediate } from 'node:timers/promises';

/** A row takes microseconds, so a turn takes milliseconds. */
const rowsPerTurn = 1_000;

/** To be awaited after every row: lets others through where a turn is over. */
export function afterRow(rows: number): Promise<void> | undefined {
  return rows % rowsPerTurn === 0 ? setImmediate() : undefined;
}
