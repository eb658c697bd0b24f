import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { detectorDefaults, FailureDetector } from './failure-detector.ts';

/** Heartbeats of n1 at these intervals; gives the time of the last one. */
function beating(detector: FailureDetector, intervals: readonly number[]): number {
  let now = 0;
  detector.add('n1', now);
  for (const interval of [0, ...intervals]) {
    now += interval;
    detector.heartbeat('n1', now);
  }
  return now;
}

const steady = Array.from({ length: 50 }, (_, index) => (index % 2 === 0 ? 950 : 1_050));
const ragged = Array.from({ length: 50 }, (_, index) => (index % 2 === 0 ? 300 : 1_700));

describe('phi', () => {
  it('is low while heartbeats come, and grows with the silence', () => {
    const detector = new FailureDetector(detectorDefaults);
    const last = beating(detector, steady);
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(100_000), (a, b) => {
        const [less, more] = a <= b ? [a, b] : [b, a];
        expect(detector.phi('n1', last + less)).toBeLessThanOrEqual(detector.phi('n1', last + more));
      }),
    );
    expect(detector.phi('n1', last + 1_000)).toBeLessThan(1);
    expect(detector.phi('n1', last + 2_000)).toBeGreaterThan(detectorDefaults.phiMax);
  });

  it('gives a peer more time whose heartbeats come irregularly', () => {
    const [calm, wild] = [new FailureDetector(detectorDefaults), new FailureDetector(detectorDefaults)];
    const silence = 2_500;
    expect(calm.verdict('n1', beating(calm, steady) + silence)).toBe('suspected');
    expect(wild.verdict('n1', beating(wild, ragged) + silence)).toBe('alive');
  });

  it('suspects a peer that was never heard of, after a while', () => {
    const detector = new FailureDetector(detectorDefaults);
    detector.add('n1', 0);
    expect(detector.verdict('n1', 1_000)).toBe('alive');
    expect(detector.verdict('n1', 60_000)).toBe('suspected');
  });

  it('trusts at once who is heard again, and learns nothing from the outage', () => {
    const detector = new FailureDetector(detectorDefaults);
    const back = beating(detector, steady) + 3_600_000;
    expect(detector.verdict('n1', back)).toBe('suspected');
    detector.heartbeat('n1', back);
    expect(detector.verdict('n1', back)).toBe('alive');
    expect(detector.verdict('n1', back + 2_500)).toBe('suspected');
  });

  it('takes an answer for a sign of life', () => {
    const detector = new FailureDetector(detectorDefaults);
    const last = beating(detector, steady);
    detector.answered('n1', 5, last + 2_400);
    expect(detector.verdict('n1', last + 2_500)).toBe('alive');
  });
});

describe('slow is not dead', () => {
  function threePeers(): FailureDetector {
    const detector = new FailureDetector(detectorDefaults);
    for (const peer of ['n1', 'n2', 'n3']) detector.add(peer, 0);
    for (let count = 0; count < 20; count += 1) {
      detector.answered('n1', 200, 0);
      detector.answered('n2', 2, 0);
      detector.answered('n3', 3, 0);
    }
    return detector;
  }

  it('calls slow who answers much later than the others', () => {
    const detector = threePeers();
    expect(['n1', 'n2', 'n3'].map((peer) => detector.verdict(peer, 0))).toEqual(['slow', 'alive', 'alive']);
  });

  it('asks the fast first, the slow then, the dead last', () => {
    const detector = threePeers();
    detector.add('n4', -60_000);
    expect(detector.preferred(['n4', 'n1', 'n3', 'n2'], 0)).toEqual(['n2', 'n3', 'n1', 'n4']);
  });

  it('calls an answer late by what the peer itself is used to', () => {
    const detector = threePeers();
    const bounds = { msMin: 10, msMax: 1_000 };
    expect(detector.lateAfterMs('n1', bounds)).toBe(300);
    expect(detector.lateAfterMs('n2', bounds)).toBe(10);
    expect(detector.lateAfterMs('unheard', bounds)).toBe(1_000);
  });

  it('forgets a peer that is not watched any more', () => {
    const detector = threePeers();
    detector.remove('n1');
    expect(detector.latencyMs('n1')).toBe(0);
    expect(detector.phi('n1', 1_000_000)).toBe(0);
  });
});
