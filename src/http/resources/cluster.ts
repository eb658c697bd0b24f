/** `/_cluster`: the group of single-leader databases, and who leads it. */

import type { AckSettings } from '../../database/model.ts';
import { failure, TercetError } from '../../errors.ts';
import { hasBody, holdBody } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { forwardedHeader } from '../forwarder.ts';
import { asObject, member, parseJson } from '../json-guard.ts';
import { flag } from '../query.ts';
import { sendJson } from '../respond.ts';
import type { ClusterServices, ClusterStatus, JsonObject } from '../services.ts';
import { goToLeader } from '../single-leader.ts';
import { changeNodes, removeNode, rounded, showNodes, shownMember } from './cluster-nodes.ts';

const requestBytesMax = 4_096;
const requestDepthMax = 4;
/** An election, or a transfer to one that has to catch up. */
const promotionMsMax = 10_000;

export function showCluster(exchange: Exchange): void {
  const cluster = clusterOf(exchange);
  if (exchange.segments[1] === 'nodes') {
    showNodes(exchange, cluster);
    return;
  }
  if (exchange.segments.length > 1) throw failure('not_found', 'missing');
  const { name } = exchange.services.node;
  const { role, term, leader, kind, hasQuorum, quorum, commit, applied, epochs, members, removal } =
    cluster.status();
  sendJson(exchange, 200, {
    node: name,
    kind: kind ?? null,
    removed: removal ?? null,
    role,
    term,
    leader: leader ?? null,
    has_quorum: hasQuorum ?? null,
    quorum: quorum === undefined ? null : shownQuorum(quorum),
    commit,
    applied,
    membership: cluster.committedMembership() ?? null,
    staleness_ms: rounded(cluster.stalenessMs()),
    leader_choice: cluster.leaderChoice,
    follower_writes: cluster.followerWrites,
    read_lease: cluster.readLease,
    acknowledgement: Object.fromEntries([...cluster.policies()].map(shownPolicy)),
    epochs: epochs.map((epoch) => ({
      term: epoch.term,
      leader: epoch.leader,
      first_index: epoch.firstIndex,
    })),
    nodes: members.map((each) => shownMember(exchange, each, leader)),
  });
}

function shownQuorum({ voters, needed, inTouch }: NonNullable<ClusterStatus['quorum']>): object {
  return { voters, needed, in_touch: inTouch ?? null };
}

function shownPolicy([name, { policy, followers, onTimeout, timeoutMs }]: readonly [string, AckSettings]) {
  const wanted = policy === 'semi-sync' ? { followers } : {};
  return [name, { ack: policy, ...wanted, on_timeout: onTimeout, ack_timeout_ms: timeoutMs }] as const;
}

/** `DELETE /_cluster/nodes/{name}`; nothing else below `/_cluster` can be deleted. */
export function deleteInCluster(exchange: Exchange): Promise<void> {
  const cluster = clusterOf(exchange);
  if (exchange.segments[1] === 'nodes') return removeNode(exchange, cluster);
  throw failure('not_found', 'missing');
}

/** `/_cluster/promote`, `/_cluster/transfer` and `/_cluster/nodes`. */
export function changeCluster(exchange: Exchange): Promise<void> {
  const cluster = clusterOf(exchange);
  const [, action, ...rest] = exchange.segments;
  if (action === 'nodes') return changeNodes(exchange, cluster);
  if (rest.length === 0 && action === 'promote') return promote(exchange, cluster);
  if (rest.length === 0 && action === 'transfer') return transfer(exchange, cluster);
  throw failure('not_found', 'missing');
}

async function promote(exchange: Exchange, cluster: ClusterServices): Promise<void> {
  const wanted = await readWanted(exchange, ['node', 'dry_run', 'force']);
  const node = member(wanted, 'node') ?? exchange.query.get('node');
  if (typeof node !== 'string') throw failure('bad_request', '`node` must be the name of a node.');
  const dryRun = switched(exchange, wanted, 'dry_run');
  const force = switched(exchange, wanted, 'force');
  if (node !== exchange.services.node.name) return askNode(exchange, node);
  sendJson(exchange, 200, await cluster.promote({ dryRun, force }));
}

/** Who is to lead must stand for it, so the request goes there. */
async function askNode(exchange: Exchange, name: string): Promise<void> {
  const { peers } = exchange.services.node;
  const peer = peers.find((each) => each.name === name);
  const { forwarder } = exchange.shared;
  if (peer === undefined || forwarder === undefined || exchange.header(forwardedHeader) !== undefined) {
    const known = [exchange.services.node.name, ...peers.map((each) => each.name)];
    const names = [...new Set(known)].toSorted().join(', ');
    throw failure('not_found', `There is no node ${JSON.stringify(name)} here; there are ${names}.`);
  }
  // There has to be a body, to be held back until that node asks for it.
  exchange.heldBody ??= Buffer.from('{}');
  const forwarded = await forwarder
    .forward(exchange, peer, { answerMsMax: promotionMsMax })
    .catch(unanswered(name));
  if (forwarded.kind === 'not_taken') {
    throw failure('service_unavailable', `The node ${name} cannot be reached; nothing was changed.`);
  }
}

/** A node that was paused before it asked what it is to do is not told any more; one that was told may do it when it goes on. */
function unanswered(name: string): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof TercetError)) throw cause;
    throw cause.code === 'write_outcome_unknown'
      ? failure(
          cause.code,
          `${name} does not answer, and may still stand for it later: see who leads before you try again.`,
        )
      : failure(
          'service_unavailable',
          `${name} does not answer; nothing was changed, and it will not stand for it later.`,
        );
  };
}

async function transfer(exchange: Exchange, cluster: ClusterServices): Promise<void> {
  const wanted = await readWanted(exchange, ['node']);
  const node = member(wanted, 'node') ?? exchange.query.get('node');
  if (node !== undefined && typeof node !== 'string') {
    throw failure('bad_request', '`node` must be the name of a node.');
  }
  if ((await goToLeader(exchange, cluster, { policy: 'always' })) === 'answered') return;
  sendJson(exchange, 200, await cluster.transfer(node));
}

/**
 * Held, because the request may have to go on to another node. A misspelt `dry_run` must not become the real thing.
 * @throws TercetError `bad_request`
 */
async function readWanted(exchange: Exchange, known: readonly string[]): Promise<JsonObject> {
  if (!hasBody(exchange.request)) return {};
  const wanted = asObject(parseJson(await holdBody(exchange, requestBytesMax), requestDepthMax));
  const extra = Object.keys(wanted).find((name) => !known.includes(name));
  if (extra === undefined) return wanted;
  throw failure('bad_request', `${JSON.stringify(extra)} means nothing here; known are ${known.join(', ')}.`);
}

function switched(exchange: Exchange, wanted: JsonObject, name: string): boolean {
  const value = member(wanted, name) ?? flag(exchange.query, name);
  if (typeof value !== 'boolean') throw failure('bad_request', `\`${name}\` must be true or false.`);
  return value;
}

function clusterOf(exchange: Exchange): ClusterServices {
  const { cluster } = exchange.services;
  if (cluster === undefined) throw failure('not_found', 'missing');
  return cluster;
}
