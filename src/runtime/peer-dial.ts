/** One attempt to open a stream to a peer; see peer-handshake.ts for what is said. */

import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Socket } from 'node:net';
import {
  answerToProve,
  type Invitation,
  type PeerProver,
  peerVersions,
  proofHeader,
  targetOf,
  whyNotProven,
} from './peer-handshake.ts';
import type { Clock } from './ports.ts';

const refusalBytesMax = 4_096;

export interface DialOptions {
  readonly url: string;
  readonly invitation: Invitation;
  readonly prover: PeerProver;
  readonly clock: Clock;
  readonly connectMsMax: number;
}

export type DialOutcome =
  | { readonly kind: 'open'; readonly socket: Socket; readonly head: Buffer }
  /** Somebody answered, and it will not work like this: a person has to do something. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unreachable'; readonly reason: string };

/**
 * @param settled called once, later
 * @returns what gives the attempt up; nothing is called then
 */
export function dialPeer(options: DialOptions, settled: (outcome: DialOutcome) => void): () => void {
  const { url, invitation, prover, clock, connectMsMax } = options;
  const target = targetOf(invitation);
  const proof = prover.prove({ method: 'GET', target });
  const request = (url.startsWith('https:') ? requestHttps : requestHttp)(`${url}${target}`, {
    agent: false,
    headers: { Connection: 'Upgrade', Upgrade: peerVersions.join(', '), [proofHeader]: proof },
  });
  let isSettled = false;
  const cancelDeadline = clock.after(connectMsMax, () =>
    settle({ kind: 'unreachable', reason: `no answer within ${connectMsMax} ms` }),
  );
  function settle(outcome: DialOutcome | undefined): void {
    if (isSettled) return;
    isSettled = true;
    cancelDeadline();
    if (outcome?.kind !== 'open') request.destroy();
    if (outcome !== undefined) settled(outcome);
  }
  request.on('upgrade', (answer, socket, head) => {
    const reason = whyNotTrusted(answer, { proof, to: invitation.to, prover });
    if (reason === undefined && !isSettled) return settle({ kind: 'open', socket: socket as Socket, head });
    // Node took its own listeners off; an error of a socket that nobody wants must not end the process.
    socket.on('error', () => undefined);
    socket.destroy();
    if (reason !== undefined) settle({ kind: 'refused', reason });
  });
  request.on('response', (answer) => readRefusal(answer, (reason) => settle({ kind: 'refused', reason })));
  request.on('error', (error: NodeJS.ErrnoException) =>
    settle({ kind: 'unreachable', reason: error.code ?? error.message }),
  );
  request.end();
  return () => settle(undefined);
}

function whyNotTrusted(
  { statusCode, headers }: IncomingMessage,
  { proof, to, prover }: { readonly proof: string; readonly to: string; readonly prover: PeerProver },
): string | undefined {
  if (statusCode !== 101 || !peerVersions.includes(headers.upgrade ?? ''))
    return 'It is not a node of Tercet.';
  const answered = headers[proofHeader];
  const outcome = prover.check(typeof answered === 'string' ? answered : '', answerToProve(proof));
  if (outcome.kind !== 'proven') return whyNotProven(outcome);
  return outcome.node === to ? undefined : `It is ${outcome.node}, not ${to}.`;
}

function readRefusal(answer: IncomingMessage, done: (reason: string) => void): void {
  let text = '';
  answer.setEncoding('utf8');
  answer.on('data', (chunk: string) => {
    text += chunk;
    if (text.length > refusalBytesMax) answer.destroy();
  });
  // Cut off in the middle: 'close' follows, and what has come so far is the reason.
  answer.on('error', () => answer.destroy());
  answer.on('close', () => done(`${answer.statusCode}: ${reasonIn(text)}`));
}

function reasonIn(text: string): string {
  try {
    const { reason } = JSON.parse(text) as { reason?: unknown };
    return typeof reason === 'string' ? reason : 'no reason was given';
  } catch {
    return 'it is not a node of Tercet, or of a version without streams between nodes';
  }
}
