/**
 * How a stream between two nodes begins: an HTTP upgrade, after which the connection carries frames.
 *
 *   n1 → n2   GET /_peer?from=n1&to=n2&cluster=<uuid>&process=<hex> HTTP/1.1
 *             Connection: Upgrade          Upgrade: tercet-peer/1
 *             Tercet-Peer: <n1's proof of this method and target>
 *   n2 → n1   HTTP/1.1 101 Switching Protocols
 *             Connection: Upgrade          Upgrade: tercet-peer/1
 *             Tercet-Peer: <n2's proof of n1's proof>
 *
 * Both ends prove that they have the secret: who listens at a peer's address without it learns no document. `to` and
 * `cluster` are for mistakes: a list of peers with two addresses swapped, two clusters that were given the same secret. So is
 * `process`, which is another one at every start: two nodes that run under one name would take each other's streams away, again and
 * again, and to everybody they would look like one that loses its connections.
 *
 * Versions: the dialling node names all that it speaks, best first; the other takes the first that it speaks too, or
 * answers 426 with its own.
 */

import { STATUS_CODES } from 'node:http';

const peerPath = '/_peer';
export const peerVersions: readonly string[] = ['tercet-peer/1'];
/** The header of src/access/peer-proof.ts. */
export const proofHeader = 'tercet-peer';

export interface ProvenRequest {
  readonly method: string;
  readonly target: string;
}

/** What src/access/peer-proof.ts does, for the node that this is. */
export interface PeerProver {
  readonly prove: (request: ProvenRequest) => string;
  readonly check: (
    proof: string,
    request: ProvenRequest,
  ) => { readonly kind: 'proven'; readonly node: string } | NotProven;
}

export type NotProven =
  | { readonly kind: 'refused' }
  | { readonly kind: 'before_start'; readonly waitMs: number }
  | { readonly kind: 'clocks_differ'; readonly differenceMs: number };

export interface Invitation {
  readonly from: string;
  readonly to: string;
  /** The cluster's uuid. */
  readonly cluster: string;
  /** Tells the present run of the dialling node from any other of its name. */
  readonly process: string;
}

export function targetOf({ from, to, cluster, process }: Invitation): string {
  return `${peerPath}?${new URLSearchParams({ from, to, cluster, process })}`;
}

/** What the accepting node proves: that it is the one that saw this very invitation. */
export function answerToProve(invitationProof: string): ProvenRequest {
  return { method: '101', target: invitationProof };
}

/** Whether the `Upgrade` header asks for a stream between nodes, in any version. */
export function asksForPeerStream(upgrade: string | undefined): boolean {
  return tokensOf(upgrade).some((token) => token.startsWith('tercet-peer/'));
}

export type Judgement =
  | {
      readonly kind: 'accepted';
      readonly peer: string;
      /** Empty from nodes of before it was told. */
      readonly process: string;
      readonly version: string;
      readonly proof: string;
    }
  | { readonly kind: 'refused'; readonly status: number; readonly error: string; readonly reason: string };

export interface JudgeContext {
  readonly self: string;
  readonly cluster: string;
  readonly prover: PeerProver;
  readonly isPeer: (name: string) => boolean;
  /** Where a node of that name is that runs now and is not this process; undefined: nowhere, as far as is known. */
  readonly otherCalled: (name: string, process: string) => string | undefined;
}

export interface UpgradeRequest {
  readonly method: string;
  readonly target: string;
  readonly upgrade: string | undefined;
  readonly proof: string | undefined;
}

/** Decides about an invitation; who cannot prove anything learns nothing about the node. */
export function judge(request: UpgradeRequest, context: JudgeContext): Judgement {
  const { self, cluster, prover, isPeer } = context;
  const { method, target, upgrade, proof } = request;
  const [path, query = ''] = target.split('?', 2);
  if (method !== 'GET' || path !== peerPath)
    return refused(404, 'not_found', `Peers are met at ${peerPath}.`);
  if (proof === undefined)
    return refused(401, 'unauthorized', 'The peer did not prove that it has the secret.');
  const proven = prover.check(proof, { method, target });
  if (proven.kind !== 'proven') return refused(401, 'unauthorized', whyNotProven(proven));
  const asked = new URLSearchParams(query);
  const from = asked.get('from') ?? '';
  if (from !== proven.node) return refused(401, 'unauthorized', 'The proof is that of another node.');
  if (asked.get('to') !== self)
    return refused(
      409,
      'wrong_node',
      `This is ${self}, not ${shown(asked.get('to'))}: correct the addresses in --peers.`,
    );
  if (asked.get('cluster') !== cluster) {
    const reason = `This cluster is ${cluster}, the peer's is ${shown(asked.get('cluster'))}: give all nodes the same --cluster.`;
    return refused(409, 'wrong_cluster', reason);
  }
  if (!isPeer(from))
    return refused(
      403,
      'forbidden',
      `${self} does not know a peer ${from}: add it with "tercet node add", or to its peers.`,
    );
  const process = asked.get('process') ?? '';
  const other = context.otherCalled(from, process);
  if (other !== undefined)
    return refused(
      409,
      'name_taken',
      `Another node called ${from} is connected to ${self}, from ${other}: give each node a name of its own (--node), or stop one of the two.`,
    );
  const version = tokensOf(upgrade).find((token) => peerVersions.includes(token));
  return version === undefined
    ? refused(
        426,
        'wrong_version',
        `This node speaks ${peerVersions.join(', ')}: update the older of the two.`,
      )
    : { kind: 'accepted', peer: from, process, version, proof };
}

export function whyNotProven(outcome: NotProven): string {
  switch (outcome.kind) {
    case 'refused':
      return 'The proof of the peer is not valid: the nodes need the same secret.';
    case 'before_start':
      return `The node has just started, and the peer's clock is ${Math.ceil(outcome.waitMs / 1_000)} s behind: it is taken after that.`;
    case 'clocks_differ':
      return `The clocks of the two nodes differ by ${Math.round(Math.abs(outcome.differenceMs) / 1_000)} s: set them (NTP).`;
  }
}

export function acceptanceHead(version: string, proof: string): string {
  return headOf(101, ['Connection: Upgrade', `Upgrade: ${version}`, `Tercet-Peer: ${proof}`]);
}

export function refusalAnswer({ status, error, reason }: Extract<Judgement, { kind: 'refused' }>): string {
  const body = `${JSON.stringify({ error, reason })}\n`;
  const versions =
    status === 426
      ? [`Upgrade: ${peerVersions.join(', ')}`, 'Connection: Upgrade, close']
      : ['Connection: close'];
  const headers = [
    ...versions,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return headOf(status, headers) + body;
}

function headOf(status: number, headers: readonly string[]): string {
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...headers, '', ''].join('\r\n');
}

function refused(status: number, error: string, reason: string): Judgement {
  return { kind: 'refused', status, error, reason };
}

/** Part of a log line and of an answer, so kept short. */
function shown(text: string | null): string {
  return JSON.stringify(text?.slice(0, 64) ?? '');
}

function tokensOf(header: string | undefined): string[] {
  return (header ?? '').split(',', 16).map((token) => token.trim().toLowerCase());
}
