/** Turns bytes from outside into JSON values, refusing what would hurt: invalid UTF-8, bad syntax, deep nesting. */

import { isUtf8 } from 'node:buffer';
import { failure } from '../errors.ts';
import type { JsonObject } from './services.ts';

const quote = 0x22;
const backslash = 0x5c;

/** @throws TercetError `bad_request` */
export function parseJson(bytes: Uint8Array, depthMax: number): unknown {
  if (!isUtf8(bytes)) throw failure('bad_request', 'invalid UTF-8 JSON');
  if (isDeeperThan(bytes, depthMax)) {
    throw failure('bad_request', `The JSON is nested deeper than ${depthMax} levels.`);
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the input; CouchDB's is enough.
    throw failure('bad_request', 'invalid UTF-8 JSON');
  }
}

/** @throws TercetError `bad_request` when it is anything but an object */
export function asObject(value: unknown, reason = 'Request body must be a JSON object'): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw failure('bad_request', reason);
  return value as JsonObject;
}

/** A member of the object's own; `__proto__` and inherited names are like any other. */
export function member(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/**
 * Counts brackets outside of strings, before anything recursive sees the text. Bytes of a multi-byte character are all
 * above 0x7f, so they cannot be taken for syntax.
 */
function isDeeperThan(bytes: Uint8Array, depthMax: number): boolean {
  let depth = 0;
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index];
    if (byte === quote) {
      index = endOfString(bytes, index + 1);
    } else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if (byte === 0x7d || byte === 0x5d) {
      depth -= 1;
    }
  }
  return false;
}

function endOfString(bytes: Uint8Array, from: number): number {
  let index = from;
  while (index < bytes.length && bytes[index] !== quote) index += bytes[index] === backslash ? 2 : 1;
  return index;
}
