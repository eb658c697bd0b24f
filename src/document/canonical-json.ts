/**
 * One text for one value: members in code-unit order of their names, no spaces, numbers and strings as JSON.stringify
 * writes them. Revision digests cover this text, so two nodes that got the same edit must write the same bytes.
 *
 * Most documents are small, flat and already in order, and the engine's own JSON.stringify is many times faster than
 * any code here. So a value is first only looked at; it is written by hand just where something is out of order, which
 * includes names such as `10`: an object lists them before all others and as numbers.
 */

import { failure } from '../errors.ts';

/**
 * The canonical text of a value that came from JSON.parse.
 * @param depthMax how many arrays and objects may stand inside each other
 * @throws TercetError `bad_request` when they are more
 */
export function canonicalJson(value: unknown, depthMax: number): string {
  return isInOrder(value, depthMax) ? JSON.stringify(value) : written(value);
}

/** As {@link canonicalJson}, of an object with the given members alone. `names` are its own, in its order. */
export function canonicalMembers(
  object: Readonly<Record<string, unknown>>,
  names: readonly string[],
  depthMax: number,
): string {
  const all = Object.keys(object);
  const left = all.length - names.length;
  const first = all.slice(0, left);
  // A member that is cut off again is not to be a long one.
  const areLast = all[left] === names[0] && first.every((name) => typeof object[name] !== 'object');
  if (names.length > 0 && areLast && areInOrder(object, names, depthMax)) return withoutFirst(object, first);
  let text = '';
  for (const name of sorted(names)) {
    const member = object[name];
    text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${canonicalJson(member, depthMax - 1)}`;
  }
  return `{${text}}`;
}

/** Whether JSON.stringify would write the canonical text. Looks at everything, for the depth's sake. */
function isInOrder(value: unknown, depthLeft: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depthLeft <= 0) throw failure('bad_request', 'The JSON is nested too deeply.');
  if (!Array.isArray(value)) {
    return areInOrder(value as Record<string, unknown>, Object.keys(value), depthLeft);
  }
  let inOrder = true;
  for (const item of value) {
    if (typeof item === 'object' && !isInOrder(item, depthLeft - 1)) inOrder = false;
  }
  return inOrder;
}

function areInOrder(
  object: Readonly<Record<string, unknown>>,
  names: readonly string[],
  depthLeft: number,
): boolean {
  let inOrder = true;
  let before: string | undefined;
  for (const name of names) {
    if (before !== undefined && name < before) inOrder = false;
    before = name;
    const member = object[name];
    if (typeof member === 'object' && !isInOrder(member, depthLeft - 1)) inOrder = false;
  }
  return inOrder;
}

/** All in one go, and what comes first cut off: `{"_id":"a","n":1}` gives `{"n":1}`. `first` are its first members. */
function withoutFirst(object: Readonly<Record<string, unknown>>, first: readonly string[]): string {
  // Their brace, a colon and a comma each.
  let cut = 1;
  for (const name of first) cut += JSON.stringify(name).length + JSON.stringify(object[name]).length + 2;
  return `{${JSON.stringify(object).slice(cut)}`;
}

/** The depth was checked before. */
function written(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(written).join(',')}]`;
  const object = value as Record<string, unknown>;
  const members = sorted(Object.keys(object)).map(
    (name) => `${JSON.stringify(name)}:${written(object[name])}`,
  );
  return `{${members.join(',')}}`;
}

function sorted(names: readonly string[]): readonly string[] {
  return names.length < 2 ? names : names.toSorted();
}
