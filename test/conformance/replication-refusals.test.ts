/** One document that an end does not give or take never keeps the others from travelling. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TercetNode } from '../../src/node.ts';
import { type Answer, type Double, sourceDouble, startDouble, startJudge } from './remote-double.ts';
import { call, eventually, ok, openWorld, type World } from './replication-world.ts';

let world: World;
let here: TercetNode;
let there: TercetNode;
const doubles: Double[] = [];
let pairs = 0;

beforeAll(async () => {
  world = openWorld();
  [here, there] = await Promise.all([world.openNode('n1'), world.openNode('n2')]);
});

afterAll(async () => {
  await Promise.all(doubles.map((double) => double.close()));
  await world.close();
});

type Judge = Parameters<typeof startJudge>[1];

async function judged(judge: Judge): Promise<string> {
  const double = await startJudge(there.url, judge);
  doubles.push(double);
  return double.url;
}

const ids = Array.from({ length: 40 }, (_, number) => `d${number}`);
const said = (error: string): Answer => ({ status: 400, body: { error, reason: 'because' } }) as const;

/** Pushes forty documents to a database behind the judge. */
async function push(judge: Judge, options: object = {}) {
  pairs += 1;
  const name = `pushed-${pairs}`;
  await ok(here.url, 'PUT', `/${name}`);
  await ok(there.url, 'PUT', `/${name}`);
  await ok(here.url, 'POST', `/${name}/_bulk_docs`, { docs: ids.map((_id) => ({ _id })) });
  const reply = call(here.url, 'POST', '/_replicate', {
    source: name,
    target: `${await judged(judge)}/${name}`,
    ...options,
  });
  return { name, target: `${there.url}/${name}`, reply };
}

/** Pulls from a database on the other node, behind the judge. */
async function pull(docs: readonly object[], judge: (source: string) => Judge, options: object = {}) {
  pairs += 1;
  const name = `pulled-${pairs}`;
  const source = `${there.url}/${name}`;
  await ok(there.url, 'PUT', `/${name}`);
  await ok(there.url, 'POST', `/${name}/_bulk_docs`, { docs });
  const request = { source: `${await judged(judge(source))}/${name}`, target: name, create_target: true };
  const reply = call(here.url, 'POST', '/_replicate', { ...request, ...options });
  return { source, target: `${here.url}/${name}`, reply };
}

async function idsIn(database: string): Promise<readonly string[]> {
  const { rows } = await ok(database, 'GET', '/_all_docs');
  return rows.map((row: { readonly id: string }) => row.id);
}

const names = (id: string, body: string) => body.includes(`"${id}"`);

describe('a target', () => {
  test.concurrent.each([400, 413, 422])(
    'that answers %i to whatever carries one document gets all the others',
    async (status) => {
      const { target, reply } = await push(({ path, body }) =>
        path.endsWith('/_bulk_docs') && names('d7', body) ? { ...said('bad_request'), status } : undefined,
      );
      expect(await reply).toMatchObject({
        status: 200,
        body: { ok: true, history: [{ docs_written: 39, doc_write_failures: 1 }] },
      });
      expect(await idsIn(target)).toEqual(ids.filter((id) => id !== 'd7').sort());
    },
  );

  test.concurrent('that refuses to compare one document gets all the others', async () => {
    const refusesD7: Judge = ({ path, body }) =>
      /_revs_diff|_bulk_docs/.test(path) && names('d7', body) ? said('bad_request') : undefined;
    const { target, reply } = await push(refusesD7);
    expect((await reply).body).toMatchObject({ history: [{ docs_written: 39, doc_write_failures: 1 }] });
    expect(await idsIn(target)).toHaveLength(39);
  });

  test.concurrent('that refuses every write fails the replication instead of being passed over', async () => {
    const { reply } = await push(({ path }) =>
      path.endsWith('/_bulk_docs') ? said('bad_request') : undefined,
    );
    expect(await reply).toMatchObject({ status: 400, body: { reason: expect.stringContaining('because') } });
  });

  test.concurrent('that fails over one document at first gets it in the end', async () => {
    let failures = 0;
    const { target, reply } = await push(({ path, body }) => {
      if (!path.endsWith('/_bulk_docs') || !names('d7', body) || failures >= 2) return undefined;
      failures += 1;
      // The others of the request are written by the first retry's twin: the answer alone is what fails here.
      return { status: 201, body: [{ id: 'd7', error: 'boom', reason: 'just now' }] };
    });
    expect((await reply).body).toMatchObject({ history: [{ doc_write_failures: 0 }] });
    expect(await idsIn(target)).toContain('d7');
  });

  test.concurrent('that always fails over one document is tried a few times, and the document is named', async () => {
    const { name, reply } = await push(
      ({ path, body }) =>
        path.endsWith('/_bulk_docs') && names('d7', body)
          ? { status: 201, body: [{ id: 'd7', error: 'boom', reason: 'as always' }] }
          : undefined,
      { continuous: true },
    );
    const id = encodeURIComponent((await reply).body._local_id);
    const { rev } = await ok(here.url, 'GET', `/${name}/d7`).then((found) => ({ rev: found._rev }));
    await eventually(async () => {
      const { info } = await ok(here.url, 'GET', `/_scheduler/jobs/${id}`);
      return info.doc_write_failures === 1;
    }, 'the document is passed over');
    expect((await ok(here.url, 'GET', `/_scheduler/jobs/${id}`)).info).toMatchObject({
      refused_docs: [{ id: 'd7', rev, reason: expect.stringContaining('as always') }],
    });
  });
});

