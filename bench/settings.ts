import { parseArgs } from 'node:util';
import { clusterPeers } from './cluster-rows.ts';

export interface Settings {
  /** Names of the parts to run. */
  readonly parts: readonly string[];
  readonly systems: readonly string[];
  readonly rounds: number;
  readonly secondsPerMeasurement: number;
  readonly warmUpSeconds: number;
  readonly feedDocuments: number;
  readonly syncDocuments: number;
  readonly replicatedDocuments: number;
  readonly storedDocuments: number;
  readonly branches: number;
  /** Read from clusters. */
  readonly groupDocuments: number;
  /** Of writes to a cluster before anything is measured. */
  readonly groupWarmUpSeconds: number;
  /** Kept for a node that is away. */
  readonly hints: number;
  /** Everything had the size that the targets were set for. */
  readonly fullSize: boolean;
  /** Every part and every system. */
  readonly isComplete: boolean;
  /** Where data directories are made; undefined for the system's temporary directory. */
  readonly directory: string | undefined;
  readonly writeResults: boolean;
  /** Where each Tercet process leaves a CPU profile when it ends. Profiling slows it, so nothing is judged. */
  readonly profileDirectory: string | undefined;
}

const full = {
  rounds: 3,
  secondsPerMeasurement: 4,
  warmUpSeconds: 2,
  feedDocuments: 10_000,
  syncDocuments: 10_000,
  replicatedDocuments: 100_000,
  storedDocuments: 1_000_000,
  branches: 10_000,
  groupDocuments: 10_000,
  groupWarmUpSeconds: 30,
  hints: 100_000,
  fullSize: true,
};

const quick: typeof full = {
  rounds: 1,
  secondsPerMeasurement: 1,
  warmUpSeconds: 0.5,
  feedDocuments: 2_000,
  syncDocuments: 1_000,
  replicatedDocuments: 5_000,
  storedDocuments: 20_000,
  branches: 500,
  groupDocuments: 2_000,
  groupWarmUpSeconds: 1,
  hints: 2_000,
  fullSize: false,
};

export const usage = `npm run bench -- [options]
  --quick            small and short: shows that everything works, proves no target
  --only a,b         only these parts
  --systems a,b      only these of tercet, pouchdb-server, etcd-http, etcd-grpc, redis, postgres
  --rounds N         rounds per measurement; the median counts
  --data DIR         where to make data directories (default: the temporary directory)
  --profile DIR      leave CPU profiles of Tercet there, and say what took the time
  --no-results       print only, write no file
  --help`;

/** @throws Error with a sentence for the user when an option is unknown or names nothing. */
export function readSettings(parameters: readonly string[], partNames: readonly string[]): Settings | 'help' {
  const { values } = parseArgs({
    args: [...parameters],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      systems: { type: 'string' },
      rounds: { type: 'string' },
      data: { type: 'string' },
      profile: { type: 'string' },
      'no-results': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const size = values.quick ? quick : full;
  const rounds = values.rounds === undefined ? size.rounds : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds wants a whole number from 1');
  return {
    ...size,
    fullSize: size.fullSize && values.profile === undefined,
    rounds,
    isComplete: values.only === undefined && values.systems === undefined,
    parts: choose('--only', values.only, partNames),
    systems: choose('--systems', values.systems, ['tercet', 'pouchdb-server', ...clusterPeers]),
    directory: values.data,
    writeResults: !values['no-results'] && values.profile === undefined,
    profileDirectory: values.profile,
  };
}

function choose(option: string, wanted: string | undefined, known: readonly string[]): readonly string[] {
  if (wanted === undefined) return known;
  const chosen = wanted.split(',');
  const stranger = chosen.find((name) => !known.includes(name));
  if (stranger !== undefined) throw new Error(`${option} ${stranger}: choose from ${known.join(', ')}`);
  return chosen;
}
