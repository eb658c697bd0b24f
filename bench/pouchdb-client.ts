/** A real PouchDB with its memory adapter, in a process of its own, that pushes to a database or pulls from it. */

import { createRequire } from 'node:module';
import { documentId, documentText } from './workloads.ts';

interface Pouch {
  bulkDocs(documents: readonly object[]): Promise<unknown>;
  readonly replicate: {
    to(url: string): Promise<ReplicationOutcome>;
    from(url: string): Promise<ReplicationOutcome>;
  };
}

interface ReplicationOutcome {
  readonly ok: boolean;
  readonly docs_written: number;
}

interface PouchConstructor {
  new (name: string, options: { readonly adapter: string }): Pouch;
  plugin(adapter: unknown): void;
}

// These packages carry no types, and the published ones describe an older version.
const require = createRequire(import.meta.url);
const PouchDB = require('pouchdb') as PouchConstructor;
const memoryAdapter: unknown = require('pouchdb-adapter-memory');

export interface SyncJob {
  readonly url: string;
  readonly direction: 'push' | 'pull';
  /** How many documents a push sends; a pull must find as many. */
  readonly documents: number;
}

export interface SyncResult {
  readonly seconds: number;
  readonly documents: number;
}

async function sync({ url, direction, documents }: SyncJob): Promise<SyncResult> {
  PouchDB.plugin(memoryAdapter);
  const local = new PouchDB('bench', { adapter: 'memory' });
  if (direction === 'push') {
    const made = Array.from(
      { length: documents },
      (_, i) => JSON.parse(documentText(documentId('p', i), i)) as object,
    );
    await local.bulkDocs(made);
  }
  const startedAt = performance.now();
  const outcome = direction === 'push' ? await local.replicate.to(url) : await local.replicate.from(url);
  const seconds = (performance.now() - startedAt) / 1000;
  if (!outcome.ok || outcome.docs_written !== documents) {
    throw new Error(`${direction} moved ${outcome.docs_written} of ${documents} documents`);
  }
  return { seconds, documents };
}

process.once('message', (job: SyncJob) => {
  sync(job)
    .then((result) => ({ result }))
    .catch((error: Error) => ({ error: error.message }))
    .then((answer) => process.send?.(answer, () => process.exit(0)));
});
