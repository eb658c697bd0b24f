import { expect, test } from 'vitest';
import { asObject, member, parseJson } from './json-guard.ts';

const parse = (text: string | Buffer, depthMax = 4) => parseJson(Buffer.from(text), depthMax);

test.each(['{}', '[]', '"a"', '1', 'null', '{"a":[{"b":"]]]]]{{{{"}]}', '"\\"[[[[["', '[[[[1]]]]'])(
  '%s is read as what it says',
  (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  },
);

test.each(['', '{', '{"a"}', '[1,]', 'undefined', '{} x', '"a', '\u0000'])('%j is a bad request', (text) => {
  expect(() => parse(text)).toThrow('invalid UTF-8 JSON');
});

test('bytes that are not UTF-8 are refused instead of being replaced', () => {
  expect(() => parse(Buffer.from([0x22, 0xff, 0x22]))).toThrow('invalid UTF-8 JSON');
});

test('nesting is measured before anything recursive sees the text', () => {
  expect(() => parse('[[[[[1]]]]]')).toThrow('nested deeper than 4 levels');
  expect(() => parse('['.repeat(2_000_000), 256)).toThrow('nested deeper');
  expect(() => parse('{"a":'.repeat(500_000), 256)).toThrow('nested deeper');
});

test('brackets inside of strings are no nesting', () => {
  expect(parse(JSON.stringify({ a: '[[[[[[[[\\"{{{{' }))).toEqual({ a: '[[[[[[[[\\"{{{{' });
});

test('only objects pass for objects, and inherited names are no members', () => {
  for (const value of [null, [], 'a', 1]) expect(() => asObject(value)).toThrow('must be a JSON object');
  const object = asObject(parse('{"__proto__":{"polluted":true}}'));
  expect(member(object, '__proto__')).toEqual({ polluted: true });
  expect(member(object, 'constructor')).toBeUndefined();
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});
