import { afterEach, expect, it } from 'vitest';
import { systemClock } from '../runtime/system-clock.ts';
import type { ToldDigest } from './answer-codec.ts';
import type { Reply } from './call-batches.ts';
import { ReadRound, type ReadRoundContext } from './read-round.ts';
import { closeReplicaNodes, startReplicas } from './test-replicas.ts';

afterEach(closeReplicaNodes);

/** A read of all three by n1, of a document that nobody has. */
async function begun(isMember: (node: string) => boolean) {
  const [n1] = await startReplicas(3, { r: 3, w: 1 });
  const set = n1!.replicas.sets.of('carts')!;
  const asked = new Map<string, (reply: Reply<ToldDigest>) => void>();
  const decided: unknown[] = [];
  const context = {
    ...{ self: 'n1', clock: systemClock, isMember },
    caller: {
      digest: (to: string, _name: unknown, done: (reply: Reply<ToldDigest>) => void) => asked.set(to, done),
    },
    liveness: { preferred: (nodes: readonly string[]) => nodes, patienceMs: () => 10_000 },
  } as unknown as ReadRoundContext;
  const round = new ReadRound(context, { set, settings: set.settings, id: 'c1' }, ({ kind, from }) =>
    decided.push([kind, from]),
  );
  round.begin();
  const answers = [{ kind: 'no_document' } as const];
  const tell = (node: string) => asked.get(node)!({ kind: 'answered', answers, elapsedMs: 1 });
  return { decided, tell };
}

it('is decided when all who were asked say the same', async () => {
  const { decided, tell } = await begun(() => true);
  tell('n2');
  tell('n3');
  expect(decided).toEqual([['agreed', ['n1', 'n2', 'n3']]]);
});

it('does not count what one said that was taken out of the cluster before the others did', async () => {
  const out = new Set<string>();
  const { decided, tell } = await begun((node) => !out.has(node));
  tell('n2');
  out.add('n2');
  tell('n3');
  expect(decided).toEqual([['unreached', ['n1', 'n3']]]);
});

it('does not count what one says that was taken out of the cluster meanwhile', async () => {
  const out = new Set<string>();
  const { decided, tell } = await begun((node) => !out.has(node));
  tell('n2');
  out.add('n3');
  tell('n3');
  expect(decided).not.toEqual([['agreed', ['n1', 'n2', 'n3']]]);
});
