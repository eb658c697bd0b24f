/**
 * How nodes prove themselves to each other with a shared secret, over connections that may be plain HTTP.
 *
 *   Tercet-Peer: <node> <time, ms> <nonce> <HMAC-SHA256 of node, time, nonce, method, target and on whose behalf>
 *
 * The secret itself never travels. A proof is good for one request, at this method and target, within a minute of its
 * time, and once: a node remembers the nonces of that minute. When more of them arrive than it remembers, it moves the
 * oldest time that it accepts forward instead of forgetting. Of what was used before it started it knows nothing, so it
 * takes nothing that was made before; a peer whose clock is behind is asked to wait for as long.
 *
 * What is left out: the body is not covered, because it is streamed, and nothing is encrypted. Who can read and change
 * the traffic between nodes can read and change documents; across networks that others use, put TLS in between.
 */

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../runtime/ports.ts';

export const peerProofHeader = 'tercet-peer';

const windowMs = 60_000;
const noncesMaxDefault = 100_000;

export interface ProvenRequest {
  readonly method: string;
  /** Path and query as on the request line. */
  readonly target: string;
  /** The header of on-behalf-of.ts, where the request has one. */
  readonly onBehalfOf?: string | undefined;
}

export type PeerProofOutcome =
  | { readonly kind: 'proven'; readonly node: string }
  /** Not made with this cluster's secret, not for this request, or seen before. */
  | { readonly kind: 'refused' }
  /** Genuine, but from before this node started, so it may have been used already. */
  | { readonly kind: 'before_start'; readonly waitMs: number }
  /** Genuine, but its time is too far from ours: the nodes' clocks differ. */
  | { readonly kind: 'clocks_differ'; readonly differenceMs: number };

/** Makes the value of the `Tercet-Peer` header for one request. */
export function provePeer(secret: string, node: string, request: ProvenRequest, nowMs: number): string {
  const claim = `${node} ${nowMs} ${randomBytes(12).toString('base64url')}`;
  return `${claim} ${sign(secret, claim, request).toString('base64url')}`;
}

export interface PeerProofs {
  check(header: string, request: ProvenRequest): PeerProofOutcome;
}

export function peerProofs(secret: string, clock: Clock, noncesMax = noncesMaxDefault): PeerProofs {
  const nonces = openNonces(noncesMax);
  const startedAtMonotonic = clock.monotonic();
  // By the clock as it is now: one that was ahead and is set right would make proofs wait until it is that late again.
  const startedAt = () => Math.floor(clock.now() - (clock.monotonic() - startedAtMonotonic));
  return {
    check(header, request) {
      const match = /^(([\w.-]{1,63}) (\d{1,15}) [\w-]{16}) ([\w-]{43})$/.exec(header);
      if (match === null) return { kind: 'refused' };
      const [, claim = '', node = '', time = '', signature = ''] = match;
      if (!timingSafeEqual(sign(secret, claim, request), Buffer.from(signature, 'base64url')))
        return { kind: 'refused' };
      const differenceMs = Number(time) - clock.now();
      if (Math.abs(differenceMs) > windowMs) return { kind: 'clocks_differ', differenceMs };
      const waitMs = startedAt() - Number(time);
      if (waitMs > 0) return { kind: 'before_start', waitMs };
      return nonces.isFirst(claim, Number(time), clock.now())
        ? { kind: 'proven', node }
        : { kind: 'refused' };
    },
  };
}

function sign(secret: string, claim: string, { method, target, onBehalfOf }: ProvenRequest): Buffer {
  const behalf = onBehalfOf === undefined ? '' : `\n${onBehalfOf}`;
  return createHmac('sha256', `tercet peer ${secret}`)
    .update(`${claim}\n${method}\n${target}${behalf}`)
    .digest();
}

/** Remembers what was seen in two generations, so that forgetting costs nothing; bounded by `noncesMax` each. */
function openNonces(noncesMax: number) {
  let recent = new Set<string>();
  let older = new Set<string>();
  let newestTime = 0;
  let newestOfOlder = 0;
  let acceptedFrom = 0;
  let rotatedAt = 0;
  return {
    isFirst(claim: string, time: number, now: number): boolean {
      // A proof may be a window early and is good until a window late, so a generation lives for two windows.
      if (now - rotatedAt > 2 * windowMs || recent.size >= noncesMax) {
        const isEarly = now - rotatedAt <= 2 * windowMs;
        if (isEarly) acceptedFrom = Math.max(acceptedFrom, newestOfOlder + 1);
        older = recent;
        newestOfOlder = newestTime;
        recent = new Set();
        rotatedAt = now;
      }
      if (time < acceptedFrom || recent.has(claim) || older.has(claim)) return false;
      recent.add(claim);
      newestTime = Math.max(newestTime, time);
      return true;
    },
  };
}
