/**
 * Settings of a leaderless database: the ways of four known systems as starting points, and what a person may ask for.
 *
 *     preset      siblings          quorum  read repair  anti-entropy
 *     dynamo      kept              sloppy  async        yes
 *     riak        kept              sloppy  async        yes
 *     cassandra   last write wins   strict  blocking     yes
 *     voldemort   kept              strict  async        no: what is never read stays unrepaired
 *
 * All of them keep three copies and ask for a majority of reads and writes, and all keep hints. Where a quorum is sloppy, hints
 * on stand-ins count for W; where it is strict they never do.
 */

import { failure } from '../errors.ts';
import type { LeaderlessPreset, LeaderlessSettings } from '../replication/leaderless-settings.ts';
import { majorityOf } from '../replication/quorum.ts';

type Ways = Pick<LeaderlessSettings, 'quorum' | 'resolver' | 'hints' | 'readRepair' | 'antiEntropy'>;

export const presets: Readonly<Record<LeaderlessPreset, Ways>> = {
  dynamo: { quorum: 'sloppy', resolver: 'siblings', hints: true, readRepair: 'async', antiEntropy: true },
  riak: { quorum: 'sloppy', resolver: 'siblings', hints: true, readRepair: 'async', antiEntropy: true },
  cassandra: {
    quorum: 'strict',
    resolver: 'last-write-wins',
    hints: true,
    readRepair: 'blocking',
    antiEntropy: true,
  },
  voldemort: { quorum: 'strict', resolver: 'siblings', hints: true, readRepair: 'async', antiEntropy: false },
};

export const replicasDefault = 3;
const hourMs = 3_600_000;
export const timesDefault = {
  readTimeoutMs: 2_000,
  writeTimeoutMs: 5_000,
  hintWindowMs: 3 * hourMs,
  tombstoneHorizonMs: 30 * 24 * hourMs,
};

/**
 * The settings of a new database in a cluster of so many nodes, from what was asked for; everything else is the
 * preset's. `n` follows the cluster up to three, `r` and `w` are majorities of `n`.
 * @throws TercetError `bad_request` when numbers cannot be met together
 */
export function settingsFrom(wishes: Partial<LeaderlessSettings>, nodes: number): LeaderlessSettings {
  const preset = wishes.preset ?? 'dynamo';
  const n = wishes.n ?? Math.min(replicasDefault, nodes);
  const majority = majorityOf(n);
  const counts = {
    n,
    r: wishes.r ?? majority,
    w: wishes.w ?? majority,
    pr: wishes.pr ?? 0,
    pw: wishes.pw ?? 0,
  };
  const given = Object.fromEntries(Object.entries(wishes).filter(([, value]) => value !== undefined));
  const settings: LeaderlessSettings = { preset, ...presets[preset], ...timesDefault, ...given, ...counts };
  if (n > nodes)
    throw failure('bad_request', `n=${n} replicas need as many nodes; the cluster has ${nodes}.`);
  checkSettings(settings);
  return settings;
}

/** @throws TercetError `bad_request` */
function checkSettings(settings: LeaderlessSettings): void {
  const { n } = settings;
  if (!isCount(n, 1)) throw failure('bad_request', 'n must be a whole number from 1 on.');
  for (const name of ['r', 'w', 'pr', 'pw'] as const) {
    const least = name === 'r' || name === 'w' ? 1 : 0;
    if (!isCount(settings[name], least) || settings[name] > n) {
      throw failure('bad_request', `${name} must be a whole number from ${least} to n=${n}.`);
    }
  }
  const timed = ['readTimeoutMs', 'writeTimeoutMs', 'hintWindowMs', 'tombstoneHorizonMs'] as const;
  for (const name of timed) {
    if (!isCount(settings[name], 1)) {
      throw failure('bad_request', `${name} must be a whole number of milliseconds from 1 on.`);
    }
  }
}

/** The counts of one request: those it names, else the database's. */
export interface QuorumWishes {
  readonly n?: number | undefined;
  readonly r?: number | undefined;
  readonly w?: number | undefined;
  readonly pr?: number | undefined;
  readonly pw?: number | undefined;
}

/**
 * What one request gets. Its `n` may only repeat the database's: fewer owners would not be the ones that others ask.
 * @throws TercetError `bad_request`
 */
export function settingsOfRequest(settings: LeaderlessSettings, wishes: QuorumWishes): LeaderlessSettings {
  if (wishes.n !== undefined && wishes.n !== settings.n) {
    throw failure('bad_request', `This database has n=${settings.n} replicas; a request cannot change that.`);
  }
  const { r = settings.r, w = settings.w, pr = settings.pr, pw = settings.pw } = wishes;
  // Most requests wish for nothing.
  if (r === settings.r && w === settings.w && pr === settings.pr && pw === settings.pw) return settings;
  const changed = { ...settings, r, w, pr, pw };
  checkSettings(changed);
  return changed;
}

/** Whether every read of this kind meets every acknowledged write in at least one replica. */
export function overlaps({ n, r, w, pr, pw, quorum }: LeaderlessSettings): boolean {
  return quorum === 'strict' ? r + w > n : pr + pw > n;
}

function isCount(value: number, least: number): boolean {
  return Number.isSafeInteger(value) && value >= least;
}
