#!/usr/bin/env node
/** The `tercet` command: finds the subcommand, and turns its errors into one line and an exit code. */

import { unknown } from './cli/flags.ts';
import { OptionsError } from './config.ts';
import { DataDirectoryError } from './store/data-directory.ts';
import { version } from './version.ts';

const help = `usage: tercet COMMAND [flags]

  serve      Run one node.
  dev        Run three nodes with sample data on this machine, and things to try.
  status     Show who leads a running cluster, and how far the others are.
  promote    Make a node the leader.
  node       Show the members of a running cluster; add, promote and remove them.

  --help     Show this. "tercet COMMAND --help" shows more.
  --version  Show the version.

Tercet is a replicated JSON document database that speaks CouchDB's HTTP API.
`;

/** Read when they are asked for: most commands are short, and the modules of a whole node are most of what there is. */
const commands = {
  serve: async () => (await import('./cli/serve.ts')).serve,
  dev: async () => (await import('./cli/dev.ts')).dev,
  status: async () => (await import('./cli/status.ts')).status,
  promote: async () => (await import('./cli/promote.ts')).promote,
  node: async () => (await import('./cli/node.ts')).node,
} as const;

async function run([command, ...rest]: readonly string[]): Promise<number | undefined> {
  switch (command) {
    case 'serve':
    case 'dev':
    case 'status':
    case 'promote':
    case 'node':
      return (await commands[command]())(rest);
    case '--version':
      process.stdout.write(`${version}\n`);
      return 0;
    case undefined:
    case '--help':
    case '-h':
    case 'help':
      process.stdout.write(help);
      return 0;
    default:
      throw unknown('command', `"${command}"`, [...Object.keys(commands), '--help', '--version']);
  }
}

/** A mistake of the operator is one sentence; a defect of ours shows where it happened. */
function report(error: unknown): number {
  const isMistake = error instanceof OptionsError || error instanceof DataDirectoryError;
  process.stderr.write(
    `tercet: ${isMistake ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  );
  return error instanceof OptionsError ? 2 : 1;
}

run(process.argv.slice(2)).then(
  (code) => {
    // Without a code the command goes on; process.exit would cut off output that is still on its way to a pipe.
    if (code !== undefined) process.exitCode = code;
  },
  (error: unknown) => process.exit(report(error)),
);
