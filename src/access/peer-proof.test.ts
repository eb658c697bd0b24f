import { expect, test } from 'vitest';
import { peerProofs, provePeer } from './peer-proof.ts';
import { testClock } from './test-clock.ts';

const secret = 'the secret of the cluster';
const request = { method: 'GET', target: '/calendar/_changes?since=0' };

test('a node that has the secret is known by its name', () => {
  const clock = testClock();
  expect(peerProofs(secret, clock).check(provePeer(secret, 'n2', request, clock.now()), request)).toEqual({
    kind: 'proven',
    node: 'n2',
  });
});

test('a proof is good once', () => {
  const clock = testClock();
  const proofs = peerProofs(secret, clock);
  const proof = provePeer(secret, 'n2', request, clock.now());
  expect(proofs.check(proof, request).kind).toBe('proven');
  clock.advance(59_999);
  expect(proofs.check(proof, request).kind).toBe('refused');
});

test('a proof is good for no other request, node or secret', () => {
  const clock = testClock();
  const proofs = peerProofs(secret, clock);
  const proof = provePeer(secret, 'n2', request, clock.now());
  expect(proofs.check(proof, { ...request, method: 'DELETE' }).kind).toBe('refused');
  expect(proofs.check(proof, { ...request, target: '/_users' }).kind).toBe('refused');
  expect(proofs.check(proof.replace('n2', 'n3'), request).kind).toBe('refused');
  expect(peerProofs('another secret', clock).check(proof, request).kind).toBe('refused');
  expect(proofs.check(proof, request).kind).toBe('proven');
});

test('a proof from another time is refused with the difference of the clocks', () => {
  const clock = testClock();
  const proofs = peerProofs(secret, clock);
  clock.advance(120_000);
  const at = (ms: number) => proofs.check(provePeer(secret, 'n2', request, clock.now() + ms), request);
  expect(at(60_000).kind).toBe('proven');
  expect(at(-60_000).kind).toBe('proven');
  expect(at(60_001)).toEqual({ kind: 'clocks_differ', differenceMs: 60_001 });
  expect(at(-90_000)).toEqual({ kind: 'clocks_differ', differenceMs: -90_000 });
});

test('a restart makes no proof good again', () => {
  const clock = testClock();
  const used = provePeer(secret, 'n2', request, clock.now());
  expect(peerProofs(secret, clock).check(used, request).kind).toBe('proven');
  clock.advance(1_500);
  const restarted = peerProofs(secret, clock);
  expect(restarted.check(used, request)).toEqual({ kind: 'before_start', waitMs: 1_500 });
  expect(restarted.check(provePeer(secret, 'n2', request, clock.now()), request).kind).toBe('proven');
});

test('a node whose clock was ahead when it started takes proofs as soon as it is set right, and none from before', () => {
  const clock = testClock();
  const used = provePeer(secret, 'n2', request, clock.now());
  clock.advance(10_000);
  clock.set(7_200_000);
  const proofs = peerProofs(secret, clock);
  const now = () => proofs.check(provePeer(secret, 'n2', request, clock.now()), request).kind;
  clock.advance(5_000);
  clock.set(-7_200_000);
  expect(now()).toBe('proven');
  expect(proofs.check(used, request)).toEqual({ kind: 'before_start', waitMs: 10_000 });
  clock.set(3_600_000);
  expect(now()).toBe('proven');
});

test.each(['', 'n2', 'n2 1 2 3', `n2 ${'9'.repeat(40)} ${'a'.repeat(16)} ${'b'.repeat(43)}`, 'Basic YTpi'])(
  '"%s" is no proof',
  (header) => {
    expect(peerProofs(secret, testClock()).check(header, request).kind).toBe('refused');
  },
);

test('a proof from the edge of the window is not good again when nonces are forgotten', () => {
  const clock = testClock();
  const proofs = peerProofs(secret, clock);
  const early = provePeer(secret, 'n2', request, clock.now() + 60_000);
  expect(proofs.check(early, request).kind).toBe('proven');
  for (const step of [30_000, 30_000, 30_000, 30_000]) {
    clock.advance(step);
    expect(proofs.check(provePeer(secret, 'n2', request, clock.now()), request).kind).toBe('proven');
    expect(proofs.check(early, request).kind).toBe('refused');
  }
});

test('under more proofs than can be remembered old ones are refused, never taken twice', () => {
  const clock = testClock();
  const proofs = peerProofs(secret, clock, 100);
  const first = provePeer(secret, 'n2', request, clock.now());
  expect(proofs.check(first, request).kind).toBe('proven');
  clock.advance(1);
  for (let index = 0; index < 201; index += 1) {
    expect(proofs.check(provePeer(secret, 'n2', request, clock.now()), request).kind).toBe('proven');
    if (index === 150) clock.advance(1);
  }
  expect(proofs.check(first, request).kind).toBe('refused');
});
