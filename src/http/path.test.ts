import { expect, test } from 'vitest';
import { parseTarget } from './path.ts';
import { documentTarget } from './router.ts';

test.each([
  ['/', [], ''],
  ['/db', ['db'], ''],
  ['/db/', ['db'], ''],
  ['/db/doc?rev=1-a', ['db', 'doc'], 'rev=1-a'],
  ['/?x', [], 'x'],
  ['/a%2Fb/c%2Fd', ['a/b', 'c/d'], ''],
  ['/db/..', ['db', '..'], ''],
  ['/db//doc', ['db', '', 'doc'], ''],
  ['/db/a+b', ['db', 'a+b'], ''],
  ['/db/%E2%82%AC', ['db', '€'], ''],
  ['http://other:1/db/x?y', ['db', 'x'], 'y'],
  ['http://other', [], ''],
  ['*', [], ''],
])('the target %j has the segments %j and the query %j', (url, segments, query) => {
  expect(parseTarget(url)).toEqual({ segments, query });
});

test.each(['/db/%', '/%FF', '/db/%E2%82', 'db'])('the target %j is a bad request', (url) => {
  expect(() => parseTarget(url)).toThrow('bad_request');
});

test.each([
  [['db', 'x'], 'x', undefined],
  [['db', 'x', 'a', 'b.txt'], 'x', 'a/b.txt'],
  [['db', '_design', 'x'], '_design/x', undefined],
  [['db', '_design', 'x', 'a.txt'], '_design/x', 'a.txt'],
  [['db', '_design/x', 'a.txt'], '_design/x', 'a.txt'],
  [['db', '_local', 'x'], '_local/x', undefined],
])('the segments %j name the document %j and the attachment %j', (segments, id, attachment) => {
  expect(documentTarget(segments)).toEqual({ id, attachment });
});
