/** A PouchDB whose database is a node's, for tests in which the node may die. */

import PouchDB from 'pouchdb';

const retryMs = 50;

/** `url` names a database. It is created when PouchDB first uses it. */
export function remotePouchDB(url: string): PouchDB {
  return new PouchDB(url, { fetch: patientAboutInformation(url) });
}

/**
 * A replication of PouchDB asks for the database's information after every batch, to show its progress, and leaves a
 * failure of that one request unhandled, which would end the test's process. So this one request waits for the node.
 */
function patientAboutInformation(database: string): typeof PouchDB.fetch {
  return async (url, options) => {
    const isInformation = (options?.method ?? 'GET') === 'GET' && url.replace(/\/$/, '') === database;
    for (;;) {
      try {
        return await PouchDB.fetch(url, options);
      } catch (error) {
        if (!isInformation) throw error;
        await new Promise((resolve) => setTimeout(resolve, retryMs).unref());
      }
    }
  };
}
