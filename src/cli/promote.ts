/** `tercet promote NODE`: appoints a leader, or says what that would mean. */

import { type FlagTable, helpText, readFlags } from './flags.ts';
import { nodeFlags, RunningNodeError, runningNode } from './running-node.ts';

const promoteFlags = {
  'dry-run': { help: 'Change nothing: say what may be lost and which nodes would be fenced.' },
  force: {
    help: 'Go on although the majority is lost for good. What only the lost nodes had is given\nup; they are fenced when they return, and their writes come back as branches.',
  },
  ...nodeFlags,
} as const satisfies FlagTable;

const story = `Makes a node the leader of the cluster's single-leader databases. It stands for election in a new term, so the leader
before it is fenced: what that one still sends is refused. Any node can be asked; the one that is named does it.`;

const closing = `  tercet promote n2 --dry-run
  tercet promote n2 --force --url http://10.0.0.2:5984`;

/** An election, and a log that may have to be brought up to date before it. */
const promotionMsMax = 30_000;

/** @returns the exit code @throws OptionsError */
export async function promote(argv: readonly string[]): Promise<number> {
  const read = readFlags(promoteFlags, argv, ['NODE']);
  if (read.kind === 'help') {
    process.stdout.write(helpText('tercet promote NODE [flags]', story, promoteFlags, closing));
    return 0;
  }
  const [node = ''] = read.operands;
  const body = { node, dry_run: read.values.has('dry-run'), force: read.values.has('force') };
  try {
    const asked = runningNode(read.values, process.env);
    const options = { timeoutMs: promotionMsMax, body };
    const answer = await asked.json<Readonly<Record<string, unknown>>>('POST', '/_cluster/promote', options);
    process.stdout.write(promotionText(answer));
    return answer.ok === false ? 1 : 0;
  } catch (error) {
    if (!(error instanceof RunningNodeError)) throw error;
    process.stderr.write(`tercet: ${error.message}\n`);
    return 1;
  }
}

/** A line for each thing that the node has to say. */
function promotionText(answer: Readonly<Record<string, unknown>>): string {
  const rows = Object.entries(answer).map(
    ([name, value]) => [name.replaceAll('_', ' '), shown(value)] as const,
  );
  const width = Math.max(0, ...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, value]) => `${name.padEnd(width)}${value}\n`).join('');
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(shown).join(', ');
  if (value === null || value === undefined) return 'nobody';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
