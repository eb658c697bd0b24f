import fc from 'fast-check';
import { matchesSelector } from 'pouchdb-selector-core';
import { describe, expect, it } from 'vitest';
import { TercetError } from '../errors.ts';
import { compileSelector } from './selector.ts';

function refusal(selector: unknown): string {
  try {
    compileSelector(selector);
  } catch (error) {
    if (error instanceof TercetError) return `${error.status} ${error.error}: ${error.reason}`;
    throw error;
  }
  return 'no error';
}

const scalar = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom('', 'a', 'b', 'ab'),
);
const value = fc.oneof(scalar, fc.array(scalar, { maxLength: 3 }), fc.record({ x: scalar }));
// PouchDB takes null for a missing field under $nin, and orders texts by code units: neither is CouchDB's way.
const fieldValue = value.filter((each) => each !== null);
const documents = fc.record({ a: fieldValue, b: fieldValue, c: fc.record({ d: fieldValue }) });
const field = fc.constantFrom('a', 'b', 'c.d');
const comparison = fc.oneof(
  fc.tuple(fc.constantFrom('$eq', '$lt', '$lte', '$gt', '$gte'), value),
  fc.tuple(fc.constant('$ne'), scalar),
  fc.tuple(fc.constant('$exists'), fc.boolean()),
  fc.tuple(fc.constant('$type'), fc.constantFrom('null', 'boolean', 'number', 'string', 'array', 'object')),
  fc.tuple(fc.constantFrom('$in', '$nin'), fc.array(scalar, { minLength: 1, maxLength: 3 })),
  fc.tuple(fc.constant('$all'), fc.array(scalar, { minLength: 1, maxLength: 2 })),
  fc.tuple(fc.constant('$size'), fc.nat({ max: 3 })),
  fc.tuple(fc.constant('$mod'), fc.tuple(fc.constantFrom(1, 2, 3, -2), fc.integer({ min: -2, max: 2 }))),
  fc.tuple(fc.constant('$regex'), fc.constantFrom('a', '^b', 'b$', '[ab]{2}')),
  fc.tuple(fc.constantFrom('$elemMatch', '$allMatch'), fc.record({ $gt: scalar })),
);
const condition = fc
  .tuple(field, comparison)
  .map(([name, [operator, argument]]) => ({ [name]: { [operator]: argument } }));
const selectors = fc.oneof(
  condition,
  fc
    .tuple(fc.constantFrom('$or', '$nor'), fc.array(condition, { minLength: 1, maxLength: 3 }))
    .map(([name, list]) => ({ [name]: list })),
  condition.map((inner) => ({ $not: inner })),
);

