/**
 * What a replica that lost its disk may say before it has again what it once acknowledged.
 *
 *     N = 3, W = 2     a write is on n1 and n2, acknowledged       n2's disk is replaced
 *     R = 2 asks       n2 and n3: neither has it                   R + W > N, and still nobody saw it
 *
 * So an empty replica takes writes, and counts for W with what it takes, but refuses to be asked for R until it has been
 * brought everything from so many others that at least one of them has each acknowledged write: of the N - 1 others
 * at most N - W lack it. Others that are empty themselves do not count.
 */

/** How many replicas that know their own state an empty one must have taken everything from. */
export function peersToRejoin({ n, w }: { readonly n: number; readonly w: number }): number {
  return Math.min(n - 1, n - w + 1);
}

/** Whom an empty replica has taken everything from. */
export interface TakenFrom {
  /** Replicas that know their own state. */
  readonly whole: number;
  /** Those that were empty themselves too. */
  readonly all: number;
}

/** Whether it may count for R again. Where all others were asked, there is nobody left who could have more. */
export function mayCount(settings: { readonly n: number; readonly w: number }, taken: TakenFrom): boolean {
  return taken.whole >= peersToRejoin(settings) || taken.all >= settings.n - 1;
}
