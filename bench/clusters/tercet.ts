import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requestJson } from '../database-requests.ts';
import { freePort } from '../processes.ts';
import { groupDatabase } from '../wires/http.ts';
import { type ClusterSystem, local, type Program, startAll } from './cluster.ts';

const main = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const clusterUuid = '7e57'.repeat(8);

export interface Member {
  readonly name: string;
  readonly port: number;
  readonly url: string;
}

type Strategy = 'single-leader' | 'leaderless';

const descriptions: Readonly<Record<Strategy, string>> = {
  'single-leader':
    'tercet, three nodes, a single-leader database, fsync on a majority before every answer, linearizable reads',
  leaderless: 'tercet, three nodes, a leaderless database, N=3 W=2 R=2, fsync on two before every answer',
};

export function tercetCluster(profileDirectory: string | undefined, strategy: Strategy): ClusterSystem {
  return {
    name: 'tercet',
    protocol: 'tercet',
    description: descriptions[strategy],
    start: async (directory) => {
      const members = await newMembers(3);
      const programs = members.map((member) => programOf(member, members, directory, profileDirectory));
      const query = `strategy=${strategy}`;
      const { found: leader, stop } = await startAll(programs, () => prepare(members, query));
      return { addresses: members.map(({ port }) => local(port)), leader: local(leader.port), stop };
    },
  };
}

export async function newMembers(count: number): Promise<readonly Member[]> {
  const members: Member[] = [];
  for (const name of Array.from({ length: count }, (_, index) => `n${index + 1}`)) {
    const port = await freePort();
    members.push({ name, port, url: `http://127.0.0.1:${port}` });
  }
  return members;
}

/** @throws Error when there is no build to run */
export function programOf(
  member: Member,
  members: readonly Member[],
  directory: string,
  profileDirectory?: string,
): Program {
  if (!existsSync(main)) throw new Error(`${main} is missing; run npm run build`);
  const flags = serveFlags(member, members, directory);
  const parameters = [...profiling(profileDirectory, member), main, ...flags];
  return { command: process.execPath, parameters, directory };
}

function profiling(directory: string | undefined, { name }: Member): readonly string[] {
  if (directory === undefined) return [];
  return ['--cpu-prof', '--cpu-prof-dir', resolve(directory), '--cpu-prof-name', `${name}.cpuprofile`];
}

function serveFlags({ name, port }: Member, members: readonly Member[], directory: string): string[] {
  const peers = members.map((member) => `${member.name}=${member.url}`).join(',');
  const listen = ['--listen', `127.0.0.1:${port}`, '--data', join(directory, name)];
  return ['serve', '--node', name, ...listen, '--peers', peers, '--cluster', clusterUuid];
}

/** The leader, once there is one and all nodes have the database. */
export async function prepare(members: readonly Member[], query: string): Promise<Member | undefined> {
  const [first] = members;
  const { leader } = (await requestJson(`${first?.url}/_cluster`)) as { leader: string | null };
  if (leader === null) return undefined;
  await fetch(`${first?.url}/${groupDatabase}?${query}`, { method: 'PUT' });
  await Promise.all(members.map(({ url }) => requestJson(`${url}/${groupDatabase}`)));
  return members.find(({ name }) => name === leader);
}
