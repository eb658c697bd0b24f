/** Writes that go straight into this node's store, one turn after the other. */

import type { Revision } from '../document/revision.ts';
import { parseRevision } from '../document/revision.ts';
import { TercetError } from '../errors.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import { keyKinds } from '../store/keys.ts';
import type { Store } from '../store/store.ts';
import type { ApplySettings } from './apply.ts';
import { applyEdits, applyPurge, applyTogether } from './apply.ts';
import type { Blobs } from './blobs.ts';
import { applyLocal } from './local-documents.ts';
import type { BlobReference, DocumentEdit, EditOutcome, PurgeOutcome, ReplicatedRevision } from './model.ts';
import type { DatabaseSettings } from './settings.ts';
import { decodeSettings, encodeSettings } from './settings.ts';
import type { Turn } from './turn.ts';
import type { LocalWrite, Writes } from './writes.ts';

/** Writes of one request are cut into parts of this many, so that a big one does not hold the others up. */
const WRITES_PER_TASK = 250;

/** What writes on a turn need to know of their database. */
export interface InTurnContext {
  readonly keys: DatabaseKeys;
  readonly store: Store;
  readonly settings: () => ApplySettings & DatabaseSettings;
}

export interface LocalWritesContext extends InTurnContext {
  readonly blobs: Blobs;
  readonly submit: <Result>(work: (turn: Turn) => Result) => Promise<Result>;
}

export class LocalWrites implements Writes {
  readonly #context: LocalWritesContext;

  constructor(context: LocalWritesContext) {
    this.#context = context;
  }

  edit(edits: readonly DocumentEdit[]): Promise<EditOutcome[]> {
    return this.#inParts(edits, (turn, part) => applyEdits(turn, part, this.#context.settings()));
  }

  insert(revisions: readonly ReplicatedRevision[]): Promise<EditOutcome[]> {
    return this.#inParts(revisions, (turn, part) => applyTogether(turn, part, this.#context.settings()));
  }

  purge(request: ReadonlyMap<string, readonly string[]>): Promise<PurgeOutcome> {
    return this.#context.submit((turn) => purgeInTurn(turn, request, this.#context));
  }

  writeLocal(write: LocalWrite): Promise<string> {
    return this.#context.submit((turn) => applyLocal(turn, this.#context, write));
  }

  async changeSettings(change: Partial<DatabaseSettings>): Promise<void> {
    await this.#context.submit((turn) => changeSettingsInTurn(turn, change, this.#context));
  }

  storeBlob(content: AsyncIterable<Uint8Array>, bytesMax: number): Promise<BlobReference> {
    return this.#context.blobs.store(content, bytesMax);
  }

  flush(): Promise<void> {
    return this.#context.submit(() => undefined);
  }

  async #inParts<Write extends { readonly id: string }>(
    writes: readonly Write[],
    apply: (turn: Turn, part: readonly Write[]) => EditOutcome[],
  ): Promise<EditOutcome[]> {
    if (writes.length <= WRITES_PER_TASK) {
      return this.#context.submit((turn) => apply(turn, writes));
    }
    const parts: Promise<EditOutcome[]>[] = [];
    for (let at = 0; at < writes.length; at += WRITES_PER_TASK) {
      const part = writes.slice(at, at + WRITES_PER_TASK);
      parts.push(this.#context.submit((turn) => apply(turn, part)));
    }
    return joinParts(await Promise.allSettled(parts), writes);
  }
}

/** A part that the disk refused fails in its rows when another is written already: a single error could not say both. */
function joinParts(
  parts: readonly PromiseSettledResult<EditOutcome[]>[],
  writes: readonly { readonly id: string }[],
): EditOutcome[] {
  const refused = parts.find((part) => part.status === 'rejected');
  if (refused !== undefined && parts.every((part) => part.status === 'rejected')) throw refused.reason;
  return parts.flatMap((part, index) => {
    if (part.status === 'fulfilled') return part.value;
    if (!(part.reason instanceof TercetError)) throw part.reason;
    const error = part.reason;
    const its = writes.slice(index * WRITES_PER_TASK, (index + 1) * WRITES_PER_TASK);
    return its.map(({ id }) => ({ kind: 'failed', id, error }));
  });
}

export function purgeInTurn(
  turn: Turn,
  request: ReadonlyMap<string, readonly string[]>,
  context: InTurnContext,
): PurgeOutcome {
  const purged = new Map<string, readonly Revision[]>();
  for (const [id, texts] of request) {
    const wanted = texts.map((text) => parseRevision(text)).filter((revision) => revision !== undefined);
    const revisions = applyPurge(turn, id, wanted);
    purged.set(id, revisions);
    if (revisions.length > 0) recordPurge(turn, id, revisions, context);
  }
  return purged;
}

export function changeSettingsInTurn(
  turn: Turn,
  change: Partial<DatabaseSettings>,
  { keys, store }: InTurnContext,
): void {
  const key = keys.single(keyKinds.settings);
  const pending = turn.added(key);
  const current = pending?.kind === 'put' ? pending.value : store.get(key);
  turn.add({ kind: 'put', key, value: encodeSettings({ ...decodeSettings(current), ...change }) });
}

function recordPurge(turn: Turn, id: string, revisions: readonly Revision[], context: InTurnContext): void {
  const { keys, settings } = context;
  const sequence = turn.nextPurgeSequence();
  const value = Buffer.from(JSON.stringify({ id, revisions }));
  turn.add({ kind: 'put', key: keys.ofNumber(keyKinds.purge, sequence), value });
  const forgotten = sequence - settings().purgedInfosLimit;
  if (forgotten > 0) turn.add({ kind: 'delete', key: keys.ofNumber(keyKinds.purge, forgotten) });
}
