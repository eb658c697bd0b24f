/**
 * Passwords are kept as the result of a slow, salted function, so that who steals the data cannot read them.
 *
 *   { password_scheme: 'scrypt', salt: '…', derived_key: '…', scrypt_cost: 16384, scrypt_block_size: 8, … }
 *
 * New ones use scrypt; its parameters stand in the document, so they can grow later without locking anybody out.
 * Documents that came from CouchDB carry `pbkdf2`, and are checked the way CouchDB made them. CouchDB's oldest scheme,
 * `simple` (one round of SHA-1), is left out: who has it sets a new password.
 */

import { pbkdf2, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import type { JsonObject } from '../http/services.ts';

export type PasswordHash =
  | {
      readonly kind: 'scrypt';
      readonly salt: string;
      readonly derivedKey: Buffer;
      /** N: iterations, a power of two; memory is 128 × cost × blockSize bytes. */
      readonly cost: number;
      readonly blockSize: number;
      readonly parallelization: number;
    }
  | {
      readonly kind: 'pbkdf2';
      readonly salt: string;
      readonly derivedKey: Buffer;
      readonly iterations: number;
      readonly digest: string;
    };

export interface ScryptParameters {
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
}

/** OWASP's recommendation for 16 MiB: about a fifth of a second, so guessing stays slow and logging in does not. */
export const scryptDefault: ScryptParameters = { cost: 16_384, blockSize: 8, parallelization: 5 };

export const passwordBytesMax = 4_096;

const derivedKeyBytes = 32;
const memoryBytesMax = 64 * 1024 * 1024;
const parallelizationMax = 16;
const iterationsMax = 5_000_000;
const digestOfPrf: Readonly<Record<string, string>> = {
  sha: 'sha1',
  sha224: 'sha224',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
};

const scryptAsync = promisify<string, string, number, object, Buffer>(scrypt);
const pbkdf2Async = promisify(pbkdf2);

export async function hashPassword(
  password: string,
  parameters: ScryptParameters = scryptDefault,
): Promise<PasswordHash> {
  const salt = randomBytes(16).toString('hex');
  const derivedKey = await deriveScrypt(password, salt, parameters, derivedKeyBytes);
  return { kind: 'scrypt', salt, derivedKey, ...parameters };
}

/** Takes as long for a wrong password as for the right one. */
export async function verifyPassword(password: string, hash: PasswordHash): Promise<boolean> {
  const length = hash.derivedKey.length;
  const derived =
    hash.kind === 'scrypt'
      ? await deriveScrypt(password, hash.salt, hash, length)
      : await pbkdf2Async(password, hash.salt, hash.iterations, length, hash.digest);
  return timingSafeEqual(derived, hash.derivedKey);
}

function deriveScrypt(
  password: string,
  salt: string,
  parameters: ScryptParameters,
  length: number,
): Promise<Buffer> {
  const { cost, blockSize, parallelization } = parameters;
  // Node counts a little more than 128 × cost × blockSize; the bound on the parameters is parseHash's part.
  return scryptAsync(password, salt, length, {
    cost,
    blockSize,
    parallelization,
    maxmem: 2 * memoryBytesMax,
  });
}

/** The members of a user document that hold a password, in any scheme: nobody but the nodes themselves sees them. */
export const hashMembers: readonly string[] = [
  'password_scheme',
  'salt',
  'derived_key',
  'iterations',
  'pbkdf2_prf',
  'password_sha',
  'scrypt_cost',
  'scrypt_block_size',
  'scrypt_parallelization',
];

export function hashToMembers(hash: PasswordHash): JsonObject {
  const derived = { salt: hash.salt, derived_key: hash.derivedKey.toString('hex') };
  if (hash.kind === 'pbkdf2') {
    const prf = Object.entries(digestOfPrf).find(([, digest]) => digest === hash.digest)?.[0];
    return { password_scheme: 'pbkdf2', ...derived, iterations: hash.iterations, pbkdf2_prf: prf };
  }
  return {
    password_scheme: 'scrypt',
    ...derived,
    scrypt_cost: hash.cost,
    scrypt_block_size: hash.blockSize,
    scrypt_parallelization: hash.parallelization,
  };
}

/** The hash of a user document; undefined when it has none, or one too costly or too odd to check. */
export function parseHash(document: JsonObject): PasswordHash | undefined {
  const { salt, derived_key: key } = document;
  if (typeof salt !== 'string' || typeof key !== 'string' || !/^([0-9a-f]{2}){16,64}$/i.test(key))
    return undefined;
  const derived = { salt, derivedKey: Buffer.from(key, 'hex') };
  if (document.password_scheme === 'pbkdf2') {
    const iterations = wholeNumber(document.iterations, iterationsMax);
    // CouchDB before 3.4 did not name the function: it was SHA-1.
    const prf = document.pbkdf2_prf ?? 'sha';
    const digest = typeof prf === 'string' && Object.hasOwn(digestOfPrf, prf) ? digestOfPrf[prf] : undefined;
    return iterations && digest ? { kind: 'pbkdf2', ...derived, iterations, digest } : undefined;
  }
  if (document.password_scheme !== 'scrypt') return undefined;
  const blockSize = wholeNumber(document.scrypt_block_size, 64);
  const cost = blockSize && wholeNumber(document.scrypt_cost, memoryBytesMax / (128 * blockSize));
  const parallelization = wholeNumber(document.scrypt_parallelization, parallelizationMax);
  if (!blockSize || !cost || !parallelization || cost < 2 || !Number.isInteger(Math.log2(cost)))
    return undefined;
  return { kind: 'scrypt', ...derived, cost, blockSize, parallelization };
}

function wholeNumber(value: unknown, max: number): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max
    ? value
    : undefined;
}
