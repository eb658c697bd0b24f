/** Numbered batches of three entries each, so that a half of one would show. */

import { randomBytes } from 'node:crypto';
import type { Operation, Store } from '../../src/store/store.ts';

const parts = ['a', 'b', 'c'] as const;

function keyOf(number: number, part: string): Uint8Array {
  return new TextEncoder().encode(`${String(number).padStart(8, '0')} ${part}`);
}

/** Large enough that a batch often spans several blocks of LevelDB's log. */
export function batchOf(number: number): Operation[] {
  const bytes = (number * 7_919) % 20_000;
  return parts.map((part) => ({ kind: 'put', key: keyOf(number, part), value: randomBytes(bytes) }));
}

/** How much of a batch is in the store: anything between 0 and all of it breaks the promise of atomicity. */
export function presenceOf(store: Store, number: number): 'whole' | 'absent' | 'half' {
  const found = parts.filter((part) => store.get(keyOf(number, part)) !== undefined).length;
  if (found === 0) return 'absent';
  return found === parts.length ? 'whole' : 'half';
}
