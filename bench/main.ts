/**
 * `npm run bench`: measures one Tercet node (and two, for replication) beside pouchdb-server, and three beside other
 * clusters that are installed, in the same run with the same client, prints a table with what was aimed for, and keeps the figures under bench/results/.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeCommit, describeMachine } from './machine.ts';
import { branches } from './parts/branches.ts';
import { hashTree } from './parts/hash-tree.ts';
import { leaderless } from './parts/leaderless.ts';
import { million } from './parts/million.ts';
import type { Part, PartContext } from './parts/part.ts';
import { replicate } from './parts/replicate.ts';
import { bulk, feeds, get, put } from './parts/requests.ts';
import { singleLeader } from './parts/single-leader.ts';
import { sync } from './parts/sync.ts';
import { killAll } from './processes.ts';
import { describeProfiles } from './profiles.ts';
import { formatReport, type Report, writeReport } from './report.ts';
import { makeRow, type Sample } from './rows.ts';
import { readSettings, type Settings, usage } from './settings.ts';
import { pouchdbServer, type System, tercet } from './systems.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const parts: readonly Part[] = [
  put,
  get,
  bulk,
  feeds,
  sync,
  replicate,
  million,
  branches,
  hashTree,
  singleLeader,
  leaderless,
];

function findSystems(settings: Settings, problem: (text: string) => void): System[] {
  const known = { tercet: () => tercet(settings.profileDirectory), 'pouchdb-server': pouchdbServer };
  return Object.entries(known).flatMap(([name, prepare]) => {
    if (!settings.systems.includes(name)) return [];
    try {
      return [prepare()];
    } catch (error) {
      problem(`${name} is left out: ${(error as Error).message}`);
      return [];
    }
  });
}

async function measure(settings: Settings, directory: string): Promise<Report> {
  const startedAt = new Date();
  const machine = describeMachine(directory);
  const problems: string[] = [];
  const say = (text: string) => {
    const elapsed = Math.round((Date.now() - startedAt.getTime()) / 1000);
    process.stderr.write(`[${String(elapsed).padStart(4)} s] ${text}\n`);
  };
  const problem = (text: string) => {
    problems.push(text);
    say(`problem: ${text}`);
  };
  const descriptions: string[] = [];
  const context: PartContext = {
    settings,
    systems: findSystems(settings, problem),
    directory,
    progress: say,
    describe: (text) => descriptions.push(text),
    problem,
  };
  const samples: Sample[] = [];
  const wanted = parts.filter((part) => settings.parts.includes(part.name));
  for (const part of wanted) {
    try {
      samples.push(...(await part.run(context)));
    } catch (error) {
      problem(`${part.name}: ${(error as Error).message}`);
    }
  }
  return {
    startedAt: startedAt.toISOString(),
    seconds: (Date.now() - startedAt.getTime()) / 1000,
    commit: describeCommit(root),
    machine,
    systems: [...context.systems.map((system) => system.description), ...descriptions],
    settings,
    rows: wanted.flatMap((part) => part.rows).map((row) => makeRow(row, samples, settings.fullSize)),
    problems,
  };
}

async function main(): Promise<number> {
  const settings = readSettings(
    process.argv.slice(2),
    parts.map((part) => part.name),
  );
  if (settings === 'help') {
    console.log(`${usage}\n\nparts: ${parts.map((part) => part.name).join(', ')}`);
    return 0;
  }
  const directory = await mkdtemp(join(settings.directory ?? tmpdir(), 'tercet-bench-'));
  try {
    const report = await measure(settings, directory);
    console.log(formatReport(report));
    if (settings.profileDirectory !== undefined)
      console.log(await describeProfiles(settings.profileDirectory));
    if (settings.writeResults)
      console.log(`Written to ${await writeReport(join(root, 'bench/results'), report)}`);
    return report.problems.length > 0 || report.rows.some((row) => row.verdict === 'missed') ? 1 : 0;
  } finally {
    killAll();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

main()
  .then((code) => process.exit(code))
  .catch((error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(2);
  });
