/** A node with a million documents: what it takes of memory and disk, and how soon it answers after a start. */

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createDatabase, database, loadDocuments } from '../database-requests.ts';
import { load, residentBytes } from '../processes.ts';
import type { RowId, Sample } from '../rows.ts';
import type { RunningNode, System } from '../systems.ts';
import { inDirectory, type Part, type PartContext, whileRunning } from './part.ts';

const megabyte = 1_000_000;

async function directoryBytes(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(async (file) => (await stat(join(file.parentPath, file.name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

function memoryOf(node: RunningNode): { now: number; peak: number } {
  const resident = residentBytes(node.process.pid ?? 0);
  if (resident === undefined) throw new Error('resident memory can be read from /proc only');
  return resident;
}

async function measureLoaded(context: PartContext, system: System, directory: string): Promise<Sample[]> {
  const documents = context.settings.storedDocuments;
  const sample = (row: RowId, value: number): Sample => ({ row, system: system.name, value });
  return whileRunning(system, directory, async (node) => {
    await createDatabase(node);
    const result = await loadDocuments(node, 'd', documents);
    const memory = memoryOf(node);
    return [
      sample('load-million', documents / result.seconds),
      sample('memory-loaded', memory.now / megabyte),
      sample('memory-peak', memory.peak / megabyte),
      sample('disk-loaded', (await directoryBytes(directory)) / megabyte),
    ];
  });
}

/** From starting the process until the database itself answers, which no node can do before it has opened it. */
async function measureOpening(system: System, directory: string): Promise<Sample[]> {
  const startedAt = performance.now();
  const node = await system.start(directory, database);
  const seconds = (performance.now() - startedAt) / 1000;
  try {
    return [
      { row: 'open', system: system.name, value: seconds },
      { row: 'memory-opened', system: system.name, value: memoryOf(node).now / megabyte },
    ];
  } finally {
    await node.stop();
  }
}

/** Every document passes through the node once, as for a client that copies the database. */
async function measureReading(system: System, directory: string): Promise<Sample[]> {
  return whileRunning(system, directory, async (node) => {
    await load({
      address: node.address,
      database,
      load: { kind: 'path', path: '_all_docs?include_docs=true' },
      connections: 1,
      warmUpSeconds: 0,
      secondsMax: Number.MAX_SAFE_INTEGER,
      requestsMax: 1,
      firstIndex: 0,
    });
    return [{ row: 'memory-read', system: system.name, value: memoryOf(node).now / megabyte }];
  });
}

export const million: Part = {
  name: 'million',
  rows: [
    'load-million',
    'memory-loaded',
    'memory-peak',
    'disk-loaded',
    'open',
    'memory-opened',
    'memory-read',
  ],
  run: async (context) => {
    const samples: Sample[] = [];
    for (const system of context.systems) {
      context.progress(`million: ${system.name} loads ${context.settings.storedDocuments} documents`);
      try {
        await inDirectory(context, async (directory) => {
          samples.push(...(await measureLoaded(context, system, directory)));
          for (let round = 1; round <= Math.max(3, context.settings.rounds); round++) {
            context.progress(`million: ${system.name} opens them, round ${round}`);
            samples.push(...(await measureOpening(system, directory)));
          }
          // pouchdb-server builds the whole answer in memory, which a million documents do not fit into.
          if (system.name === 'tercet') samples.push(...(await measureReading(system, directory)));
        });
      } catch (error) {
        context.problem(`million, ${system.name}: ${(error as Error).message}`);
      }
    }
    return samples;
  },
};
