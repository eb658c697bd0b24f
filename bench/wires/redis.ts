/** Redis: every SET is followed by a WAIT for one replica in the same write, and both must succeed. */

import type { Address } from '../http-connection.ts';
import { AnsweringSocket } from './socket.ts';
import type { Wire } from './wire.ts';

const replicaWaitMs = 1_000;

export async function openRedisWire(address: Address): Promise<Wire> {
  const socket = await AnsweringSocket.open(address, endOfAnswer);
  const waitForReplica = command('WAIT', '1', String(replicaWaitMs));
  return {
    put: async (key, value) => {
      const answer = (await socket.ask(command('SET', key, value) + waitForReplica)).toString('latin1');
      if (answer !== '+OK\r\n:1\r\n') throw new Error(`Redis answered ${JSON.stringify(answer)}`);
    },
    get: async (key) => {
      const answer = await socket.ask(command('GET', key));
      // Documents have no line ends in them, so a value is one line after its length.
      if (answer[0] !== 0x24) throw new Error(`Redis answered ${answer.toString('latin1')}`);
    },
    close: () => socket.close(),
  };
}

function command(...words: readonly string[]): string {
  const shown = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${words.length}\r\n${shown.join('')}`;
}

/** Both answers have two lines (`+OK` and `:1`; a length and a value), but an error or a missing value has one. */
function endOfAnswer(bytes: Buffer): number | undefined {
  const first = bytes.indexOf('\r\n');
  if (first < 0) return undefined;
  if (bytes[0] === 0x2d || bytes.toString('latin1', 0, first) === '$-1') return first + 2;
  const second = bytes.indexOf('\r\n', first + 2);
  return second < 0 ? undefined : second + 2;
}
