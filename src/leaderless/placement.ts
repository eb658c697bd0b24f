/**
 * Which nodes hold a database, found without asking anybody.
 *
 * Rendezvous hashing (Thaler and Ravishankar, 1998): every node's name is hashed together with the database's, and the
 * nodes stand in the order of what comes out.
 *
 *     carts:  n3 (07…)  n1 (5c…)  n5 (91…) │ n2 (b0…)  n4 (e8…)
 *             └──────── owners, N = 3 ────┘   └ stand-ins, first n2
 *
 * All nodes find the same order, another database has another one, and when a node comes or goes only its own place
 * changes: at most one owner is another. Placement is by name, so a node whose disk was wiped owns what it owned.
 */

import type { Digest } from '../document/revision.ts';

export interface Placement {
  /** Hold the database; the first that answers need not be the first here. */
  readonly owners: readonly string[];
  /** May take a write for an owner that does not answer, in this order. */
  readonly standIns: readonly string[];
}

export interface PlacementQuestion {
  /** Names the database for as long as it exists: the same on all nodes. */
  readonly database: string;
  /** Names of all nodes, in any order. */
  readonly nodes: readonly string[];
  /** How many are owners. */
  readonly n: number;
}

const encoder = new TextEncoder();

export function placementOf({ database, nodes, n }: PlacementQuestion, digest: Digest): Placement {
  const scored = nodes.map((node) => ({
    node,
    score: digest(encoder.encode(JSON.stringify([database, node]))),
  }));
  scored.sort((a, b) => compareTexts(a.score, b.score) || compareTexts(a.node, b.node));
  const ordered = scored.map(({ node }) => node);
  return { owners: ordered.slice(0, n), standIns: ordered.slice(n) };
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
