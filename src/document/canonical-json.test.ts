import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, canonicalMembers } from './canonical-json.ts';

const depthMax = 32;
const names = fc.oneof(
  fc.string(),
  fc.constantFrom('10', '9', '1', '__proto__', 'a', 'b', 'toJSON', 'é', '\ud800'),
);
const values = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.jsonValue({ maxDepth: 0 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .uniqueArray(fc.tuple(names, tie('value')), { maxLength: 6, selector: ([name]) => name })
      .map((members) => asJson(members)),
  ),
})).value;

/** An object whose members were written in the given order, as JSON.parse makes it. */
function asJson(members: readonly (readonly [string, unknown])[]): unknown {
  const texts = members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return JSON.parse(`{${texts.join(',')}}`);
}

/** The same value with the members of every object in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return asJson(
    Object.entries(value)
      .reverse()
      .map(([name, member]) => [name, reversed(member)] as const),
  );
}

describe('canonical JSON', () => {
  it('does not depend on the order of members', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(canonicalJson(reversed(value), depthMax)).toBe(canonicalJson(value, depthMax));
      }),
    );
  });

  it('of some members is that of an object with these alone', () => {
    const members = fc.uniqueArray(fc.tuple(names, values), { maxLength: 6, selector: ([name]) => name });
    fc.assert(
      fc.property(members, fc.boolean(), fc.array(fc.boolean()), (all, isLast, choices) => {
        const isLeftOut = (place: number) => (isLast ? place < choices.length : choices[place] === true);
        const object = asJson(all) as Record<string, unknown>;
        const kept = Object.keys(object).filter((_, place) => !isLeftOut(place));
        const alone = asJson(kept.map((name) => [name, object[name]] as const));
        expect(canonicalMembers(object, kept, depthMax)).toBe(canonicalJson(alone, depthMax));
      }),
    );
  });

  it('says the same as the value', () => {
    fc.assert(
      fc.property(values, (value) => {
        const text = canonicalJson(value, depthMax);
        expect(canonicalJson(JSON.parse(text), depthMax)).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it.each([
    ['{"b":1,"a":2}', '{"a":2,"b":1}'],
    ['{"9":1,"10":2}', '{"10":2,"9":1}'],
    ['[{"b":1,"a":{"d":1,"c":[]}},null]', '[{"a":{"c":[],"d":1},"b":1},null]'],
    ['{"b":1,"__proto__":{"z":1,"y":2}}', '{"__proto__":{"y":2,"z":1},"b":1}'],
    ['{"n":1.0,"e":1e21,"m":-0,"s":"\\u0041\\u00e9\\ud800"}', '{"e":1e+21,"m":0,"n":1,"s":"Aé\\ud800"}'],
    ['{}', '{}'],
    ['"x"', '"x"'],
  ])('writes %s as %s', (text, canonical) => {
    expect(canonicalJson(JSON.parse(text), depthMax)).toBe(canonical);
  });

  it('orders names by code units, not by code points', () => {
    expect(canonicalJson({ '\u{1f600}': 1, '\uffff': 2 }, depthMax)).toBe('{"\u{1f600}":1,"\uffff":2}');
  });

  it('leaves out the members that are not asked for', () => {
    const object = JSON.parse('{"_id":"x","b":{"d":1,"c":2},"__proto__":1}');
    expect(canonicalMembers(object, ['b', '__proto__'], depthMax)).toBe('{"__proto__":1,"b":{"c":2,"d":1}}');
    expect(canonicalMembers(object, [], depthMax)).toBe('{}');
  });

  it('is a bad request when nested too deeply, however deep', () => {
    const nested = (depth: number): unknown =>
      JSON.parse(`${'[{"a":'.repeat(depth / 2)}1${'}]'.repeat(depth / 2)}`);
    expect(canonicalJson(nested(10), 10)).toContain('1');
    expect(() => canonicalJson(nested(12), 11)).toThrow('nested too deeply');
    expect(() => canonicalJson(nested(100_000), 256)).toThrow('nested too deeply');
    expect(canonicalMembers({ a: nested(10) }, ['a'], 11)).toContain('1');
    expect(() => canonicalMembers({ a: nested(10) }, ['a'], 10)).toThrow('nested too deeply');
  });
});
