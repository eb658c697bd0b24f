import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isLoopback, limits, OptionsError, parseAddress, resolveOptions } from './config.ts';

const secret = '0123456789abcdef';
const minimal = { dataDirectory: 'data' };

describe('defaults', () => {
  test('a data directory alone makes a single node on loopback', () => {
    const settings = resolveOptions(minimal);
    expect(settings.listen).toEqual({ host: '127.0.0.1', port: 5984 });
    expect(settings).toMatchObject({
      name: 'n1',
      peers: [],
      logLevel: 'warn',
      corsOrigins: [],
      secret: undefined,
    });
    expect(settings.limits.connectionsMax).toBe(limits.connectionsMax);
  });

  test('a limit may be set, and only to a whole number above 0', () => {
    expect(resolveOptions({ ...minimal, limits: { jsonDepthMax: 10 } }).limits.jsonDepthMax).toBe(10);
    for (const jsonDepthMax of [0, -1, 1.5, Number.NaN]) {
      expect(() => resolveOptions({ ...minimal, limits: { jsonDepthMax } })).toThrow(
        /jsonDepthMax.*default is 256/,
      );
    }
  });
});

describe('safety', () => {
  test.each([
    '0.0.0.0:5984',
    '[::]:5984',
    '10.0.0.1:5984',
    'db.example.com:5984',
    '127.0.0.1.example.com:80',
  ])('without an admin %s is refused, and the flag to add is named', (listen) => {
    expect(() => resolveOptions({ ...minimal, listen })).toThrow(/--admin USER:PASSWORD/);
    expect(resolveOptions({ ...minimal, listen, admins: { anna: 'secret' } }).listen.port).toBeGreaterThan(0);
  });

  test.each(['127.0.0.1:0', 'localhost:5984', '[::1]:5984', '127.8.8.8:1', '5984'])(
    'without an admin %s is fine',
    (listen) => {
      expect(isLoopback(resolveOptions({ ...minimal, listen }).listen.host)).toBe(true);
    },
  );

  test('localhost is this machine, whatever a hosts file says', () => {
    const { listen } = resolveOptions({ ...minimal, listen: 'LocalHost:5984' });
    expect(listen).toEqual({ host: '127.0.0.1', port: 5984 });
  });

  test('a peer that is not on loopback needs a shared secret', () => {
    const peers = { n1: 'http://127.0.0.1:5984', n2: 'http://10.0.0.2:5984' };
    expect(() => resolveOptions({ ...minimal, peers })).toThrow(/--secret-file/);
    expect(resolveOptions({ ...minimal, peers, secret }).peers).toEqual([{ name: 'n2', url: peers.n2 }]);
  });

  test('with an admin even peers on loopback need one, or they could not sign in to each other', () => {
    const peers = { n1: 'http://127.0.0.1:5984', n2: 'http://127.0.0.1:5985' };
    const admins = { anna: 'password' };
    expect(() => resolveOptions({ ...minimal, peers, admins })).toThrow(/--secret-file/);
    expect(resolveOptions({ ...minimal, peers, admins, secret }).secret).toBe(secret);
    expect(resolveOptions({ ...minimal, peers }).secret).toBeUndefined();
  });

  test('a short secret is refused', () => {
    expect(() => resolveOptions({ ...minimal, secret: 'short' })).toThrow(/openssl rand/);
  });
});

describe('peers', () => {
  test('the list must name this node, so that it is the same list everywhere', () => {
    const peers = { n2: 'http://127.0.0.1:2', n3: 'http://127.0.0.1:3' };
    expect(() => resolveOptions({ ...minimal, name: 'n1', peers })).toThrow(/n2, n3.*add n1=http/);
    expect(resolveOptions({ ...minimal, name: 'n3', peers }).peers.map(({ name }) => name)).toEqual(['n2']);
  });

  test.each(['ftp://a:1', 'http://a:1/path', 'http://a:1?x', 'http://user:pw@a:1', 'a:1', '', 'http://'])(
    'the URL "%s" is refused',
    (url) => {
      expect(() => resolveOptions({ ...minimal, peers: { n1: url }, secret })).toThrow(OptionsError);
    },
  );

  test('a trailing slash and the case of the host do not matter', () => {
    const peers = { n1: 'http://127.0.0.1:1', n2: 'http://DB.example.com:2/' };
    const { peers: resolved } = resolveOptions({ ...minimal, peers, secret });
    expect(resolved).toEqual([{ name: 'n2', url: 'http://db.example.com:2' }]);
  });

  test('a peer on localhost is on this machine, whatever a hosts file says; with TLS its name is checked', () => {
    const peers = { n1: 'http://127.0.0.1:1', n2: 'http://LocalHost:2', n3: 'https://localhost:3' };
    expect(resolveOptions({ ...minimal, peers }).peers.map(({ url }) => url)).toEqual([
      'http://127.0.0.1:2',
      'https://localhost:3',
    ]);
  });

  test('two peers at one URL are refused', () => {
    const peers = { n1: 'http://127.0.0.1:1', n2: 'http://127.0.0.1:1/' };
    expect(() => resolveOptions({ ...minimal, peers })).toThrow(/same URL/);
  });
});

test.each(['', 'a b', '../x', '-n1', 'n/1', 'x'.repeat(64)])(
  '"%s" is refused as a name of a node',
  (name) => {
    expect(() => resolveOptions({ ...minimal, name })).toThrow(/cannot be a node's name/);
  },
);

test.each([
  'app.example.com',
  'https://app.example.com/path',
  'null',
  'javascript:alert(1)',
  'https://a,https://b',
])('"%s" is refused as an origin', (origin) => {
  expect(() => resolveOptions({ ...minimal, corsOrigins: [origin] })).toThrow(/is no origin/);
});

test('an address is either understood or refused with an example, whatever is written', () => {
  expect(parseAddress('[::1]:80')).toEqual({ host: '::1', port: 80 });
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        const { host, port } = parseAddress(text);
        return host !== '' && port >= 0 && port <= 65_535;
      } catch (error) {
        return error instanceof OptionsError && error.message.includes('--listen 127.0.0.1:5984');
      }
    }),
  );
  for (const text of ['::1:80', 'a:b', '127.0.0.1', '127.0.0.1:65536', 'http://a:80']) {
    expect(() => parseAddress(text)).toThrow(OptionsError);
  }
});
