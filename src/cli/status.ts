/** `tercet status`: who leads, and how far the others are, as the nodes themselves say it. */

import { type FlagTable, helpText, readFlags } from './flags.ts';
import { nodeFlags, type RunningNode, RunningNodeError, runningNode } from './running-node.ts';
import { type SeenNode, type ShownCluster, statusText } from './status-text.ts';

const statusFlags = {
  ...nodeFlags,
  json: { help: 'Print what the nodes answer, for programs.' },
} as const satisfies FlagTable;

const story = `Asks one node of a running cluster for the others, and each of them for its part in the group that carries the
single-leader databases. Exits with 0 when somebody leads with a quorum, with 1 when nobody does.`;

const closing = `  tercet status
  tercet status --url http://10.0.0.2:5984 --user anna:secret`;

const answerMsMax = 5_000;
/** A node that is paused should not hold the table up. */
const otherAnswerMsMax = 2_000;

/** @returns the exit code @throws OptionsError */
export async function status(argv: readonly string[]): Promise<number> {
  const read = readFlags(statusFlags, argv);
  if (read.kind === 'help') {
    process.stdout.write(helpText('tercet status [flags]', story, statusFlags, closing));
    return 0;
  }
  const node = runningNode(read.values, process.env);
  try {
    const seen = await seenFrom(node);
    const text = read.values.has('json')
      ? `${JSON.stringify(seen, null, 2)}\n`
      : statusText(seen, { isStyled: isStyled() });
    process.stdout.write(text);
    return seen.some(({ cluster }) => cluster?.role === 'leader' && cluster.has_quorum === true) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof RunningNodeError)) throw error;
    process.stderr.write(`tercet: ${error.message}\n`);
    return 1;
  }
}

function isStyled(): boolean {
  return process.stdout.isTTY === true && (process.env.NO_COLOR ?? '') === '';
}

/** Every node that the first one knows, with what it says of itself. */
async function seenFrom(node: RunningNode): Promise<readonly SeenNode[]> {
  const first = await node.json<ShownCluster>('GET', '/_cluster', { timeoutMs: answerMsMax });
  const others = first.nodes.filter(({ name }) => name !== first.node);
  const rest = await Promise.all(
    others.map(async ({ name, url }): Promise<SeenNode> => {
      const cluster = url === null ? undefined : await ask(node.at(url));
      return { name, url, cluster };
    }),
  );
  return [{ name: first.node, url: node.url, cluster: first }, ...rest].toSorted((left, right) =>
    left.name < right.name ? -1 : 1,
  );
}

/** Undefined where it cannot be reached or refuses: the table says so. */
function ask(node: RunningNode): Promise<ShownCluster | undefined> {
  return node.json<ShownCluster>('GET', '/_cluster', { timeoutMs: otherAnswerMsMax }).catch((error) => {
    if (error instanceof RunningNodeError) return undefined;
    throw error;
  });
}
