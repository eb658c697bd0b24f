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

/** As {@link canonicalJson}, of an object with the given members alone. `names` are its own, in any order. */
export function canonicalMembers(
  object: Readonly<Record<string, unknown>>,
  names: readonly string[],
  depthMax: number,
): string {
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
  let inOrder = true;
  if (Array.isArray(value)) {
    for (const item of value) {
      if (typeof item === 'object' && !isInOrder(item, depthLeft - 1)) inOrder = false;
    }
    return inOrder;
  }
  let before: string | undefined;
  for (const name of Object.keys(value)) {
    if (before !== undefined && name < before) inOrder = false;
    before = name;
    const member = (value as Record<string, unknown>)[name];
    if (typeof member === 'object' && !isInOrder(member, depthLeft - 1)) inOrder = false;
  }
  return inOrder;
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
