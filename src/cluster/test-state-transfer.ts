/** A state on its way between two replicas in one process, over memory stores and without a group. */

import type { Databases } from '../database/databases.ts';
import { digest128 } from '../runtime/digest.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { asIndex, asTerm, type StatePoint } from '../single-leader/entry.ts';
import { databaseRange, suffixOf } from '../store/keys.ts';
import type { Store } from '../store/store.ts';
import type { StateNeed } from './group.ts';
import { decodeRequest, type OpenedState, type StateRequest } from './state-transfer-codec.ts';
import { StateSource, type StateSourceSettings, stateSourceDefaults } from './state-transfer-source.ts';
import { StateTarget } from './state-transfer-target.ts';
import type { TestReplica } from './test-log.ts';

const silent = { info: () => {}, warn: () => {}, error: () => {} };

export interface TransferOptions {
  readonly from: TestReplica;
  readonly to: TestReplica;
  readonly scope?: StateNeed['scope'];
  readonly atLeast?: number;
  readonly settings?: Partial<StateSourceSettings>;
  /** Called before each request is answered. */
  readonly before?: (request: StateRequest) => Promise<void>;
}

export interface Transferred {
  readonly requests: StateRequest[];
  readonly opened: OpenedState[];
  readonly answerBytes: number[];
}

/** Fetches until the target gives up or has it. */
export async function transfer(options: TransferOptions): Promise<Transferred> {
  const { from, to, scope = 'changes', before } = options;
  const done: Transferred = { requests: [], opened: [], answerBytes: [] };
  const source = new StateSource({
    ...{ ...from, clock: systemClock, log: silent },
    group: () => ({ statePoint: pointAt }),
    settings: { ...stateSourceDefaults, pieceBytes: 4_000, ...options.settings },
  });
  const warnings: unknown[] = [];
  const target = new StateTarget({
    ...{ ...to, clock: systemClock },
    log: { ...silent, warn: (detail) => warnings.push(detail) },
    group: () => ({
      status: () => {
        const applied = to.catalog.appliedIndex();
        return { applied, commit: applied, fencedOut: scope === 'whole', members: [] } as never;
      },
      installState: async (_state, operations) => {
        await to.store.commit(operations);
        return () => {};
      },
    }),
    request: async (_peer, bytes) => {
      const request = decodeRequest(bytes);
      done.requests.push(request);
      await before?.(request);
      const answer = await source.serve('n2', bytes);
      done.answerBytes.push(answer.length);
      if (request.op === 'open') done.opened.push(JSON.parse(Buffer.from(answer).toString()) as OpenedState);
      return answer;
    },
  });
  target.need({ from: 'n1', atLeast: options.atLeast ?? from.catalog.appliedIndex(), scope });
  await target.settled();
  await target.close();
  await source.close();
  return done;
}

function pointAt(index: number): StatePoint {
  return { index: asIndex(index), term: asTerm(1), membership: undefined, epochs: [] };
}

/** Every record of a database, by its key; long values by their digest. */
export async function recordsOf(
  { databases, store }: { readonly databases: Databases; readonly store: Store },
  name: string,
): Promise<Record<string, string>> {
  const records: Record<string, string> = {};
  for await (const entries of store.scan(databaseRange(databases.numberOf(name)))) {
    for (const { key, value } of entries)
      records[Buffer.from(suffixOf(key)).toString('latin1')] =
        value.length > 1_000 ? digest128(value) : Buffer.from(value).toString('latin1');
  }
  return records;
}
