import { describe, expect, it } from 'vitest';
import type { Database } from '../database/database.ts';
import type { AckSettings } from '../database/model.ts';
import { bodyValue, collectChanges, edit, revisionOf, write } from '../database/test-database.ts';
import type { WriteReceipt } from '../database/writes.ts';
import { applyInBatches, openReplica, TestLog } from './test-log.ts';

const ack: AckSettings = { policy: 'semi-sync', followers: 'majority', onTimeout: 'block', timeoutMs: 1_000 };

async function opened(settings = ack) {
  const log = new TestLog();
  const leader = await log.openLeader();
  await leader.cluster.createDatabase('ledger', { strategy: 'single-leader', ack: settings });
  return { log, leader, ledger: leader.databases.get('ledger') };
}

async function feedOf(database: Database) {
  const { rows, lastSequence } = await collectChanges(database.changes({ since: '0', style: 'all_docs' }));
  return { rows, lastSequence };
}

describe('Writes through a log', () => {
  it('give exactly one of many simultaneous edits of one revision, also across requests', async () => {
    const { ledger, log } = await opened();
    const base = await write(ledger, 'x', {});
    const racing = Array.from({ length: 30 }, (_, n) => ledger.edit([edit('x', { n }, base)]));
    const outcomes = (await Promise.all(racing)).flat();
    expect(outcomes.filter((outcome) => outcome.kind === 'written')).toHaveLength(1);
    await log.settled();
    expect(ledger.read('x', { conflicts: true })).toHaveProperty('document.conflicts', undefined);
  });

  it('check the second write of a document in one request against the first', async () => {
    const { ledger, log } = await opened();
    const outcomes = await ledger.edit([edit('x', { n: 1 }), edit('y', {}), edit('x', { n: 2 })]);
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['written', 'written', 'failed']);
    await log.settled();
    expect(bodyValue(ledger, 'x')).toEqual({ n: 1 });
  });

  it('make the same revisions, sequences and tokens on every replica, however entries are batched', async () => {
    const { ledger, log } = await opened();
    let base = await write(ledger, 'x', { n: 0 });
    for (let n = 1; n < 10; n++) {
      base = await write(ledger, 'x', { n }, base);
      await write(ledger, `doc-${n}`, { n });
    }
    const gone = revisionOf((await ledger.edit([edit('x', {}, base, true)]))[0]);
    await ledger.purge(
      new Map([
        [
          'doc-3',
          [ledger.readOpenRevisions('doc-3', 'all')]
            .flat()
            .map((leaf) => (leaf.kind === 'found' ? leaf.document.revision : '')),
        ],
      ]),
    );
    await ledger.writeLocal('checkpoint', undefined, new TextEncoder().encode('{"at":1}'));
    expect(gone).toMatch(/^11-/);
    await log.settled();
    for (const sizes of [[1], [7, 2], [1_000]]) {
      const follower = await openReplica();
      await applyInBatches(follower, log.entries, sizes);
      const copy = follower.databases.get('ledger');
      expect(await feedOf(copy)).toEqual(await feedOf(ledger));
      expect(copy.currentSequence()).toBe(ledger.currentSequence());
      expect(copy.readLocal('checkpoint')).toEqual(ledger.readLocal('checkpoint'));
    }
  });

  it('change nothing when a crash repeats the last entries', async () => {
    const { ledger, log } = await opened();
    const base = await write(ledger, 'x', { n: 1 });
    await write(ledger, 'x', { n: 2 }, base);
    await log.settled();
    const follower = await openReplica();
    await applyInBatches(follower, log.entries, [2]);
    await applyInBatches(follower, log.entries.slice(1), [1]);
    expect(await feedOf(follower.databases.get('ledger'))).toEqual(await feedOf(ledger));
  });

  it('carry attachments to every replica', async () => {
    const { ledger, log } = await opened();
    const content = Buffer.alloc(600_000, 'ledger ');
    const blob = await ledger.storeBlob(
      (async function* () {
        yield content;
      })(),
      1e9,
    );
    const attachments = [{ kind: 'stored', name: 'file', contentType: 'text/plain', blob }] as const;
    revisionOf((await ledger.edit([{ ...edit('x', {}), attachments }]))[0]);
    const follower = await openReplica();
    await applyInBatches(follower, log.entries, [1]);
    const copy = follower.databases.get('ledger');
    const parts: Uint8Array[] = [];
    for await (const part of copy.readBlob(blob.blob)) parts.push(part);
    expect(Buffer.concat(parts).equals(content)).toBe(true);
    expect(copy.read('x')).toMatchObject({ document: { attachments: [{ name: 'file', length: 600_000 }] } });
  });

  it('are refused where nobody leads, and did not happen', async () => {
    const { ledger, log } = await opened();
    log.leads = false;
    await expect(ledger.edit([edit('x', {})])).rejects.toMatchObject({
      status: 503,
      writeOutcome: 'did_not_happen',
    });
    log.leads = true;
    log.answer = () => ({ kind: 'rejected', reason: 'not_leader', leader: 'n2' });
    await expect(ledger.edit([edit('x', {})])).rejects.toMatchObject({
      status: 503,
      writeOutcome: 'did_not_happen',
      reason: expect.stringContaining('n2 does'),
    });
    expect(bodyValue(ledger, 'x')).toBeUndefined();
  });

  it('say so when nobody knows whether they happened, and let later writes of the document go on', async () => {
    const { ledger, log } = await opened();
    const answer = log.answer;
    log.answer = () => {
      log.leads = false; // An unknown fate means that leadership was lost: nothing is checked before that is settled.
      return { kind: 'unknown' };
    };
    await expect(ledger.edit([edit('x', {})])).rejects.toMatchObject({
      error: 'write_outcome_unknown',
      writeOutcome: 'unknown',
    });
    log.answer = answer;
    await log.settled();
    log.leads = true;
    await expect(ledger.edit([edit('x', {})])).resolves.toMatchObject([{ kind: 'failed' }]);
  });

  it('keep a document locked while a write of it is in the log, though it was not acknowledged in time', async () => {
    const { ledger, log } = await opened();
    const answer = log.answer;
    log.answer = (entry, rule) =>
      ({ ...answer(entry, rule), outcome: 'timed_out' }) as ReturnType<typeof answer>;
    const late = ledger.edit([edit('x', { n: 1 })]);
    const next = ledger.edit([edit('x', { n: 2 })]);
    await expect(late).rejects.toMatchObject({ error: 'write_outcome_unknown' });
    expect(await next).toMatchObject([{ kind: 'failed', error: { status: 409 } }]);
  });

  it('refuse an edit only while a majority confirms the leader, who may not know of newer ones', async () => {
    const { ledger, log } = await opened();
    await write(ledger, 'x', {});
    await log.settled();
    log.confirms = false;
    await expect(ledger.edit([edit('x', {})])).rejects.toMatchObject({ status: 503 });
    log.confirms = true;
    expect(await ledger.edit([edit('x', {})])).toMatchObject([{ kind: 'failed', error: { status: 409 } }]);
  });

  it('tell how they were acknowledged, by the request’s own wish', async () => {
    const { ledger, log } = await opened();
    const rules: string[] = [];
    const answer = log.answer;
    log.answer = (entry, rule) => {
      rules.push(`${rule.policy.kind} ${rule.onTimeout} ${rule.timeoutTicks}`);
      return { ...answer(entry, rule), outcome: 'degraded' } as ReturnType<typeof answer>;
    };
    const receipts: WriteReceipt[] = [];
    const wish = { policy: 'sync', followers: undefined, onTimeout: 'degrade', timeoutMs: 500 } as const;
    await ledger.edit([edit('x', {})], { ack: wish, onReceipt: (receipt) => receipts.push(receipt) });
    const counted = { ...wish, policy: 'semi-sync', followers: 2 } as const;
    await ledger.edit([edit('y', {})], { ack: counted, onReceipt: (receipt) => receipts.push(receipt) });
    expect(rules).toEqual(['sync degrade 10', 'semi_sync degrade 10']);
    expect(receipts).toMatchObject([
      { met: false, policy: 'sync', term: 1, index: 2 },
      { met: false, policy: 'semi-sync(2)', term: 1, index: 3 },
    ]);
  });
});

