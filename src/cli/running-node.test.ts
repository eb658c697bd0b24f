import { expect, test } from 'vitest';
import { OptionsError } from '../config.ts';
import { runningNode } from './running-node.ts';

function urlOf(
  flags: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string>> = {},
): string {
  const values = new Map(Object.entries(flags).map(([name, value]) => [name, [value]] as const));
  return runningNode(values, environment).url;
}

test('a flag wins over the environment, and that over the usual address', () => {
  expect(urlOf({})).toBe('http://127.0.0.1:5984');
  expect(urlOf({}, { TERCET_URL: 'http://10.0.0.1:5984/' })).toBe('http://10.0.0.1:5984');
  expect(urlOf({ url: 'https://n2.example' }, { TERCET_URL: 'http://10.0.0.1' })).toBe('https://n2.example');
  expect(urlOf({}, { TERCET_URL: '', TERCET_ADMIN: '' })).toBe('http://127.0.0.1:5984');
});

test('credentials in the address are not sent as part of it', () => {
  expect(urlOf({ url: 'http://anna:p%3Aw@10.0.0.1:5984/_cluster' })).toBe('http://10.0.0.1:5984');
});

test.each([
  [{ url: 'n1' }, /is no URL of a node/],
  [{ url: 'ftp://n1' }, /is no URL of a node/],
  [{ user: 'root' }, /--user NAME:PASSWORD/],
  [{ user: ':secret' }, /--user NAME:PASSWORD/],
])('%j is a mistake of the operator', (flags, message) => {
  expect(() => urlOf(flags as Record<string, string>)).toThrow(message);
  expect(() => urlOf(flags as Record<string, string>)).toThrow(OptionsError);
});
