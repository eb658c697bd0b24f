/**
 * What a simulated replica applies its log to: documents that hold one value each, and the values that came back.
 *
 * It stands for the database: entries come in order, the result is made durable together with the index it reaches, and is
 * visible once it is durable. The leader has checked every write against what comes before it, so a write that does not
 * fit here means that two replicas have different logs.
 *
 *   A d name      → value of a document           A b value → came back          A i → index and epoch term
 */

import { assert } from '../src/errors.ts';
import type { Settled } from '../src/runtime/driver.ts';
import type { CommitOperations } from '../src/runtime/driver-log.ts';
import type { Entry } from '../src/single-leader/entry.ts';
import type { KeyRange, Operation, Entry as StoredPair } from '../src/store/store.ts';
import { type AppliedState, decodeCommand } from './commands.ts';
import { absent } from './history.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const applicationRange: KeyRange = { from: encoder.encode('A'), to: encoder.encode('B') };

export class Application {
  /** Durable, so visible. */
  #state: AppliedState;
  /** What will be once everything on its way to the disk is durable: what comes next is applied to this. */
  #planned: AppliedState;
  /** A state is on its way to the disk that takes the place of this one, whatever its index. */
  #isReplaced = false;
  readonly #commit: CommitOperations;

  constructor(state: AppliedState, commit: CommitOperations) {
    this.#state = state;
    this.#planned = state;
    this.#commit = commit;
  }

  /** Through where what is visible may be counted on: nothing of it while it is being replaced. */
  index(): number {
    return this.#isReplaced ? 0 : this.#state.index;
  }

  /** What is applied and durable. */
  state(): AppliedState {
    return this.#state;
  }

  /** Up to where the state will reach once everything on its way to the disk is durable. */
  plannedIndex(): number {
    return this.#planned.index;
  }

  valueOf(document: string): number {
    return this.#state.documents.get(document) ?? absent;
  }

  /** @param mayJump a witness is spared what others fetch as a state */
  apply(entries: readonly Entry[], { mayJump }: { readonly mayJump: boolean }, settled: Settled): void {
    const { state, operations } = applyEntries(this.#planned, entries, mayJump);
    this.#planned = state;
    this.#commit(operations, (error) => {
      if (error === undefined && operations.length > 0) this.#state = state;
      settled(error);
    });
  }

  /** Makes a state visible that was put in the place of another and is durable now. */
  show(state: AppliedState): void {
    this.#state = state;
    this.#isReplaced = false;
  }

  /**
   * What puts another state in the place of this one. It is the caller's to make durable and to show; entries that are told
   * from now on come after it, and those that it includes are ignored.
   */
  replaceBy(next: AppliedState): Operation[] {
    const operations: Operation[] = [];
    for (const document of this.#planned.documents.keys()) operations.push(removal(`d${document}`));
    for (const value of this.#planned.recovered) operations.push(removal(`b${value}`));
    this.#planned = next;
    this.#isReplaced = true;
    for (const [document, value] of next.documents) operations.push(put(`d${document}`, value));
    for (const value of next.recovered) operations.push(put(`b${value}`, value));
    operations.push(put('i', [next.index, next.epochTerm]));
    return operations;
  }
}

function applyEntries(
  before: AppliedState,
  entries: readonly Entry[],
  mayJump: boolean,
): { readonly state: AppliedState; readonly operations: Operation[] } {
  const documents = new Map(before.documents);
  const recovered = new Set(before.recovered);
  const operations: Operation[] = [];
  let { index, epochTerm } = before;
  for (const entry of entries) {
    // A state that was fetched meanwhile may include entries that were on their way here. Nothing is written for
    // them: the state may not be on the disk yet, and its index must not get there before it.
    if (entry.index <= index) continue;
    assert(
      mayJump || entry.index === index + 1,
      `entry ${entry.index} is applied right after entry ${index}`,
    );
    index = entry.index;
    if (entry.body.kind === 'epoch') epochTerm = entry.term;
    if (entry.body.kind !== 'data') continue;
    const command = decodeCommand(entry.body.data);
    const { document, value } = command;
    if (command.kind === 'recovered') {
      // Brought twice, it changes nothing.
      if (recovered.has(value)) continue;
      recovered.add(value);
      operations.push(put(`b${value}`, value));
      if (!command.isCurrent) continue;
    } else {
      const held = documents.get(document) ?? absent;
      assert(
        held === command.expected,
        `the leader checked the write ${value} at index ${index} against ${command.expected}, here is ${held}`,
      );
    }
    documents.set(document, value);
    operations.push(put(`d${document}`, value));
  }
  if (index === before.index) return { state: before, operations: [] };
  operations.push(put('i', [index, epochTerm]));
  return { state: { index, epochTerm, documents, recovered }, operations };
}

/** Reads what {@link applicationRange} of a disk holds. */
export function readApplied(pairs: Iterable<StoredPair>): AppliedState {
  const documents = new Map<string, number>();
  const recovered = new Set<number>();
  let [index, epochTerm] = [0, 0];
  for (const { key, value } of pairs) {
    const name = decoder.decode(key).slice(1);
    const held: unknown = JSON.parse(decoder.decode(value));
    if (name.startsWith('d')) documents.set(name.slice(1), held as number);
    else if (name.startsWith('b')) recovered.add(held as number);
    else [index, epochTerm] = held as [number, number];
  }
  return { index, epochTerm, documents, recovered };
}

/** Equal states give equal texts. */
export function renderDocuments({ documents, recovered }: AppliedState): string {
  const held = [...documents].sort(([left], [right]) => (left < right ? -1 : 1));
  const kept = [...recovered].sort((left, right) => left - right);
  return `${held.map(([document, value]) => `${document}=${value}`).join(' ')} recovered ${kept.join(' ')}`;
}

function put(name: string, value: unknown): Operation {
  return { kind: 'put', key: encoder.encode(`A${name}`), value: encoder.encode(JSON.stringify(value)) };
}

function removal(name: string): Operation {
  return { kind: 'delete', key: encoder.encode(`A${name}`) };
}
