/**
 * What keeps the pages in a browser from using its owner's rights on a node.
 *
 * - A page of another origin may send simple requests without asking (CORS asks only before others), with the browser's
 *   cookies, or to a node where nobody needs any. Browsers name the page in `Origin`: those that `--cors-origins` does
 *   not name may not write.
 * - A page may point a name of its own to 127.0.0.1 and be of the node's origin then (DNS rebinding). Where everybody is
 *   admin, requests have to name the node as only its own machine does.
 *
 * Clients that are no browsers send no `Origin`, and go on as if this file were not there.
 */

import { failure } from '../errors.ts';
import { isAllowedOrigin } from './cors.ts';
import type { Exchange } from './exchange.ts';

const readingMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const loopbackHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/** @throws TercetError `forbidden` for a write from a page that is not allowed to */
export function refuseForeignPage(exchange: Exchange): void {
  const origin = exchange.header('origin');
  if (origin === undefined || readingMethods.has(exchange.method)) return;
  if (exchange.header('sec-fetch-site') === 'same-origin' || isOwnOrigin(exchange, origin)) return;
  if (isAllowedOrigin(exchange.services.http.cors, origin)) return;
  throw failure('forbidden', 'Pages of this origin may not write here: --cors-origins does not name it.');
}

/** The scheme is left out: a proxy in front may speak TLS. */
function isOwnOrigin(exchange: Exchange, origin: string): boolean {
  const own = exchange.header('host')?.toLowerCase();
  return own !== undefined && origin.toLowerCase().replace(/^https?:\/\//, '') === own;
}

/** For requests that need no credentials to do everything. @throws TercetError `forbidden` */
export function requireLoopbackHost(exchange: Exchange): void {
  const host = exchange.header('host');
  if (host === undefined || loopbackHost.test(host)) return;
  throw failure(
    'forbidden',
    'A node without an admin answers to localhost and 127.0.0.1 only: add --admin USER:PASSWORD to use other names.',
  );
}