describe('Databases of a group', () => {
  it('are created, configured and dropped by the log', async () => {
    const { leader, log } = await opened();
    await expect(
      leader.cluster.createDatabase('ledger', { strategy: 'single-leader', ack }),
    ).rejects.toMatchObject({ status: 412 });
    await leader.cluster.setReplication('ledger', {
      strategy: 'single-leader',
      ack: { ...ack, policy: 'async' },
    });
    await leader.databases.get('ledger').setRevisionsLimit(7);
    const follower = await openReplica();
    await applyInBatches(follower, log.entries, [1]);
    expect(follower.databases.replication('ledger')).toMatchObject({
      strategy: 'single-leader',
      ack: { policy: 'async' },
    });
    expect(follower.databases.get('ledger').revisionsLimit()).toBe(7);
    await leader.cluster.deleteDatabase('ledger');
    await applyInBatches(follower, log.entries.slice(-1), [1]);
    expect(follower.databases.has('ledger')).toBe(false);
  });

  it('take a name from a database of one node alone, whose data stays under another', async () => {
    const { ledger, log } = await opened();
    await write(ledger, 'x', { of: 'the group' });
    const follower = await openReplica();
    const own = await follower.databases.create('ledger');
    await write(own, 'x', { of: 'this node' });
    await applyInBatches(follower, log.entries, [1]);
    expect(bodyValue(follower.databases.get('ledger'), 'x')).toEqual({ of: 'the group' });
    const moved = follower.databases.names().find((name) => name.startsWith('ledger-local-'));
    expect(bodyValue(follower.databases.get(moved!), 'x')).toEqual({ of: 'this node' });
  });

  it('are there again after a restart, with how far the log is applied', async () => {
    const { ledger, log } = await opened();
    await write(ledger, 'x', { n: 1 });
    const follower = await openReplica();
    await applyInBatches(follower, log.entries, [1]);
    const restarted = await openReplica(follower.store.crash());
    expect(restarted.catalog.appliedIndex()).toBe(log.entries.length);
    expect(bodyValue(restarted.databases.get('ledger'), 'x')).toEqual({ n: 1 });
  });
});

describe('What is applied', () => {
  it('goes to the disk as one batch with how far that is', async () => {
    const { ledger, log } = await opened();
    await write(ledger, 'x', { n: 1 });
    const follower = await openReplica();
    const [last, ...before] = log.entries.toReversed();
    await applyInBatches(follower, before.toReversed(), [1]);
    const syncs = follower.store.syncCount();
    await follower.catalog.apply([last!], last!, () => false);
    expect(follower.store.syncCount()).toBe(syncs + 1);
    expect(follower.catalog.appliedIndex()).toBe(last!.index);
    expect(bodyValue(follower.databases.get('ledger'), 'x')).toEqual({ n: 1 });
  });
});
