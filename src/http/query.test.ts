import { expect, test } from 'vitest';
import { TercetError } from '../errors.ts';
import { count, decodePercent, flag, flagUnlessFalse, json, parseQuery, queryWithBody } from './query.ts';

test.each([
  ['', []],
  [
    'a=1&b=2',
    [
      ['a', '1'],
      ['b', '2'],
    ],
  ],
  ['a', [['a', '']]],
  ['a=b=c', [['a', 'b=c']]],
  ['&&a=1&', [['a', '1']]],
  ['k=%22x%2Fy%22', [['k', '"x/y"']]],
  ['name=J%C3%B6rg+M', [['name', 'Jörg M']]],
  ['a=1&a=2', [['a', '2']]],
  ['__proto__=1', [['__proto__', '1']]],
])('the query %j is read as %j', (text, expected) => {
  expect([...parseQuery(text)]).toEqual(expected);
});

test.each(['%', '%2', '%ZZ', '%ff', 'a%C3'])('the broken percent-encoding %j is a bad request', (text) => {
  expect(() => decodePercent(text)).toThrow(TercetError);
  expect(() => parseQuery(`a=${text}`)).toThrow('invalid percent-encoding');
});

test('a flag is true, false or an error, and absent means false', () => {
  const query = parseQuery('yes=true&no=false&odd=1');
  expect([flag(query, 'yes'), flag(query, 'no'), flag(query, 'absent')]).toEqual([true, false, false]);
  expect(flagUnlessFalse(query, 'absent')).toBe(true);
  expect(() => flag(query, 'odd')).toThrow('Invalid boolean parameter: "1"');
});

test.each(['-1', 'abc', '1.5', '', '1e3', '99999999999999999999'])('%j is no count', (text) => {
  expect(() => count(parseQuery(`limit=${text}`), 'limit')).toThrow('query_parse_error');
});

test('a count is a whole number from 0 up, or absent', () => {
  const query = parseQuery('limit=0&skip=17');
  expect([count(query, 'limit'), count(query, 'skip'), count(query, 'absent')]).toEqual([0, 17, undefined]);
});

test('JSON parameters are parsed, and a name is given for one that is not JSON', () => {
  const query = parseQuery('startkey=%22a%22&endkey=a');
  expect(json(query, 'startkey')).toBe('a');
  expect(json(query, 'absent')).toBeUndefined();
  expect(() => json(query, 'endkey')).toThrow('endkey');
});

test('a body stands for the query it would be in a URL', () => {
  const query = queryWithBody(parseQuery('limit=1&skip=2'), {
    ...{ limit: 5, startkey: 'a', include_docs: true, style: 'all_docs', keys: ['x'], endkey: null },
  });
  expect([count(query, 'limit'), count(query, 'skip'), flag(query, 'include_docs')]).toEqual([5, 2, true]);
  expect([json(query, 'startkey'), json(query, 'keys'), query.get('style')]).toEqual([
    'a',
    ['x'],
    'all_docs',
  ]);
  expect(query.has('endkey')).toBe(false);
});
