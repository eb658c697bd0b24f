/** What the log says and a replica cannot do: it must not be passed over, and content must not go before it is named. */

import { afterEach, describe, expect, it } from 'vitest';
import { openDatabase } from '../database/database.ts';
import { digest128 } from '../runtime/digest.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { systemRandom } from '../runtime/system-random.ts';
import { DatabaseKeys, databaseRange } from '../store/keys.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { type Command, encodeCommand } from './commands.ts';
import { UnappliableError } from './state-machine.ts';
import { closeClusterNodes, leaderAmong, startClusterNode } from './test-clusters.ts';
import { openReplica } from './test-log.ts';

const ack = { policy: 'semi-sync', followers: 'majority', onTimeout: 'fail', timeoutMs: 1_000 } as const;
const revision = `1-${'a'.repeat(32)}` as never;
const attachment = { name: 'f', contentType: 'text/plain', revpos: 1, length: 1, digest: 'md5-', blob: 'ab' };
const commands: readonly Command[] = [
  { kind: 'create', name: 'ledger', incarnation: 'aa', replication: { strategy: 'single-leader', ack } },
  {
    ...{ kind: 'write', database: 1 },
    revisions: [
      {
        ...{ id: 'x', revision, path: { start: 1, ids: ['a'.repeat(32)] }, deleted: false },
        ...{ attachments: [attachment], body: Buffer.from('{}') },
      },
    ],
  },
];

afterEach(closeClusterNodes);

async function* streamOf(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}

describe('An entry that a replica cannot apply', () => {
  it('stops what is applied, with what it was about, and is not counted as applied', async () => {
    const { catalog } = await openReplica();
    const entries = commands.map((command, at) => ({ index: at + 1, term: 1, data: encodeCommand(command) }));
    const [create, write] = entries as unknown as Parameters<typeof catalog.apply>[0];
    await catalog.apply([create!], create!, () => true);
    const applied = catalog.apply([write!], write!, () => true);
    await expect(applied).rejects.toThrow(UnappliableError);
    await expect(applied).rejects.toThrow(/write of document "x" of database 1 .* attachment "f"/);
    expect(catalog.appliedIndex()).toBe(1);
  });

  it('ends its part in the group, and no other life follows', async () => {
    const node = await startClusterNode('n1', ['n1']);
    await leaderAmong([node]);
    await node.cluster.createDatabase('ledger', { strategy: 'single-leader', ack });
    const reference = node.databases.replication('ledger').reference!;
    const { log } = node.cluster;
    await log.tryLog([{ ...commands[1]!, database: reference } as Command], ack, {});
    await expect.poll(() => node.complaints.join(), { timeout: 10_000 }).toContain('cannot be applied here');
    expect(node.cluster.status().leader).toBeUndefined();
    const { length } = node.complaints;
    await expect(node.cluster.createDatabase('other', { strategy: 'multi-leader' })).rejects.toMatchObject({
      code: 'not_leader',
    });
    expect(node.complaints).toHaveLength(length);
  });

  it('of a later version says so', async () => {
    const { catalog } = await openReplica();
    const entry = { index: 1, term: 1, data: Uint8Array.of(9) } as never;
    await expect(catalog.apply([entry], entry, () => true)).rejects.toThrow(/later version/);
  });
});

describe('Content of a database whose writes come by a log', () => {
  it('stays until compactions have found it unnamed for as long as a pin lasts, also after a restart', async () => {
    let now = 0;
    const clock = { ...systemClock, monotonic: () => now };
    const store = createMemoryStore();
    const open = (isLogged: boolean) =>
      openDatabase({
        ...{ name: 'ledger', incarnation: 'aa', keys: new DatabaseKeys(1), range: databaseRange(1), store },
        ...{ digest: digest128, clock, random: systemRandom, isLogged, onChange: () => {} },
        onCompactionFailure: (cause) => expect.fail(String(cause)),
      });
    const database = await open(true);
    const { blob } = await database.storeBlob(streamOf('named by an entry on its way'), 1_000);
    const isThere = async (of: typeof database) => {
      of.compact();
      await expect.poll(async () => (await of.info()).compactRunning, { timeout: 10_000 }).toBe(false);
      return of.blobs.willBeNamed(blob);
    };
    now += 4_000_000;
    expect(await isThere(database)).toBe(true);
    const reopened = await open(true);
    expect(await isThere(reopened)).toBe(true);
    now += 3_000_000;
    expect(await isThere(reopened)).toBe(true);
    now += 1_000_000;
    expect(await isThere(reopened)).toBe(false);
  });
});
