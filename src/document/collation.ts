/**
 * CouchDB's order of JSON values: null, false, true, numbers, strings, arrays, objects.
 *
 * Strings are in the order of Unicode's root collation (a < B < c), so every node orders alike whatever its language.
 * Where that order sees no difference, code units decide: different strings are never equal. Objects are compared
 * member by member in the order of their names; CouchDB takes the order in which they were written, which Tercet,
 * keeping canonical JSON, does not know.
 */

// English sorts by the root collation itself; other languages tailor it.
const collator = new Intl.Collator('en', { usage: 'sort', sensitivity: 'variant', numeric: false });

/** Negative when `a` comes first, 0 when both are the same value. Both are of JSON.parse. */
export function compareValues(a: unknown, b: unknown): number {
  const rank = rankOf(a);
  const order = rank - rankOf(b);
  if (order !== 0) return order;
  if (typeof a === 'number') return a - (b as number);
  if (typeof a === 'string') return compareTexts(a, b as string);
  if (Array.isArray(a)) return compareArrays(a, b as readonly unknown[]);
  if (typeof a === 'object' && a !== null) return compareObjects(a, b as object);
  return 0;
}

/** By code units: the order of ids and keys in the store. */
export function compareCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function rankOf(value: unknown): number {
  switch (typeof value) {
    case 'boolean':
      return value ? 3 : 2;
    case 'number':
      return 4;
    case 'string':
      return 5;
    default:
      return value === null ? 1 : Array.isArray(value) ? 6 : 7;
  }
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return collator.compare(a, b) || compareCodeUnits(a, b);
}

function compareArrays(a: readonly unknown[], b: readonly unknown[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const order = compareValues(a[i], b[i]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareObjects(a: object, b: object): number {
  const membersOfA = Object.entries(a).sort(byName);
  const membersOfB = Object.entries(b).sort(byName);
  for (let i = 0; i < membersOfA.length && i < membersOfB.length; i++) {
    const [nameInA, valueInA] = membersOfA[i]!;
    const [nameInB, valueInB] = membersOfB[i]!;
    const order = compareTexts(nameInA, nameInB) || compareValues(valueInA, valueInB);
    if (order !== 0) return order;
  }
  return membersOfA.length - membersOfB.length;
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return compareTexts(a, b);
}
