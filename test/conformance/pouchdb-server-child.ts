/** A PouchDB server in a process of its own, because odd requests kill it. Keeps data in memory; says its port by IPC. */

import type { Server } from 'node:http';
import { createRequire } from 'node:module';

interface PouchConstructor {
  plugin(plugin: unknown): void;
  defaults(options: object): unknown;
}
type MakeServer = (pouch: unknown, options: object) => { listen(port: number, host: string): Server };

const require = createRequire(import.meta.url);
const Pouch = require('pouchdb') as PouchConstructor;
const makeServer = require('express-pouchdb') as MakeServer;

Pouch.plugin(require('pouchdb-adapter-memory'));
const pouch = Pouch.defaults({ adapter: 'memory' });
const options = { mode: 'minimumForPouchDB', inMemoryConfig: true, logPath: '/dev/null' };
const server = makeServer(pouch, options).listen(0, '127.0.0.1');
server.on('listening', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.send?.({ port: address.port });
});
// Ends with the test that started it, however that ends.
process.on('disconnect', () => process.exit(0));
