/**
 * What this node knows of the others' health: the failure detector (leaderless/failure-detector.ts), fed by heartbeats and
 * by every answer. It orders whom to ask, and says when an answer is late; nobody is refused for what it says.
 */

import { type DetectorOptions, FailureDetector, type PeerVerdict } from '../leaderless/failure-detector.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Clock } from '../runtime/ports.ts';
import { heartbeatKind } from './replica-kinds.ts';

export interface LivenessOptions {
  readonly peers: () => readonly string[];
  readonly transport: Pick<PeerTransport, 'send' | 'linkState'>;
  readonly clock: Clock;
  readonly detector: DetectorOptions;
  /** The peer is there after it was not: what is kept for it may be brought. */
  readonly onBack: (peer: string) => void;
}

export interface PeerHealth {
  readonly peer: string;
  readonly verdict: PeerVerdict | 'no_link';
  readonly phi: number;
  /** Median of its last answers. */
  readonly latencyMs: number;
}

/** An answer is late neither sooner nor later than this, whatever a peer's answers usually take. */
const patience = { msMin: 10, msMax: 250 };

interface Known {
  readonly health: PeerHealth;
  readonly patienceMs: number;
}

const nothing = new Uint8Array(0);

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #detector: FailureDetector;
  readonly #known = new Map<string, Known>();
  /** The quickest peer comes first. */
  #places: ReadonlyMap<string, number> = new Map();
  #cancelBeat: () => void = () => {};

  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#detector = new FailureDetector(options.detector);
  }

  start(): void {
    this.#beat();
  }

  stop(): void {
    this.#cancelBeat();
  }

  heard(peer: string): void {
    this.#detector.heartbeat(peer, this.#options.clock.monotonic());
    if (this.#known.get(peer)?.health.verdict !== 'alive') this.#judge();
  }

  answered(peer: string, elapsedMs: number): void {
    this.#detector.answered(peer, elapsedMs, this.#options.clock.monotonic());
  }

  /** Probably it does not answer: its link is down, or it has been silent for longer than is its way. */
  isSuspected(peer: string): boolean {
    if (this.#options.transport.linkState(peer).kind !== 'up') return true;
    return this.#known.get(peer)?.health.verdict === 'suspected';
  }

  /** After so long an answer is late. */
  patienceMs(peer: string): number {
    return this.#known.get(peer)?.patienceMs ?? patience.msMax;
  }

  /** Whom to ask first. */
  preferred(nodes: readonly string[]): readonly string[] {
    if (nodes.length < 2) return nodes;
    const places = this.#places;
    const rank = (node: string) =>
      (places.get(node) ?? places.size) + (this.isSuspected(node) ? 1_000_000 : 0);
    return nodes.toSorted((a, b) => rank(a) - rank(b));
  }

  health(): readonly PeerHealth[] {
    this.#judge();
    return [...this.#known.values()].map(({ health }) => health);
  }

  /** What the detector says is worked out once for all requests of a beat: it sorts its samples. */
  #judge(): void {
    const { clock, onBack, peers, transport } = this.#options;
    const nowMs = clock.monotonic();
    const before = new Map(this.#known);
    this.#known.clear();
    for (const peer of peers()) {
      this.#detector.add(peer, nowMs);
      const isLinked = transport.linkState(peer).kind === 'up';
      const verdict = isLinked ? this.#detector.verdict(peer, nowMs) : 'no_link';
      const health: PeerHealth = {
        ...{ peer, verdict, phi: this.#detector.phi(peer, nowMs) },
        latencyMs: this.#detector.latencyMs(peer),
      };
      this.#known.set(peer, { health, patienceMs: this.#detector.lateAfterMs(peer, patience) });
      if (isThere(health) && !isThere(before.get(peer)?.health)) onBack(peer);
    }
    for (const peer of before.keys()) if (!this.#known.has(peer)) this.#detector.remove(peer);
    const order = this.#detector.preferred([...this.#known.keys()], nowMs);
    this.#places = new Map(order.map((peer, place) => [peer, place]));
  }

  #beat(): void {
    const { clock, detector, peers, transport } = this.#options;
    for (const peer of peers()) transport.send(peer, heartbeatKind, nothing);
    this.#judge();
    this.#cancelBeat = clock.after(detector.heartbeatMs, () => this.#beat());
  }
}

function isThere(health: PeerHealth | undefined): boolean {
  return health !== undefined && health.verdict !== 'no_link' && health.verdict !== 'suspected';
}
