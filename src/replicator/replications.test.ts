import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Databases } from '../database/databases.ts';
import { openTestDatabases, write } from '../database/test-database.ts';
import type { Principal } from '../http/services.ts';
import { digest128 } from '../runtime/digest.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { systemRandom } from '../runtime/system-random.ts';
import { createReplications, type NodeReplications } from './replications.ts';

let databases: Databases;
let replications: NodeReplications;
const defects: unknown[] = [];

const admin: Principal = { name: 'root', roles: ['_admin'], isAdmin: true, isPeer: false, by: 'basic' };
const user: Principal = { name: 'anna', roles: [], isAdmin: false, isPeer: false, by: 'cookie' };
const nobody: Principal = { name: undefined, roles: [], isAdmin: false, isPeer: false, by: 'anonymous' };

beforeEach(async () => {
  defects.length = 0;
  databases = await openTestDatabases();
  await write(await databases.create('a'), 'one', {});
  replications = createReplications({
    databases,
    nodeName: 'n1',
    clusterUuid: 'uuid',
    peerHeaders: () => ({}),
    digest: digest128,
    clock: systemClock,
    random: systemRandom,
    onDefect: (error) => defects.push(error),
    onRefused: () => undefined,
  });
});

afterEach(async () => {
  await replications.close();
  await databases.close();
  expect(defects).toEqual([]);
});

const request = { source: 'a', target: 'b', create_target: true };

test('only a server admin may replicate', async () => {
  await expect(replications.replicate(request, user)).rejects.toMatchObject({ code: 'forbidden' });
  await expect(replications.replicate(request, nobody)).rejects.toMatchObject({ code: 'unauthorized' });
  expect(databases.has('b')).toBe(false);
});

test('the same one-shot replication asked for twice at once runs once and answers both', async () => {
  const [one, other] = await Promise.all([
    replications.replicate(request, admin),
    replications.replicate(request, admin),
  ]);
  expect(one.body).toMatchObject({ ok: true, history: [{ docs_written: 1 }] });
  expect(other).toEqual(one);
});

test('a continuous replication is answered at once, shown while it runs, and gone after a cancel', async () => {
  const begun = await replications.replicate({ ...request, continuous: true }, admin);
  expect(begun).toMatchObject({ status: 202, body: { ok: true } });
  expect(await replications.replicate({ ...request, continuous: true }, admin)).toEqual(begun);
  expect(replications.jobs()).toMatchObject([
    { source: 'a', target: 'b', database: null, doc_id: null, node: 'n1' },
  ]);
  expect(replications.activeTasks()).toMatchObject([
    { type: 'replication', source: 'a', target: 'b', continuous: true },
  ]);
  await replications.replicate({ ...request, continuous: true, cancel: true }, admin);
  expect(replications.jobs()).toEqual([]);
  expect(replications.activeTasks()).toEqual([]);
});

test('a one-shot replication that is cancelled says so to whoever waits for it', async () => {
  const silent = { source: 'http://192.0.2.1/never', target: 'b', create_target: true };
  const waiting = replications.replicate(silent, admin);
  const refused = expect(waiting).rejects.toMatchObject({ code: 'service_unavailable' });
  await replications.replicate({ ...silent, cancel: true }, admin);
  await refused;
});

test('cancelling what is not there is answered 404', async () => {
  const cancel = replications.replicate({ cancel: true, replication_id: 'none' }, admin);
  await expect(cancel).rejects.toMatchObject({ code: 'not_found' });
});
