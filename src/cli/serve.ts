/** `tercet serve`: one node as a process. Says where it listens, and stops cleanly when asked to. */

import { readFileSync } from 'node:fs';
import type { NodeOptions } from '../config.ts';
import { openNode, type TercetNode } from '../node.ts';
import { helpText } from './flags.ts';
import { onStopRequest } from './process-signals.ts';
import { readServeOptions, serveFlags } from './serve-options.ts';

/** Orchestrators kill after 30 s; what takes longer than this is cut off, which loses nothing that was answered. */
const closeMsMax = 25_000;

const story = `Runs one node of a cluster, or a single one. It prints one line to standard output when it is ready, and logs to
standard error. SIGTERM or Ctrl-C stops it: it finishes what it is answering, closes its data and exits with 0; a second
one exits at once.`;

const closing = `Every flag may also stand in the environment (--cors-origins as TERCET_CORS_ORIGINS) or in the config file
({"cors-origins": "…"}); a flag beats the environment, and that beats the file.

  tercet serve                                            a single node on http://127.0.0.1:5984, everybody is admin
  tercet serve --listen 0.0.0.0:5984 --admin anna:secret  reachable from outside
  tercet serve --node n2 --listen 10.0.0.2:5984 --admin anna:secret --secret-file secret \\
    --peers n1=http://10.0.0.1:5984,n2=http://10.0.0.2:5984,n3=http://10.0.0.3:5984`;

/**
 * @returns the exit code to end with at once; undefined while the node runs
 * @throws OptionsError, DataDirectoryError
 */
export async function serve(argv: readonly string[]): Promise<number | undefined> {
  const readFile = (path: string) => readFileSync(path, 'utf8');
  const read = readServeOptions({ argv, environment: process.env, readFile });
  if (read.kind === 'help') {
    process.stdout.write(helpText('tercet serve [flags]', story, serveFlags, closing));
    return 0;
  }
  // Asked to stop while it is still opening, the node opens, and then stops.
  const opening = openNode(withServeDefaults(read.options));
  onStopRequest((reason) => void stop(opening, reason));
  const node = await opening;
  process.stdout.write(`tercet ${node.name} is ready at ${node.url}\n`);
  process.send?.({ kind: 'ready', url: node.url });
  return undefined;
}

function withServeDefaults(options: NodeOptions): NodeOptions {
  return { logLevel: 'info', ...options };
}

async function stop(opening: Promise<TercetNode>, reason: string): Promise<void> {
  const overdue = setTimeout(() => {
    process.stderr.write(`tercet: closing took longer than ${closeMsMax / 1000} s and was cut off\n`);
    process.exit(1);
  }, closeMsMax);
  overdue.unref();
  try {
    const node = await opening;
    await node.close();
    process.stdout.write(`tercet ${node.name} has stopped (${reason})\n`);
    process.exit(0);
  } catch (error) {
    process.stderr.write(`tercet: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
