import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { openIdentity } from './identity.ts';

const directories: string[] = [];
afterEach(async () => {
  await Promise.all(directories.splice(0).map((directory) => rm(directory, { recursive: true })));
});

const urls = {
  n1: 'http://127.0.0.1:1',
  n2: 'http://127.0.0.1:2',
  n3: 'http://127.0.0.1:3',
  n4: 'http://127.0.0.1:4',
};

interface Options {
  readonly nodes?: readonly (keyof typeof urls)[];
  readonly dataDirectory?: string;
  readonly cluster?: string;
  readonly secret?: string;
  readonly join?: string;
  readonly askPeer?: (url: string) => Promise<string | undefined>;
}

async function open(name: keyof typeof urls, options: Options = {}, opening = openIdentity) {
  const dataDirectory = options.dataDirectory ?? (await mkdtemp(join(tmpdir(), 'tercet-identity-')));
  if (options.dataDirectory === undefined) directories.push(dataDirectory);
  const others = (options.nodes ?? []).filter((node) => node !== name);
  const identity = await opening({
    settings: {
      ...{ dataDirectory, name, cluster: options.cluster, secret: options.secret, join: options.join },
      peers: others.map((node) => ({ name: node, url: urls[node] })),
    },
    directoryUuid: '01234567-89ab-cdef-0123-456789abcdef',
    askPeer: options.askPeer ?? (async () => undefined),
  });
  return { ...identity, dataDirectory };
}

const three = ['n1', 'n2', 'n3'] as const;

describe('the uuid of a cluster', () => {
  test('is that of the data directory on a single node', async () => {
    expect((await open('n1')).clusterUuid).toBe('0123456789abcdef0123456789abcdef');
  });

  test('is equal on nodes that start together, whatever the order of their lists', async () => {
    const uuids = [
      (await open('n1', { nodes: three })).clusterUuid,
      (await open('n2', { nodes: ['n3', 'n1', 'n2'] })).clusterUuid,
      (await open('n3', { nodes: three })).clusterUuid,
    ];
    expect(new Set(uuids).size).toBe(1);
    expect(uuids[0]).toMatch(/^[0-9a-f]{32}$/);
  });

  test('differs between clusters of the same names with different secrets', async () => {
    const [one, other] = [
      await open('n1', { nodes: three, secret: 'a' }),
      await open('n1', { nodes: three, secret: 'b' }),
    ];
    expect(one.clusterUuid).not.toBe(other.clusterUuid);
  });

  test('stays when nodes join or leave, and the joining one takes it', async () => {
    const before = await open('n1', { nodes: three });
    const after = await open('n1', { nodes: [...three, 'n4'], dataDirectory: before.dataDirectory });
    expect(after.clusterUuid).toBe(before.clusterUuid);
    const askPeer = async (url: string) => (url === urls.n2 ? before.clusterUuid : undefined);
    expect((await open('n4', { nodes: [...three, 'n4'], askPeer })).clusterUuid).toBe(before.clusterUuid);
  });

  test('is not taken from a peer that shows something else', async () => {
    const derived = (await open('n1', { nodes: three })).clusterUuid;
    const askPeer = async () => '<html>';
    expect((await open('n1', { nodes: three, askPeer })).clusterUuid).toBe(derived);
  });

  test('is fixed by the name of the cluster, or by the uuid itself', async () => {
    const named = await open('n1', { cluster: 'shop' });
    expect((await open('n2', { cluster: 'shop', nodes: three, secret: 'x' })).clusterUuid).toBe(
      named.clusterUuid,
    );
    expect((await open('n3', { cluster: named.clusterUuid })).clusterUuid).toBe(named.clusterUuid);
    const changed = await open('n1', { cluster: 'other', dataDirectory: named.dataDirectory });
    expect(changed.clusterUuid).not.toBe(named.clusterUuid);
    expect(changed.cookieSecret).toBe(named.cookieSecret);
  });
});

describe('node.json', () => {
  test('keeps the cookie secret over a restart, for its owner only', async () => {
    const first = await open('n1');
    expect((await open('n1', { dataDirectory: first.dataDirectory })).cookieSecret).toBe(first.cookieSecret);
    expect((await open('n1')).cookieSecret).not.toBe(first.cookieSecret);
    expect((await stat(join(first.dataDirectory, 'node.json'))).mode & 0o777).toBe(0o600);
  });

  test('has a name that survives a loss of power once it is needed', async ({ onTestFinished }) => {
    // As it is, and counted: no test can take a disk's power away.
    vi.doMock('../store/data-directory.ts', async (original) => {
      const real = await original<typeof import('../store/data-directory.ts')>();
      return { ...real, syncDirectory: vi.fn(real.syncDirectory) };
    });
    vi.resetModules();
    onTestFinished(() => {
      vi.doUnmock('../store/data-directory.ts');
      vi.resetModules();
    });
    const counted = await import('./identity.ts');
    const { syncDirectory } = await import('../store/data-directory.ts');
    const { dataDirectory } = await open('n1', {}, counted.openIdentity);
    expect(vi.mocked(syncDirectory)).toHaveBeenLastCalledWith(dataDirectory);
  });

  test('keeps another node from taking the directory', async () => {
    const { dataDirectory } = await open('n1');
    await expect(open('n2', { dataDirectory })).rejects.toThrow(
      /belongs to the node n1, not to n2: start it with --node n1/,
    );
  });

  test.each(['', '{', 'null', '{"node":"n1"}', '{"node":"n1","clusterUuid":"x","cookieSecret":"y"}'])(
    'is not replaced when it is damaged (%j)',
    async (text) => {
      const { dataDirectory } = await open('n1');
      const path = join(dataDirectory, 'node.json');
      await writeFile(path, text);
      await expect(open('n1', { dataDirectory })).rejects.toThrow('node.json is damaged');
      expect(await readFile(path, 'utf8')).toBe(text);
    },
  );
});
