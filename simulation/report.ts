/** What a person is told about runs: what failed, the last events before it, and the command that runs it again. */

import type { FailureKind, RunSummary } from './run.ts';
import { renderLine } from './trace.ts';

export const exitCodes: Readonly<Record<FailureKind, number>> = { crash: 10, liveness: 11, correctness: 12 };

const violationsShownMax = 8;
const kindsInWords: Readonly<Record<FailureKind, string>> = {
  crash: 'the code crashed or broke an invariant of its own',
  liveness: 'it came to a standstill',
  correctness: 'it broke a promise',
};

export interface ReplayCommand {
  readonly seed: number;
  readonly seconds: number;
  readonly profile: string;
  readonly nodes: number;
  readonly canary: string | undefined;
}

function replayCommand({ seed, seconds, profile, nodes, canary }: ReplayCommand): string {
  const planted = canary === undefined ? '' : ` --canary ${canary}`;
  return `npm run simulate -- --seed ${seed} --time ${seconds} --profile ${profile} --nodes ${nodes}${planted}`;
}

export interface FailureReport {
  readonly result: RunSummary;
  readonly command: ReplayCommand;
  readonly commit: string;
  readonly traceLines: number;
}

/** Undefined if nothing failed. */
export function renderFailure({ result, command, commit, traceLines }: FailureReport): string | undefined {
  const { failure, world } = result;
  if (failure === undefined) return undefined;
  const shown = failure.violations.slice(0, violationsShownMax);
  const more = failure.violations.length - shown.length;
  // What is known to the millisecond is best understood from what came right before.
  const until = Math.min(...failure.violations.map(({ at }) => at ?? Number.POSITIVE_INFINITY));
  return [
    `seed ${result.seed}: ${kindsInWords[failure.kind]}`,
    ...shown.map(({ checker, message }) => `  ${checker}: ${message}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    '',
    `The last events before it, of ${world.trace.count()} (fingerprint ${world.trace.fingerprint()}):`,
    ...world.trace.last(traceLines, until).map(renderLine),
    '',
    `Run it again, at commit ${commit}:`,
    `  ${replayCommand(command)}`,
  ].join('\n');
}

export interface Totals {
  readonly seeds: number;
  readonly failed: number;
  readonly operations: number;
  readonly events: number;
  readonly simulatedSeconds: number;
  readonly wallSeconds: number;
}

export function renderTotals(totals: Totals): string {
  const { seeds, failed, operations, events, simulatedSeconds, wallSeconds } = totals;
  const speed = wallSeconds === 0 ? 0 : simulatedSeconds / wallSeconds;
  return (
    `${seeds} ${seeds === 1 ? 'seed' : 'seeds'}, ${failed} failed; ${operations} operations, ${events} events; ` +
    `${simulatedSeconds.toFixed(0)} simulated seconds in ${wallSeconds.toFixed(1)} s: ${speed.toFixed(0)} times real time`
  );
}
