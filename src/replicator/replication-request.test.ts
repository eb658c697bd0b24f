import { describe, expect, test } from 'vitest';
import { digest128 } from '../runtime/digest.ts';
import { checkpointIdOf, parseReplicationRequest } from './replication-request.ts';

const remote = (source: unknown) => parseReplicationRequest({ source, target: 'b' }).source;
const idOf = (request: object) =>
  checkpointIdOf(parseReplicationRequest(request), { localIdentity: 'uuid/n1', digest: digest128 });

describe('an end', () => {
  test('is a database of this node when it is a plain name', () => {
    expect(remote('a/b+c')).toEqual({ kind: 'local', name: 'a/b+c' });
  });

  test('keeps credentials of a URL apart from the URL', () => {
    const end = remote('http://anna:p%40ss%3A@example.com:5984/some%2Fdb/');
    expect(end).toEqual({
      kind: 'remote',
      url: 'http://example.com:5984/some%2Fdb',
      headers: { authorization: `Basic ${Buffer.from('anna:p@ss:').toString('base64')}` },
    });
  });

  test('may be an object with headers or credentials, which win over those of its URL', () => {
    expect(remote({ url: 'https://x/db', headers: { 'X-Mine': 'é' } })).toMatchObject({
      headers: { 'x-mine': 'é' },
    });
    const auth = { basic: { username: 'u', password: 'p' } };
    const given = `Basic ${Buffer.from('u:p').toString('base64')}`;
    expect(remote({ url: 'https://v:q@x/db', auth })).toMatchObject({ headers: { authorization: given } });
  });

  test.each(['%zz', '%ff'])('with credentials that are not percent-encoded (%s) is refused', (user) => {
    expect(() => remote(`http://${user}:p@x/db`)).toThrow('percent-encoded');
  });

  test.each(['Content-Length', 'connection', 'Transfer-Encoding', 'a b', ''])(
    'may not set the header %j',
    (name) => {
      expect(() => remote({ url: 'http://x/db', headers: { [name]: '1' } })).toThrow('cannot be sent');
    },
  );
});

describe('the id of a replication', () => {
  const base = { source: 'http://x/db', target: 'b' };

  test('does not depend on how, how long or as whom it runs', () => {
    const same = [
      { ...base, continuous: true },
      { ...base, create_target: true },
      { ...base, source: 'http://anna:secret@x/db/' },
      { ...base, worker_batch_size: 7, checkpoint_interval: 1_000, http_connections: 3 },
    ];
    for (const request of same) expect(idOf(request)).toBe(idOf(base));
  });

  test('depends on what is copied, but not on the order in which it is written', () => {
    const selector = { a: 1, b: { $gt: 2 } };
    expect(idOf({ ...base, selector })).not.toBe(idOf(base));
    expect(idOf({ ...base, selector: { b: { $gt: 2 }, a: 1 } })).toBe(idOf({ ...base, selector }));
    expect(idOf({ ...base, doc_ids: ['b', 'a'] })).toBe(idOf({ ...base, doc_ids: ['a', 'b'] }));
    const filtered = { ...base, filter: 'd/f', query_params: { x: '1' } };
    expect(idOf(filtered)).not.toBe(idOf({ ...filtered, query_params: { x: '2' } }));
  });
});

test('numbers outside of what is sensible are moved to its edge', () => {
  const request = { source: 'a', target: 'b', worker_batch_size: 1_000_000, connection_timeout: 1 };
  expect(parseReplicationRequest(request)).toMatchObject({ batchRows: 5_000, idleMs: 3_000 });
});