describe('a selector', () => {
  it('matches what PouchDB matches, where a field is there', () => {
    fc.assert(
      fc.property(documents, selectors, (document, selector) => {
        expect(compileSelector(selector)(document)).toBe(matchesSelector(document, selector));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each<[object, object, boolean]>([
    [{}, {}, true],
    [{ a: 1 }, { a: 1 }, true],
    [{ a: 1, b: 2 }, { a: 1, b: 3 }, false],
    [{ a: [1, 2] }, { a: [1, 2] }, true],
    [{ a: {} }, { a: {} }, true],
    [{ a: {} }, { a: { b: 1 } }, false],
    [{ a: { b: { c: 1 } } }, { a: { b: { c: 1, d: 2 } } }, true],
    [{ 'a.b': 1 }, { a: { b: 1 } }, true],
    [{ 'a\\.b': 1 }, { 'a.b': 1 }, true],
    [{ 'a\\.b': 1 }, { a: { b: 1 } }, false],
    [{ 'a.1': 'y' }, { a: ['x', 'y'] }, true],
    [{ 'a.length': 2 }, { a: ['x', 'y'] }, false],
    [{ a: { $gt: 1, b: 2 } }, { a: { b: 2 } }, true],
    [{ a: { $or: [1, { $gt: 5 }] } }, { a: 7 }, true],
    [{ $and: [{ a: 1 }, { $or: [{ b: 1 }, { b: 2 }] }] }, { a: 1, b: 2 }, true],
    [{ $and: [] }, {}, true],
    [{ $or: [] }, {}, true],
    [{ a: { $in: [] } }, { a: 1 }, false],
    [{ a: { $nin: [] } }, { a: 1 }, true],
    [{ a: { $all: [[1, 2]] } }, { a: [1, 2] }, true],
    [{ a: { $elemMatch: { b: 1, c: 2 } } }, { a: [{ b: 1 }, { b: 1, c: 2 }] }, true],
    [{ a: { $elemMatch: { b: 1, c: 2 } } }, { a: [{ b: 1 }, { c: 2 }] }, false],
    [{ a: { $allMatch: { b: 1 } } }, { a: [] }, false],
    [{ a: { $keyMapMatch: { $eq: 'k' } } }, { a: { k: 1 } }, true],
    [{ a: { $keyMapMatch: { $eq: 'k' } } }, { a: { l: 'k' } }, false],
    [{ a: { $beginsWith: 'x.' } }, { a: 'x.y' }, true],
    [{ a: { $beginsWith: 'x.' } }, { a: 'xyz' }, false],
    [{ a: { b: { $eq: { y: 1, x: 2 } } } }, { a: { b: { x: 2, y: 1 } } }, true],
  ])('%j on %j gives %s', (selector, document, expected) => {
    expect(compileSelector(selector)(document)).toBe(expected);
  });

  it.each<[object]>([
    [{ a: 1 }],
    [{ a: { $ne: 1 } }],
    [{ a: { $nin: [1] } }],
    [{ $not: { a: 1 } }],
    [{ $nor: [{ a: 1 }] }],
    [{ a: { $not: { $gt: 1 } } }],
    [{ a: { $not: { $regex: 'x' } } }],
    [{ $not: { $not: { a: 1 } } }],
    [{ a: { $gte: null } }],
    [{ a: { $exists: true } }],
    [{ $not: { a: { $exists: false } } }],
  ])('%j matches no document without the field', (selector) => {
    expect(compileSelector(selector)({ b: 1 })).toBe(false);
  });

  it('finds missing fields where it is asked for them', () => {
    expect(compileSelector({ a: { $exists: false } })({ b: 1 })).toBe(true);
    expect(compileSelector({ $not: { a: { $exists: true } } })({ b: 1 })).toBe(true);
    expect(compileSelector({ a: { $exists: true } })({ a: null })).toBe(true);
  });

  it('turns round what it says under $not and $nor', () => {
    const odd = compileSelector({ $not: { $or: [{ a: { $mod: [2, 0] } }, { $nor: [{ a: { $gt: 0 } }] }] } });
    expect([-1, 0, 1, 2, 3].filter((a) => odd({ a }))).toEqual([1, 3]);
    const notBoth = compileSelector({ $not: { $and: [{ a: 1 }, { b: 1 }] } });
    expect(notBoth({ a: 1, b: 1 })).toBe(false);
    expect(notBoth({ a: 1, b: 2 })).toBe(true);
  });

  it('sees only what a document has of its own', () => {
    expect(compileSelector({ constructor: { $exists: true } })({})).toBe(false);
    expect(compileSelector({ '__proto__.x': { $exists: true } })({})).toBe(false);
    expect(compileSelector(JSON.parse('{"__proto__":1}'))(JSON.parse('{"__proto__":1}'))).toBe(true);
    expect(compileSelector(JSON.parse('{"__proto__":1}'))({})).toBe(false);
  });

  it('orders values of different kinds, texts as people do, and ids by code units', () => {
    const ordered = [
      null,
      false,
      true,
      -1,
      0,
      2,
      '',
      'a',
      'B',
      'c',
      'é',
      'f',
      [],
      [1],
      [1, 2],
      [2],
      {},
      { a: 1 },
      { a: 2 },
      { b: 0 },
    ];
    ordered.forEach((lower, i) => {
      const isAbove = compileSelector({ v: { $gt: lower } });
      expect(ordered.filter((v) => isAbove({ v }))).toEqual(ordered.slice(i + 1));
    });
    expect(compileSelector({ _id: { $gt: 'a' } })({ _id: 'B' })).toBe(false);
    expect(compileSelector({ name: { $gt: 'a' } })({ name: 'B' })).toBe(true);
  });

  it.each<[unknown, string]>([
    [null, '400 bad_request: Selector error: expected a JSON object'],
    [[], '400 bad_request: Selector error: expected a JSON object'],
    ['a', '400 bad_request: Selector error: expected a JSON object'],
    [{ $x: 1 }, '400 invalid_operator: Invalid operator: $x'],
    [{ a: { $x: 1 } }, '400 invalid_operator: Invalid operator: $x'],
    [{ $and: {} }, '400 bad_arg: Bad argument for operator $and: {}'],
    [{ $not: 1 }, '400 bad_arg: Bad argument for operator $not: 1'],
    [{ a: { $exists: 1 } }, '400 bad_arg: Bad argument for operator $exists: 1'],
    [{ a: { $type: 1 } }, '400 bad_arg: Bad argument for operator $type: 1'],
    [{ a: { $in: 'x' } }, '400 bad_arg: Bad argument for operator $in: "x"'],
    [{ a: { $nin: 'x' } }, '400 bad_arg: Bad argument for operator $nin: "x"'],
    [{ a: { $all: 1 } }, '400 bad_arg: Bad argument for operator $all: 1'],
    [{ a: { $size: -1 } }, '400 bad_arg: Bad argument for operator $size: -1'],
    [{ a: { $mod: [0, 1] } }, '400 bad_arg: Bad argument for operator $mod: [0,1]'],
    [{ a: { $mod: [2] } }, '400 bad_arg: Bad argument for operator $mod: [2]'],
    [{ a: { $elemMatch: 1 } }, '400 bad_arg: Bad argument for operator $elemMatch: 1'],
    [
      { a: { $regex: '(' } },
      '400 bad_arg: Bad argument for operator $regex: "(": a parenthesis is not closed',
    ],
    [{ 'a..b': 1 }, '400 bad_request: Invalid field name: a..b'],
    [{ '': 1 }, '400 bad_request: Invalid field name: '],
  ])('%j is refused with %s', (selector, error) => {
    expect(refusal(selector)).toBe(error);
  });

  it('is refused when nested too deeply, however deep', () => {
    const nested = (depth: number): unknown =>
      JSON.parse(`${'{"$not":'.repeat(depth)}{}${'}'.repeat(depth)}`);
    expect(compileSelector(nested(62))({})).toBe(true);
    expect(refusal(nested(64))).toBe('400 bad_request: Selector error: nested deeper than 64');
    expect(refusal(nested(100_000))).toBe('400 bad_request: Selector error: nested deeper than 64');
    const deepArgument = JSON.parse(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`);
    expect(refusal(deepArgument)).toBe('400 bad_request: Selector error: nested deeper than 64');
  });
});
