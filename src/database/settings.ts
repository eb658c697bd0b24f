/** Per-database settings, kept as one small JSON record. */

import { limits } from '../config.ts';
import type { SecurityObject } from './model.ts';

export interface DatabaseSettings {
  readonly security: SecurityObject;
  /** How many generations of ancestors each leaf keeps. */
  readonly revisionsLimit: number;
  /** How many purge records are kept. */
  readonly purgedInfosLimit: number;
}

const admins = { names: [], roles: ['_admin'] };

export const adminsOnly: SecurityObject = { admins, members: admins };

/** A new database is for admins only, as CouchDB 3's is. */
const DEFAULTS: DatabaseSettings = {
  security: adminsOnly,
  revisionsLimit: limits.revisionsLimitDefault,
  purgedInfosLimit: 1_000,
};

export function decodeSettings(record: Uint8Array | undefined): DatabaseSettings {
  if (record === undefined) return DEFAULTS;
  return { ...DEFAULTS, ...(JSON.parse(Buffer.from(record).toString()) as Partial<DatabaseSettings>) };
}

export function encodeSettings(settings: DatabaseSettings): Uint8Array {
  return Buffer.from(JSON.stringify(settings));
}
