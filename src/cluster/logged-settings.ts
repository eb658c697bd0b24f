/**
 * The way of writes of a database whose content does not travel by the group's log: only its settings do, so that who may
 * read and write it, and how long histories are, is the same on every node and survives whoever changed it.
 */

import type { DatabaseSettings } from '../database/settings.ts';
import type { Writes } from '../database/writes.ts';

export function withLoggedSettings(
  local: Writes,
  changeSettings: (change: Partial<DatabaseSettings>) => Promise<void>,
): Writes {
  return {
    edit: (edits, options) => local.edit(edits, options),
    insert: (revisions, options) => local.insert(revisions, options),
    purge: (request) => local.purge(request),
    writeLocal: (write) => local.writeLocal(write),
    changeSettings,
    storeBlob: (content, bytesMax) => local.storeBlob(content, bytesMax),
    flush: () => local.flush(),
  };
}
