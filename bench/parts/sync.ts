/** What an offline client sees: a real PouchDB pushes all it has to an empty database, and another pulls it. */

import { countDocuments, database, loadDocuments } from '../database-requests.ts';
import { syncPouch } from '../processes.ts';
import type { Sample } from '../rows.ts';
import { inRounds, type Part, type PartContext } from './part.ts';

async function pushes(context: PartContext): Promise<readonly Sample[]> {
  const documents = context.settings.syncDocuments;
  return inRounds(context, 'PouchDB push', async (node, system) => {
    const url = `${node.url}/${database}`;
    const result = await syncPouch({ url, direction: 'push', documents });
    const found = await countDocuments(url);
    if (found !== documents) throw new Error(`${found} of ${documents} documents arrived`);
    return [{ row: 'push', system: system.name, value: documents / result.seconds }];
  });
}

async function pulls(context: PartContext): Promise<readonly Sample[]> {
  const documents = context.settings.syncDocuments;
  return inRounds(context, 'PouchDB pull', async (node, system) => {
    await loadDocuments(node, 'd', documents);
    const result = await syncPouch({ url: `${node.url}/${database}`, direction: 'pull', documents });
    return [{ row: 'pull', system: system.name, value: documents / result.seconds }];
  });
}

export const sync: Part = {
  name: 'sync',
  rows: ['push', 'pull'],
  run: async (context) => [...(await pushes(context)), ...(await pulls(context))],
};
