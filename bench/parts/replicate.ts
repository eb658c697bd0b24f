/** Two nodes, one full of documents; the other is asked to pull them all, once. */

import {
  countDocuments,
  createDatabase,
  database,
  loadDocuments,
  requestJson,
} from '../database-requests.ts';
import type { Sample } from '../rows.ts';
import type { System } from '../systems.ts';
import { inDirectory, type Part, type PartContext, whileRunning } from './part.ts';

async function pullOnce(context: PartContext, system: System, sourceUrl: string): Promise<Sample[]> {
  const documents = context.settings.replicatedDocuments;
  return inDirectory(context, (directory) =>
    whileRunning(system, directory, async (target) => {
      const startedAt = performance.now();
      const request = { source: `${sourceUrl}/${database}`, target: database, create_target: true };
      await requestJson(`${target.url}/_replicate`, 'POST', request);
      const seconds = (performance.now() - startedAt) / 1000;
      const found = await countDocuments(`${target.url}/${database}`);
      if (found !== documents) throw new Error(`${found} of ${documents} documents arrived`);
      return [
        { row: 'replicate-time', system: system.name, value: seconds },
        { row: 'replicate-rate', system: system.name, value: documents / seconds },
      ];
    }),
  );
}

export const replicate: Part = {
  name: 'replicate',
  rows: ['replicate-time', 'replicate-rate'],
  run: async (context) => {
    const system = context.systems.find(({ name }) => name === 'tercet');
    if (system === undefined) return [];
    const samples: Sample[] = [];
    await inDirectory(context, (directory) =>
      whileRunning(system, directory, async (source) => {
        context.progress(`replicate: loading ${context.settings.replicatedDocuments} documents`);
        await createDatabase(source);
        await loadDocuments(source, 'd', context.settings.replicatedDocuments);
        for (let round = 1; round <= context.settings.rounds; round++) {
          context.progress(`replicate: round ${round} of ${context.settings.rounds}`);
          samples.push(...(await pullOnce(context, system, source.url)));
        }
      }),
    );
    return samples;
  },
};
