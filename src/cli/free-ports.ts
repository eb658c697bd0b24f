import { createServer } from 'node:net';
import { OptionsError } from '../config.ts';

export interface PortChoice {
  readonly ports: readonly number[];
  /** Ports that were wanted, but are taken. */
  readonly taken: readonly number[];
}

const portMax = 65_535;
/** After so many taken ports in a row something else is wrong. */
const triesMax = 200;

/** The first `count` ports from `first` on that nobody listens on; from 0, any. @throws OptionsError */
export async function choosePorts(first: number, count: number): Promise<PortChoice> {
  const ports: number[] = [];
  const taken: number[] = [];
  for (let tries = 0; ports.length < count; tries += 1) {
    const wanted = first === 0 ? 0 : first + tries;
    if (wanted > portMax || tries === triesMax) {
      throw new OptionsError(
        `Found no ${count} free ports from ${first} on: choose others with --port PORT.`,
      );
    }
    const port = await tryPort(wanted);
    if (port === undefined) taken.push(wanted);
    else if (!ports.includes(port)) ports.push(port);
  }
  return { ports, taken };
}

/** The port, if it is free now. Somebody may still be faster than the node that gets it; then that node says so. */
function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined);
      else reject(error);
    });
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = probe.address();
      const found = typeof address === 'object' && address !== null ? address.port : port;
      probe.close(() => resolve(found));
    });
  });
}
