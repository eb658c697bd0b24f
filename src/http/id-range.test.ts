import { expect, test } from 'vitest';
import { idRange, narrowed } from './id-range.ts';
import { parseQuery } from './query.ts';

const range = (query: string) => idRange(parseQuery(query));
const up = { kind: 'range', descending: false, inclusiveEnd: true };
const down = { kind: 'range', descending: true, inclusiveEnd: true };
const nothing = { kind: 'nothing' };

test.each([
  ['', up],
  ['startkey="a"&endkey="b"', { ...up, startKey: 'a', endKey: 'b' }],
  [
    'start_key="a"&end_key="b"&inclusive_end=false',
    { ...up, startKey: 'a', endKey: 'b', inclusiveEnd: false },
  ],
  ['startkey="b"&descending=true', { ...down, startKey: 'b' }],
  ['key="a"', { ...up, startKey: 'a', endKey: 'a' }],
  ['key="a"&inclusive_end=false', { ...up, startKey: 'a', endKey: 'a' }],
  ['key=1', nothing],
  ['startkey=1', up],
  ['startkey=null&endkey={}', up],
  ['startkey=[]', nothing],
  ['endkey=1', nothing],
  ['startkey={}&descending=true', down],
  ['startkey=1&descending=true', nothing],
  ['endkey={}&descending=true', nothing],
])('%s asks for %j', (query, expected) => {
  expect(range(query)).toEqual(expected);
});

const limit = { startKey: 'm', endKey: 'p' };

test.each([
  ['', { ...up, startKey: 'm', endKey: 'p', inclusiveEnd: false }],
  ['startkey="n"', { ...up, startKey: 'n', endKey: 'p', inclusiveEnd: false }],
  ['endkey="n"', { ...up, startKey: 'm', endKey: 'n' }],
  ['startkey="a"&endkey="z"', { ...up, startKey: 'm', endKey: 'p', inclusiveEnd: false }],
  ['startkey="q"', nothing],
  ['endkey="a"', nothing],
  [
    'endkey="n"&descending=true&inclusive_end=false',
    { ...down, startKey: 'p', endKey: 'n', inclusiveEnd: false },
  ],
  ['startkey="n"&descending=true', { ...down, startKey: 'n', endKey: 'm' }],
])('%s inside of a narrower list asks for %j', (query, expected) => {
  expect(narrowed(range(query), limit)).toEqual(expected);
});
