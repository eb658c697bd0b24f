import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../processes.ts';
import { openRedisWire } from '../wires/redis.ts';
import { type ClusterSystem, local, startAll, versionOf } from './cluster.ts';

export function redisPair(): ClusterSystem {
  const version = versionOf('redis-server', ['--version']).split(' ').slice(0, 3).join(' ');
  return {
    name: 'redis',
    protocol: 'redis',
    description:
      `${version}, one replica, both with appendfsync always, WAIT 1 after each SET (which waits for the replica's ` +
      'memory, not its disk); reads from the leader, which are not linearizable',
    start: async (directory) => {
      const leader = await freePort();
      const replica = await freePort();
      const program = async (port: number, extra: readonly string[]) => {
        const data = join(directory, String(port));
        await mkdir(data, { recursive: true });
        const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
        const parameters = [
          '--port',
          String(port),
          '--bind',
          '127.0.0.1',
          '--dir',
          data,
          ...durable,
          ...extra,
        ];
        return { command: 'redis-server', parameters, directory };
      };
      const programs = [
        await program(leader, ['--repl-diskless-sync-delay', '0']),
        await program(replica, ['--replicaof', '127.0.0.1', String(leader)]),
      ];
      const { stop } = await startAll(programs, () => isReplicating(leader));
      return { addresses: [local(leader)], leader: local(leader), stop };
    },
  };
}

/** A write that the replica confirms. */
async function isReplicating(port: number): Promise<true> {
  const wire = await openRedisWire(local(port));
  try {
    await wire.put('ready', 'yes');
    return true;
  } finally {
    wire.close();
  }
}
