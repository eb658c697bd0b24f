import * as crypto from 'node:crypto';
import { createHash } from 'node:crypto';
import type { Digest } from '../document/revision.ts';

// crypto.hash (Node 20.12+) skips the Hash object: about twice as fast on short inputs.
const sha256: (bytes: Uint8Array) => string =
  typeof crypto.hash === 'function'
    ? (bytes) => crypto.hash('sha256', bytes, 'hex')
    : (bytes) => createHash('sha256').update(bytes).digest('hex');

/** SHA-256 cut to 128 bits, as 32 lowercase hex digits: the form of a revision's digest. */
export const digest128: Digest = (bytes) => sha256(bytes).slice(0, 32);
