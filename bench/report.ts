import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Commit, Machine } from './machine.ts';
import { peerTitle, type Row, type Summary, type Target, type Unit } from './rows.ts';
import type { Settings } from './settings.ts';

export interface Report {
  readonly startedAt: string;
  readonly seconds: number;
  readonly commit: Commit;
  readonly machine: Machine;
  readonly systems: readonly string[];
  readonly settings: Settings;
  readonly rows: readonly Row[];
  readonly problems: readonly string[];
}

const number = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

function format(value: number | undefined): string {
  if (value === undefined) return '–';
  return value >= 1_000 ? whole.format(value) : number.format(value);
}

function formatTarget(target: Target | undefined, unit: Unit): string {
  if (target === undefined) return '';
  switch (target.kind) {
    case 'times_peer':
      return `≥ ${target.atLeast}×`;
    case 'times_stated':
      return `≥ ${target.atLeast}× CouchDB*`;
    case 'at_most':
      return `≤ ${format(target.value)} ${unit}`;
  }
}

function latenciesOf(summary: Summary | undefined): string {
  return summary?.p50Ms === undefined ? '' : `${format(summary.p50Ms)} / ${format(summary.p99Ms)}`;
}

function cellsOf(row: Row): string[] {
  return [
    row.title,
    row.unit,
    format(row.tercet?.median),
    format(row.peer?.median),
    peerTitle(row),
    row.ratio === undefined ? '' : `${format(row.ratio)}×`,
    formatTarget(row.target, row.unit),
    row.verdict ?? '',
    latenciesOf(row.tercet),
    latenciesOf(row.peer),
    row.couchdbStated === undefined ? '' : format(row.couchdbStated),
  ];
}

const headings = [
  ...['measured', 'unit', 'Tercet', 'other', 'which', 'ratio', 'target', 'result'],
  ...['Tercet p50 / p99 ms', 'other p50 / p99 ms', 'CouchDB 3.5*'],
];

/** A table in Markdown with aligned columns. */
function formatTable(rows: readonly Row[]): string {
  const lines = [headings, ...rows.map(cellsOf)];
  const widths = headings.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  const format = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = lines;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [format(head), rule, ...body.map(format)].join('\n');
}

export function formatReport({
  machine,
  commit,
  settings,
  systems,
  rows,
  problems,
  seconds,
}: Report): string {
  const gigabytes = (machine.memoryBytes / 2 ** 30).toFixed(0);
  const busy = machine.loadAverage > 1 ? ' — other programs were running: compare ratios, not figures' : '';
  return [
    formatTable(rows),
    '',
    '* stated for such a machine (fsync before the answer), not measured here',
    `Systems: ${systems.join('; ')}.`,
    `Machine: ${machine.processor}, ${machine.cores} cores, ${gigabytes} GiB, ${machine.system}, Node ${machine.node}.`,
    `Disk: ${machine.disk.fileSystem}, fsync of 4 KiB ${format(machine.disk.fsyncMsMedian)} ms (median), ` +
      `${format(machine.disk.fsyncMsP99)} ms (p99). Load at the start: ${format(machine.loadAverage)}${busy}.`,
    `Commit ${commit.id}${commit.modified ? ' with changes' : ''}; medians of ${settings.rounds} round(s); ` +
      `client in a process of its own; ${format(seconds)} s in all.`,
    ...(settings.fullSize ? [] : ['Quick sizes: absolute targets are not judged.']),
    ...problems.map((problem) => `Problem: ${problem}`),
  ].join('\n');
}

/** Only what was measured in full is worth keeping in the repository; .gitignore leaves the others out. */
function suffixOf({ fullSize, isComplete }: Settings): string {
  if (!fullSize) return '-quick';
  return isComplete ? '' : '-partial';
}

/** Writes the report beside the earlier ones; gives its path. */
export async function writeReport(directory: string, report: Report): Promise<string> {
  const day = report.startedAt.slice(0, 10);
  const path = join(directory, `${day}-${report.commit.id}${suffixOf(report.settings)}.json`);
  await mkdir(directory, { recursive: true });
  await writeFile(path, `${JSON.stringify(report, undefined, 2)}\n`);
  return path;
}
