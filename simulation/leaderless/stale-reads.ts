/**
 * How often a read misses the last acknowledged write where R + W ≤ N, by how long after the acknowledgement it began.
 *
 * One write, then reads, again and again, through the production coordinators over links whose delays are drawn anew for
 * every message (the WARS model of Bailis et al., Probabilistically Bounded Staleness, 2012). Coordinators are replicas drawn
 * at random; a read asks R of them, its own first. Nothing fails and nothing is repaired: this is what the counts alone give.
 */

import type { Revision } from '../../src/document/revision.ts';
import type { HeldRevision } from '../../src/leaderless/held-revisions.ts';
import {
  addReadReply,
  type ReadState,
  type ReadStep,
  readOutcome,
  startRead,
} from '../../src/leaderless/read-coordinator.ts';
import {
  addWriteReply,
  startWrite,
  type WriteState,
  writeOutcome,
} from '../../src/leaderless/write-coordinator.ts';
import { digestOfLeaves } from '../../src/replication/hash-buckets.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import type { SeededRandom } from '../random.ts';
import { microsecondsOf, World } from '../world.ts';

export interface Counts {
  readonly n: number;
  readonly r: number;
  readonly w: number;
}

export interface Delays {
  readonly name: string;
  /** One way of one message, in milliseconds; a write's includes the disk. */
  readonly message: (random: SeededRandom) => number;
  readonly write: (random: SeededRandom) => number;
}

export interface StaleRow extends Counts {
  readonly delays: string;
  /** From the acknowledgement to the beginning of the read. */
  readonly afterMs: number;
  readonly stale: number;
  readonly reads: number;
}

const steady = (random: SeededRandom) => 0.2 + random.next() * 1.3;
/** A long tail without a logarithm, whose last digit machines do not agree on: half of all are below twice the least. */
const tailed = (least: number, most: number) => (random: SeededRandom) =>
  Math.min(most, least / (1 - random.next()));

export const allDelays: readonly Delays[] = [
  {
    name: 'steady links: 0.2 to 1.5 ms',
    message: steady,
    write: (random) => steady(random) + 0.2 + random.next() * 1.8,
  },
  {
    name: 'long tails: from 0.5 ms, 1 in 100 over 50 ms',
    message: tailed(0.5, 100),
    write: tailed(0.5, 100),
  },
  { name: 'slow disks: writes from 2 ms, 1 in 20 over 40 ms', message: steady, write: tailed(2, 400) },
];

export const allCounts: readonly Counts[] = [
  { n: 3, r: 1, w: 1 },
  { n: 3, r: 1, w: 2 },
  { n: 3, r: 2, w: 1 },
  { n: 3, r: 2, w: 2 },
  { n: 5, r: 1, w: 1 },
  { n: 5, r: 2, w: 2 },
];

export const timesMs: readonly number[] = [0, 0.5, 1, 2, 4, 8, 16, 32, 64];

const old: HeldRevision = heldAt(1, ['old']);
const written: HeldRevision = heldAt(2, ['new', 'old']);

export function measureStaleReads(seed: number, trials: number): readonly StaleRow[] {
  return allDelays.flatMap((delays, index) =>
    allCounts.flatMap((counts) => {
      const stale = timesMs.map(() => 0);
      const random = new World(seed).random.fork(`${index} ${counts.n} ${counts.r} ${counts.w}`);
      for (let trial = 0; trial < trials; trial += 1) {
        for (const [place, isStale] of staleReadsOfTrial(counts, delays, random).entries()) {
          if (isStale) stale[place]! += 1;
        }
      }
      return timesMs.map((afterMs, place) => {
        return { ...counts, delays: delays.name, afterMs, stale: stale[place]!, reads: trials };
      });
    }),
  );
}

/** Of one write, whether each of the reads after it missed it. */
function staleReadsOfTrial(counts: Counts, delays: Delays, random: SeededRandom): readonly boolean[] {
  const world = new World(random.word());
  const owners = Array.from({ length: counts.n }, (_, index) => `n${index + 1}`);
  const has = new Set<string>();
  const stale: boolean[] = [];
  write({ world, owners, counts, delays, random, has }, () => {
    for (const [place, afterMs] of timesMs.entries()) {
      world.after(microsecondsOf(afterMs), () => {
        read({ world, owners, counts, delays, random, has }, (isStale) => {
          stale[place] = isStale;
        });
      });
    }
  });
  world.runUntil(Number.MAX_SAFE_INTEGER, () => timesMs.every((_, place) => stale[place] !== undefined));
  return stale;
}

interface Trial {
  readonly world: World;
  readonly owners: readonly string[];
  readonly counts: Counts;
  readonly delays: Delays;
  readonly random: SeededRandom;
  /** Who has the write by now. */
  readonly has: Set<string>;
}

function write({ world, owners, counts, delays, random, has }: Trial, acknowledged: () => void): void {
  const self = random.pick(owners);
  const step = startWrite({ owners, standIns: [], w: counts.w, pw: 0, quorum: 'strict', suspected: [] });
  let state: WriteState = step.state;
  const durable = (from: string) => {
    const wasOpen = writeOutcome(state).kind === 'open';
    state = addWriteReply(state, { from, kind: 'durable' }).state;
    if (wasOpen && writeOutcome(state).kind === 'met') acknowledged();
  };
  for (const { to } of step.sends) {
    world.after(microsecondsOf(delays.write(random)), () => {
      has.add(to);
      world.after(to === self ? 0 : microsecondsOf(delays.message(random)), () => durable(to));
    });
  }
}

function read(
  { world, owners, counts, delays, random, has }: Trial,
  answered: (isStale: boolean) => void,
): void {
  const asked = random.sample(owners, owners.length);
  const plan = {
    owners: asked,
    standIns: [],
    r: counts.r,
    pr: 0,
    quorum: 'strict',
    readRepair: 'off',
    digests: false,
  } as const;
  const take = ({ state, asks }: ReadStep<HeldRevision>): void => {
    current = state;
    for (const { to } of asks) {
      const way = () => (to === asked[0] ? 0 : microsecondsOf(delays.message(random)));
      world.after(way(), () => {
        const held = has.has(to) ? written : old;
        const digest = digestOfLeaves([held.revision], digest128);
        world.after(way(), () =>
          take(addReadReply(current, { kind: 'full', from: to, digest, held: [held] })),
        );
      });
    }
    const outcome = readOutcome(current);
    if (outcome.kind === 'answered') answered(!outcome.leaves.includes(written));
  };
  let current: ReadState<HeldRevision>;
  take(startRead(plan, digest128));
}

function heldAt(start: number, ids: readonly string[]): HeldRevision {
  return { revision: `${start}-${ids[0]}` as Revision, deleted: false, path: { start, ids } };
}
