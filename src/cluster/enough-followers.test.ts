import { describe, expect, it } from 'vitest';
import type { AckSettings } from '../database/model.ts';
import { edit } from '../database/test-database.ts';
import type { AckWish } from '../database/writes.ts';
import { TestLog } from './test-log.ts';

const byTwo: AckSettings = { policy: 'semi-sync', followers: 2, onTimeout: 'fail', timeoutMs: 1_000 };
const choice = (ack: AckSettings) => ({ strategy: 'single-leader', ack }) as const;

async function opened(ack: AckSettings) {
  const log = new TestLog();
  const leader = await log.openLeader();
  await leader.cluster.createDatabase('ledger', choice(ack));
  const shrink = () => {
    log.members = log.members.slice(0, 2);
  };
  const change = (changed: Partial<AckSettings>) =>
    leader.cluster.setReplication('ledger', choice({ ...ack, ...changed }));
  const writeBy = (wish?: Partial<AckWish>) => {
    const said = { policy: undefined, followers: undefined, onTimeout: undefined, timeoutMs: undefined };
    return leader.databases.get('ledger').edit([edit('x', {})], wish && { ack: { ...said, ...wish } });
  };
  return { log, leader, shrink, change, writeBy };
}

describe('More followers than the cluster has voters beside the leader', () => {
  it('are refused to a write at once, also where it would wait or settle for less', async () => {
    const { log, writeBy } = await opened({ ...byTwo, policy: 'async' });
    const logged = log.entries.length;
    for (const onTimeout of [undefined, 'block', 'degrade'] as const) {
      await expect(writeBy({ policy: 'semi-sync', followers: 3, onTimeout })).rejects.toMatchObject({
        code: 'bad_request',
        reason: '`followers` is 3, but beside the leader the cluster has 2 voters.',
        writeOutcome: 'did_not_happen',
      });
    }
    expect(log.entries).toHaveLength(logged);
    expect(await writeBy({ policy: 'semi-sync', followers: 2 })).toMatchObject([{ kind: 'written' }]);
  });

  it('are refused as a setting, of a new database and of one that is there', async () => {
    const { leader, change } = await opened(byTwo);
    const three = choice({ ...byTwo, followers: 3 });
    await expect(leader.cluster.createDatabase('other', three)).rejects.toMatchObject({ status: 400 });
    expect(leader.databases.has('other')).toBe(false);
    await expect(change({ followers: 3 })).rejects.toMatchObject({ status: 400 });
  });

  it('that a database was set to before the cluster shrank fail its writes while nothing is written, if failing is what it wants', async () => {
    const { log, shrink, change, writeBy } = await opened(byTwo);
    shrink();
    const logged = log.entries.length;
    await expect(writeBy()).rejects.toMatchObject({
      code: 'service_unavailable',
      reason: expect.stringContaining('the cluster has one voter. Add voters, or lower `followers`'),
      writeOutcome: 'did_not_happen',
    });
    expect(log.entries).toHaveLength(logged);
    expect(await writeBy({ onTimeout: 'degrade' })).toMatchObject([{ kind: 'written' }]);
    await change({ onTimeout: 'block' });
    await expect(writeBy()).resolves.toMatchObject([{ kind: 'failed', error: { code: 'conflict' } }]);
    await change({ followers: 1 });
    await expect(change({ followers: 2 })).rejects.toMatchObject({ status: 400 });
  });

  it('do not matter to a write that wants another acknowledgement', async () => {
    const { shrink, writeBy } = await opened(byTwo);
    shrink();
    expect(await writeBy({ policy: 'async' })).toMatchObject([{ kind: 'written' }]);
  });
});
