import { join } from 'node:path';
import { requestJson } from '../database-requests.ts';
import { freePort } from '../processes.ts';
import { etcdClientDirectory } from '../wires/etcd-grpc.ts';
import { type ClusterSystem, local, type RunningCluster, startAll, versionOf } from './cluster.ts';

interface Member {
  readonly name: string;
  readonly port: number;
  readonly clientUrl: string;
  readonly peerUrl: string;
}

export function etcdByGateway(): ClusterSystem {
  return {
    name: 'etcd-http',
    protocol: 'etcd-http',
    description: `${versionOf('etcd', ['--version'])}, three nodes, its HTTP gateway`,
    start,
  };
}

export function etcdByGrpc(): ClusterSystem {
  const version = versionOf('etcd', ['--version']);
  etcdClientDirectory();
  return {
    name: 'etcd-grpc',
    protocol: 'etcd-grpc',
    description: `${version}, three nodes, gRPC by its npm client with a channel per node`,
    start,
  };
}

async function start(directory: string): Promise<RunningCluster> {
  const members: Member[] = [];
  for (const name of ['e1', 'e2', 'e3']) {
    const port = await freePort();
    const peerUrl = `http://127.0.0.1:${await freePort()}`;
    members.push({ name, port, clientUrl: `http://127.0.0.1:${port}`, peerUrl });
  }
  const cluster = members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',');
  const programs = members.map(({ name, clientUrl, peerUrl }) => ({
    command: 'etcd',
    parameters: [
      ...['--name', name, '--data-dir', join(directory, name), '--log-level', 'error', '--logger', 'zap'],
      ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', cluster, '--initial-cluster-state', 'new'],
    ],
    directory,
  }));
  const { found: leader, stop } = await startAll(programs, () => leaderOf(members));
  return { addresses: members.map(({ port }) => local(port)), leader: local(leader.port), stop };
}

/** Each member says who leads, by an id, and which id is its own. */
async function leaderOf(members: readonly Member[]): Promise<Member | undefined> {
  const answers = (await Promise.all(
    members.map(({ clientUrl }) => requestJson(`${clientUrl}/v3/maintenance/status`, 'POST', {})),
  )) as { readonly header: { readonly member_id: string }; readonly leader?: string }[];
  return members.find((_, index) => answers[index]?.leader === answers[index]?.header.member_id);
}