const attached = (size: number) => ({
  _attachments: { a: { content_type: 'text/plain', data: Buffer.alloc(size, 'x').toString('base64') } },
});

describe('a source', () => {
  test.concurrent.each([
    ['small', 404, 10],
    ['small', 500, 10],
    ['large', 500, 400_000],
  ])('that answers a %s attachment by %i gives all other documents', async (_name, status, size) => {
    const docs = [...ids.map((_id) => ({ _id })), { _id: 'bad', ...attached(size) }];
    const { target, reply } = await pull(
      docs,
      () =>
        ({ path }) =>
          path.includes('/bad/a?')
            ? { status, body: { error: 'lost', reason: 'gone from the disk' } }
            : undefined,
    );
    expect((await reply).body).toMatchObject({ history: [{ docs_written: 40, doc_write_failures: 1 }] });
    expect(await idsIn(target)).toEqual([...ids].sort());
  });

  test.concurrent('whose document is edited while its attachment is read gives the new one', async () => {
    const docs = [{ _id: 'x', ...attached(10) }];
    const { target, reply } = await pull(docs, (source) => {
      let edited = false;
      return async ({ path }) => {
        if (!path.includes('/x/a?') || edited) return undefined;
        edited = true;
        const { _rev } = await ok(source, 'GET', '/x');
        await ok(source, 'PUT', '/x', { _rev, edited: true });
        await ok(source, 'POST', '/_compact', {});
        await eventually(async () => !(await ok(source, 'GET', '')).compact_running, 'compaction ends');
        return undefined;
      };
    });
    expect((await reply).body).toMatchObject({ ok: true, history: [{ doc_write_failures: 0 }] });
    expect(await ok(target, 'GET', '/x')).toMatchObject({ edited: true });
  });

  test.concurrent('that cannot read one document gives all the others', async () => {
    const broken = (path: string, body: string) =>
      (path.includes('_bulk_get') && names('d7', body)) || path.includes('/d7?open_revs');
    const { target, reply } = await pull(
      ids.map((_id) => ({ _id })),
      () =>
        ({ path, body }) =>
          broken(path, body) ? { status: 500, body: { error: 'boom', reason: 'x' } } : undefined,
    );
    expect((await reply).body).toMatchObject({ history: [{ docs_written: 39, doc_write_failures: 1 }] });
    expect(await idsIn(target)).toHaveLength(39);
  });

  test.concurrent('with a revision that no node takes, and one document in error, gives the rest', async () => {
    const digest = 'a'.repeat(32);
    const row = (id: string, revision: string) => ({ id, seq: 1, changes: [{ rev: revision }] });
    const document = { _id: 'one', _rev: `1-${digest}`, _revisions: { start: 1, ids: [digest] } };
    const double = await startDouble(
      sourceDouble({
        changes: {
          results: [
            row('one', `1-${digest}`),
            row('odd', `9007199254740992-${digest}`),
            row('sick', `1-${digest}`),
          ],
          last_seq: 1,
          pending: 0,
        },
        bulk_get: {
          results: [
            { id: 'one', docs: [{ ok: document }] },
            { id: 'sick', docs: [{ error: { id: 'sick', rev: `1-${digest}`, error: 'boom', reason: 'x' } }] },
          ],
        },
      }),
    );
    doubles.push(double);
    const target = `pulled-from-odd`;
    const request = { source: `${double.url}/odd`, target, create_target: true };
    const reply = await call(here.url, 'POST', '/_replicate', request);
    expect(reply.body).toMatchObject({ ok: true, history: [{ doc_write_failures: 2 }] });
    expect(await idsIn(`${here.url}/${target}`)).toEqual(['one']);
  });

  test.concurrent('that is edited during a one-shot replication gives all that it had at the start', async () => {
    const { source, target, reply } = await pull(
      ids.map((_id) => ({ _id })),
      (database) => {
        let reads = 0;
        return async ({ path }) => {
          if (!path.includes('_changes')) return undefined;
          reads += 1;
          if (reads !== 10) return undefined;
          // Documents that were read already, and the last ones, which move behind those.
          for (const _id of [...ids.slice(0, 5), ...ids.slice(-5)]) {
            const { _rev } = await ok(database, 'GET', `/${_id}`);
            await ok(database, 'PUT', `/${_id}`, { _rev, edited: true });
          }
          return undefined;
        };
      },
      { worker_batch_size: 1 },
    );
    expect((await reply).body).toMatchObject({ ok: true });
    expect(await idsIn(target)).toEqual(await idsIn(source));
  });

  test.concurrent('that is written to faster than it is read does not keep a one-shot replication for ever', async () => {
    let written = 0;
    const { reply } = await pull(
      ids.slice(0, 5).map((_id) => ({ _id })),
      (database) =>
        async ({ path }) => {
          if (path.includes('_changes')) {
            written += 2;
            await ok(database, 'POST', '/_bulk_docs', { docs: [{ n: written }, { n: -written }] });
          }
          return undefined;
        },
      { worker_batch_size: 1 },
    );
    expect((await reply).body).toMatchObject({ ok: true });
    expect(written).toBeLessThan(200);
  });
});
