import { expect, test } from 'vitest';
import type { NodeOptions } from '../config.ts';
import { readServeOptions, type serveFlags } from './serve-options.ts';

interface Sources {
  readonly environment?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
}

function options(argv: readonly string[], { environment = {}, files = {} }: Sources = {}): NodeOptions {
  const readFile = (path: string) => {
    const text = files[path];
    if (text === undefined) throw new Error('ENOENT: no such file or directory');
    return text;
  };
  const read = readServeOptions({ argv, environment, readFile });
  if (read.kind === 'help') throw new Error('help was asked for');
  return read.options;
}

const json = (value: unknown) => ({ files: { 'node.json': JSON.stringify(value) } });

test('every flag has its environment variable and its key in the config file, and all three read the same', () => {
  const samples: Record<keyof typeof serveFlags, string> = {
    node: 'n2',
    listen: '127.0.0.1:1',
    data: '/srv/data',
    peers: 'n1=http://a:1,n2=http://b:2',
    join: 'http://127.0.0.1:1',
    advertise: 'http://127.0.0.1:2',
    'leader-choice': 'appointed',
    'follower-writes': 'refuse',
    'read-lease': 'on',
    region: 'seoul',
    cluster: 'shop',
    admin: 'anna:se:cret',
    'secret-file': 'secret',
    'cors-origins': 'http://a,http://b',
    'log-level': 'debug',
    config: 'node.json',
  };
  const files = { secret: 'from a file\n', 'node.json': '{}' };
  for (const [flag, value] of Object.entries(samples)) {
    const byFlag = options([`--${flag}`, value], { files });
    const variable = `TERCET_${flag.replaceAll('-', '_').toUpperCase()}`;
    expect(options([], { environment: { [variable]: value }, files })).toEqual(byFlag);
    if (flag === 'config') continue;
    expect(byFlag).not.toEqual(options([]));
    const inFile = { ...files, 'node.json': JSON.stringify({ [flag]: value }) };
    expect(options(['--config', 'node.json'], { files: inFile })).toEqual(byFlag);
  }
});

test('a flag beats the environment, the environment beats the config file, and that beats the default', () => {
  const { files } = json({ node: 'file', region: 'file', cluster: 'file' });
  const environment = {
    TERCET_CONFIG: 'node.json',
    TERCET_NODE: 'environment',
    TERCET_REGION: 'environment',
  };
  expect(options(['--node', 'flag'], { environment, files })).toMatchObject({
    name: 'flag',
    region: 'environment',
    cluster: 'file',
    dataDirectory: 'data',
  });
});

test('an empty environment variable counts as not set', () => {
  expect(options([], { environment: { TERCET_NODE: '', TERCET_SECRET: '' } })).toEqual({
    dataDirectory: 'data',
    limits: {},
  });
});

test('a config file may hold objects and lists where they are clearer', () => {
  const read = options(
    ['--config', 'node.json'],
    json({
      peers: { n1: 'http://a:1', n2: 'http://b:2' },
      admin: ['anna:one', 'bela:two'],
      'cors-origins': ['http://a'],
      limits: { jsonDepthMax: 20 },
    }),
  );
  expect(read).toEqual({
    dataDirectory: 'data',
    peers: { n1: 'http://a:1', n2: 'http://b:2' },
    admins: { anna: 'one', bela: 'two' },
    corsOrigins: ['http://a'],
    limits: { jsonDepthMax: 20 },
  });
});

test.each([
  [{ nod: 'n1' }, 'There is no config key "nod": did you mean "node"?'],
  [{ config: 'other.json' }, 'There is no config key "config"'],
  [{ node: 1 }, 'The config key "node" must be a string'],
  [{ node: ['a', 'b'] }, 'The config key "node" takes one string'],
  [{ limits: { jsonDepth: 1 } }, 'There is no limit "jsonDepth": did you mean "jsonDepthMax"?'],
  [{ limits: { jsonDepthMax: '1' } }, 'must be a number'],
  [{ limits: [] }, 'must be an object'],
  [[], 'must hold a JSON object'],
])('the config file %j is refused', (value, message) => {
  expect(() => options(['--config', 'node.json'], json(value))).toThrow(message);
});

test('a config file that is absent or no JSON is named', () => {
  expect(() => options(['--config', 'x.json'])).toThrow(
    'Cannot read the config file (--config) x.json: ENOENT',
  );
  expect(() => options(['--config', 'x.json'], { files: { 'x.json': '{' } })).toThrow('x.json is not JSON');
  expect(() => options(['--config', 'x.json'], { files: { 'x.json': '{"__proto__": "x"}' } })).toThrow(
    'no config key',
  );
});

test('a slip in an environment variable is refused, what an orchestrator puts there is not', () => {
  expect(() => options([], { environment: { TERCET_ADMN: 'a:b' } })).toThrow('did you mean TERCET_ADMIN?');
  const environment = {
    TERCET_SERVICE_HOST: '10.0.0.1',
    TERCET_PORT: 'tcp://10.0.0.1:5984',
    TERCET_PORT_5984_TCP: 'x',
  };
  expect(options([], { environment })).toEqual(options([]));
});

test('the secret comes from the flag first, then TERCET_SECRET, then a file named elsewhere', () => {
  const files = { a: 'secret of a\n', b: 'secret of b' };
  const environment = { TERCET_SECRET: 'direct', TERCET_SECRET_FILE: 'b' };
  expect(options(['--secret-file', 'a'], { environment, files }).secret).toBe('secret of a');
  expect(options([], { environment, files }).secret).toBe('direct');
  expect(options([], { environment: { TERCET_SECRET_FILE: 'b' }, files }).secret).toBe('secret of b');
  expect(() => options(['--secret-file', 'none'])).toThrow(
    'Cannot read the secret file (--secret-file) none',
  );
  expect(() => options(['--secret-file', 'e'], { files: { e: ' \n' } })).toThrow('openssl rand -hex 32 > e');
});

test.each([
  [['--peers', 'n1'], 'write NAME=URL'],
  [['--peers', 'n1=http://a:1,n1=http://b:1'], 'twice'],
  [['--admin', 'anna'], '--admin USER:PASSWORD'],
  [['--admin', ':x'], '--admin USER:PASSWORD'],
  [['--admin', 'anna:'], '--admin USER:PASSWORD'],
  [['--log-level', 'inf'], 'did you mean info?'],
])('%j is refused with what to write instead', (argv, message) => {
  expect(() => options(argv)).toThrow(message);
});

test('no message repeats a password', () => {
  const message = (argv: readonly string[]) => {
    try {
      options(argv);
      return 'accepted';
    } catch (error) {
      return String(error);
    }
  };
  expect(message(['--admin', 'hunter2'])).toMatch(/OptionsError(?!.*hunter2)/s);
  expect(message(['--admin', 'anna:hunter2', '--secret', 'hunter3'])).toMatch(/did you mean(?!.*hunter)/s);
});
