/**
 * How a leaderless database reads, writes and repairs, as requests and settings say it. A preset sets the knobs as the
 * system it is named after has them, and each can be set beside it.
 */

import { presets, replicasDefault, timesDefault } from '../leaderless/presets.ts';
import type { LeaderlessPreset, LeaderlessSettings } from '../replication/leaderless-settings.ts';
import { majorityOf } from '../replication/quorum.ts';
import { oneOf, type Parameters, trueOrFalse, wholeNumber } from './parameters.ts';

const presetDefault: LeaderlessPreset = 'dynamo';
const presetNames = Object.keys(presets) as readonly LeaderlessPreset[];
const hour = 3_600_000;
const timeoutMsMax = 600_000;
const yearMs = 365 * 24 * hour;

/** Members of the JSON form, and parameters of the query. */
export const leaderlessNames: readonly string[] = [
  ...['preset', 'n', 'r', 'w', 'pr', 'pw', 'quorum', 'resolver', 'hints', 'read_repair', 'anti_entropy'],
  ...['read_timeout_ms', 'write_timeout_ms', 'hint_window_ms', 'tombstone_horizon_ms'],
];

export interface LeaderlessBase {
  /** How many nodes the cluster has. */
  readonly nodes: number;
  /** What members that are left out stay at; none for a new database. */
  readonly present?: LeaderlessSettings;
}

/** Another preset than the present one sets its ways anew. @throws TercetError as the parameters complain */
export function leaderlessSettings(
  parameters: Parameters,
  { nodes, present }: LeaderlessBase,
): LeaderlessSettings {
  const preset = oneOf(parameters, 'preset', presetNames) ?? present?.preset ?? presetDefault;
  const ways = present?.preset === preset ? present : presets[preset];
  const n =
    replicasOf(parameters, Math.max(nodes, present?.n ?? 0)) ??
    present?.n ??
    Math.min(replicasDefault, nodes);
  const majority = majorityOf(n);
  const upToN = (name: string, min: number) => wholeNumber(parameters, name, { min, max: n });
  const settings: LeaderlessSettings = {
    ...{ preset, n },
    r: upToN('r', 1) ?? present?.r ?? majority,
    w: upToN('w', 1) ?? present?.w ?? majority,
    pr: upToN('pr', 0) ?? present?.pr ?? 0,
    pw: upToN('pw', 0) ?? present?.pw ?? 0,
    quorum: oneOf(parameters, 'quorum', ['strict', 'sloppy']) ?? ways.quorum,
    resolver: oneOf(parameters, 'resolver', ['siblings', 'last-write-wins', 'merge']) ?? ways.resolver,
    hints: trueOrFalse(parameters, 'hints') ?? ways.hints,
    readRepair: oneOf(parameters, 'read_repair', ['off', 'async', 'blocking']) ?? ways.readRepair,
    antiEntropy: trueOrFalse(parameters, 'anti_entropy') ?? ways.antiEntropy,
    ...timesOf(parameters, present),
  };
  mustFit(parameters, settings);
  return settings;
}

/** As `GET /{db}` and `GET /{db}/_replication` show them. */
export function shownLeaderlessSettings(settings: LeaderlessSettings): object {
  const { preset, n, r, w, pr, pw, quorum, resolver, hints } = settings;
  return {
    ...{ preset, n, r, w, pr, pw, quorum, resolver, hints },
    read_repair: settings.readRepair,
    anti_entropy: settings.antiEntropy,
    read_timeout_ms: settings.readTimeoutMs,
    write_timeout_ms: settings.writeTimeoutMs,
    hint_window_ms: settings.hintWindowMs,
    tombstone_horizon_ms: settings.tombstoneHorizonMs,
  };
}

function replicasOf(parameters: Parameters, nodes: number): number | undefined {
  const n = wholeNumber(parameters, 'n', { max: Number.MAX_SAFE_INTEGER });
  if (n !== undefined && n > nodes) {
    throw parameters.complaint(`\`n\` must not exceed the number of nodes, which is ${nodes}.`);
  }
  return n;
}

function timesOf(parameters: Parameters, present: LeaderlessSettings | undefined) {
  const base = present ?? timesDefault;
  const timeout = (name: string) => wholeNumber(parameters, name, { max: timeoutMsMax });
  const window = (name: string) => wholeNumber(parameters, name, { max: yearMs });
  return {
    readTimeoutMs: timeout('read_timeout_ms') ?? base.readTimeoutMs,
    writeTimeoutMs: timeout('write_timeout_ms') ?? base.writeTimeoutMs,
    hintWindowMs: window('hint_window_ms') ?? base.hintWindowMs,
    tombstoneHorizonMs: window('tombstone_horizon_ms') ?? base.tombstoneHorizonMs,
  };
}

/** What was set one after the other may not go together. */
function mustFit({ complaint }: Parameters, settings: LeaderlessSettings): void {
  const { n } = settings;
  for (const name of ['r', 'w', 'pr', 'pw'] as const) {
    if (settings[name] > n)
      throw complaint(`\`${name}\` is ${settings[name]} and must not exceed \`n\`, which is ${n}.`);
  }
  for (const [owners, all] of [
    ['pr', 'r'],
    ['pw', 'w'],
  ] as const) {
    if (settings[owners] > settings[all]) {
      throw complaint(`\`${owners}\` must not exceed \`${all}\`, which is ${settings[all]}.`);
    }
  }
}
