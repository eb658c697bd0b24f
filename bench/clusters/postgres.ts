/** PostgreSQL refuses to run as root, so root runs it as the user `postgres` of Debian's package. */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { freePort } from '../processes.ts';
import { benchUser, openPostgresWire, preparePostgres } from '../wires/postgres.ts';
import { type ClusterSystem, local, type Program, startAll, versionOf } from './cluster.ts';

const debianPrograms = '/usr/lib/postgresql/15/bin';

type Owner = { readonly uid: number; readonly gid: number } | undefined;

export function postgresPair(): ClusterSystem {
  const home = existsSync(debianPrograms) ? debianPrograms : '';
  const version = versionOf(join(home, 'postgres'), ['--version']);
  const owner = ownerOf();
  return {
    name: 'postgres',
    protocol: 'postgres',
    description: `${version}, one synchronous standby, prepared INSERT and SELECT; reads from the leader`,
    start: async (directory) => {
      await openTo(owner, directory);
      const leader = { port: await freePort(), data: join(directory, 'leader') };
      const standby = { port: await freePort(), data: join(directory, 'standby') };
      run(join(home, 'initdb'), ['-A', 'trust', '-U', benchUser, '-D', leader.data], owner);
      const program = ({ port, data }: typeof leader, extra: readonly string[]): Program => ({
        command: join(home, 'postgres'),
        parameters: ['-D', data, ...settings({ port: String(port), ...common }), ...extra],
        directory,
        ...owner,
      });
      const first = await startAll([program(leader, settings(synchronous))], () => isReady(leader.port));
      const target = ['-h', '127.0.0.1', '-p', String(leader.port), '-U', benchUser, '-D', standby.data];
      run(join(home, 'pg_basebackup'), ['-R', '-X', 'stream', '-c', 'fast', ...target], owner);
      const second = await startAll([program(standby, [])], () => isReady(standby.port));
      // The table is there once the standby has confirmed it.
      await preparePostgres(local(leader.port));
      const stop = () => second.stop().then(first.stop);
      return { addresses: [local(leader.port)], leader: local(leader.port), stop };
    },
  };
}

const common = { listen_addresses: '127.0.0.1', unix_socket_directories: '', max_connections: '300' };
const synchronous = { synchronous_standby_names: '*', synchronous_commit: 'on' };

function settings(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

function ownerOf(): Owner {
  if (process.getuid?.() !== 0) return undefined;
  const idOf = (flag: string) => Number(versionOf('id', [flag, 'postgres']));
  return { uid: idOf('-u'), gid: idOf('-g') };
}

/** The directory becomes the owner's, and the way to it can be gone. */
async function openTo(owner: Owner, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  if (owner === undefined) return;
  await chown(directory, owner.uid, owner.gid);
  await chmod(dirname(directory), 0o711);
}

function run(command: string, parameters: readonly string[], owner: Owner): void {
  const { status, stderr } = spawnSync(command, parameters, { encoding: 'utf8', cwd: '/', ...owner });
  if (status !== 0) throw new Error(`${command} failed: ${stderr}`);
}

/** Answers connections; the table comes later, so its statements are not prepared yet. */
async function isReady(port: number): Promise<true> {
  const wire = await openPostgresWire(local(port)).catch((error: Error) => {
    if (error.message.includes('does not exist')) return undefined;
    throw error;
  });
  wire?.close();
  return true;
}
