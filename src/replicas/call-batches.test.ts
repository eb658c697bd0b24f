import { expect, it } from 'vitest';
import { PeerRequestError } from '../runtime/peer-link.ts';
import { CallBatches } from './call-batches.ts';

interface Sent {
  readonly peer: string;
  readonly items: readonly string[];
  readonly answer: (answers: readonly string[]) => void;
  readonly fail: (error: PeerRequestError) => void;
}

function batches(framesMax?: number) {
  const sent: Sent[] = [];
  const told: string[] = [];
  const calls = new CallBatches<string, string>({
    ...{ gather: 'turn', bytesOf: () => 1, now: () => 0, onReply: () => {} },
    ...(framesMax !== undefined && { framesMax }),
    send: (peer, items) =>
      new Promise((answer, fail) => {
        sent.push({ peer, items, answer, fail });
      }),
    onDefect: (error) => {
      throw error;
    },
  });
  const ask = (peer: string, item: string) =>
    calls.ask(peer, [item], (reply) => told.push(reply.kind === 'answered' ? reply.answers.join() : item));
  const frames = () => sent.map(({ peer, items }) => `${peer} ${items.join('+')}`);
  return { ask, frames, sent, told };
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

it('lets questions wait for the answer to the frame before, and sends them together, whatever that was', async () => {
  const { ask, frames, sent, told } = batches(1);
  ask('n2', 'a');
  ask('n2', 'b');
  await nextTurn();
  ask('n2', 'c');
  ask('n3', 'x');
  await nextTurn();
  ask('n2', 'd');
  await nextTurn();
  expect(frames()).toEqual(['n2 a+b', 'n3 x']);
  sent[0]?.answer(['A', 'B']);
  await nextTurn();
  expect(frames()).toEqual(['n2 a+b', 'n3 x', 'n2 c+d']);
  expect(told).toEqual(['A', 'B']);
  ask('n2', 'e');
  sent[2]?.fail(new PeerRequestError('timed_out', 'unknown', 'no answer'));
  await nextTurn();
  expect(frames().at(-1)).toBe('n2 e');
  expect(told).toEqual(['A', 'B', 'c', 'd']);
});

it('sends a frame in every turn where nothing bounds them', async () => {
  const { ask, frames } = batches();
  for (const item of ['a', 'b']) {
    ask('n2', item);
    await nextTurn();
  }
  expect(frames()).toEqual(['n2 a', 'n2 b']);
});
