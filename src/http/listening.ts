/** Where the server listens, and what is said when it cannot. */

import { type NodeSettings, OptionsError } from '../config.ts';
import type { App } from './app.ts';

/** @throws OptionsError when the address cannot be had */
export async function listen(app: App, { listen: { host, port } }: NodeSettings): Promise<string> {
  const shown = shownHost(host);
  try {
    return `http://${shown}:${(await app.listen(host, port)).port}`;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new OptionsError(
        `${shown}:${port} is taken by another program: stop it, or choose another port with --listen ${shown}:PORT.`,
      );
    }
    throw new OptionsError(
      `Cannot listen on ${shown}:${port} (${message}): choose another address with --listen.`,
    );
  }
}

/** As it stands in a URL. */
export function shownHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Listening on all addresses says nothing about where one is reached. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || /^[0:]+$/.test(host);
}
