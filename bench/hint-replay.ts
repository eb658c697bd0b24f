/** How long the hints for a node that was away take, from its first answer until it has all of them. */

import { local, startAll, until } from './clusters/cluster.ts';
import { newMembers, prepare, programOf } from './clusters/tercet.ts';
import { countDocuments, loadDocuments } from './database-requests.ts';
import { startProcess, stopProcess } from './processes.ts';
import type { Sample } from './rows.ts';
import { groupDatabase } from './wires/http.ts';

export async function measureHints(directory: string, hints: number): Promise<Sample> {
  const members = await newMembers(3);
  const [first, , away] = members as [(typeof members)[0], (typeof members)[0], (typeof members)[0]];
  const programs = members.map((member) => programOf(member, members, directory));
  // What is missing must not come by another way.
  const query = 'strategy=leaderless&anti_entropy=false';
  const others = await startAll(programs.slice(0, 2), async () => true as const);
  let process = startProcess(programs[2]!.command, programs[2]!.parameters, { cwd: directory });
  try {
    await until('the database exists', () => prepare(members, query));
    await stopProcess(process.child);
    await loadDocuments({ url: first.url, address: local(first.port) }, 'h', hints);
    process = startProcess(programs[2]!.command, programs[2]!.parameters, { cwd: directory });
    const count = () => countDocuments(`${away.url}/${groupDatabase}`);
    const found = await until('the node answers', count);
    const startedAt = performance.now();
    if (found >= hints) throw new Error('the node was not away');
    await until('it has everything', async () => ((await count()) >= hints ? true : undefined));
    return { row: 'hints-replay', system: 'tercet', value: (performance.now() - startedAt) / 1000 };
  } finally {
    await stopProcess(process.child);
    await others.stop();
  }
}
