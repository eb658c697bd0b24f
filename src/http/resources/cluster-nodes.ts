/** `/_cluster/nodes`: the members of the group, and changes of who they are. */

import { failure, TercetError } from '../../errors.ts';
import { hasBody, holdBody } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { asObject, member, parseJson } from '../json-guard.ts';
import { sendJson } from '../respond.ts';
import type { AdmittedNode, ClusterMember, ClusterServices, NewNode } from '../services.ts';
import { goToLeader } from '../single-leader.ts';

const requestBytesMax = 4_096;
const requestDepthMax = 4;
const attemptsMax = 3;

export function showNodes(exchange: Exchange, cluster: ClusterServices): void {
  const [, , name, ...rest] = exchange.segments;
  if (rest.length > 0) throw failure('not_found', 'missing');
  const { leader, members } = cluster.status();
  if (name === undefined) {
    const nodes = members.map((each) => shownMember(exchange, each, leader));
    sendJson(exchange, 200, { leader: leader ?? null, nodes });
    return;
  }
  const found = members.find((each) => each.name === name);
  if (found === undefined) {
    const names = members.map((each) => each.name).toSorted();
    throw failure('not_found', `${JSON.stringify(name)} is no member; there are ${names.join(', ')}.`);
  }
  sendJson(exchange, 200, shownMember(exchange, found, leader));
}

/** The lag of a member, and when it was heard last, are known to the leader only. */
export function shownMember(
  exchange: Exchange,
  { name, id, kind, url, lagEntries, lagMs, lastHeardMs }: ClusterMember,
  leader: string | undefined,
): object {
  return {
    ...{ name, id, url: urlOf(exchange, name) ?? url ?? null, kind },
    role: name === leader ? 'leader' : kind === 'voter' ? 'follower' : kind,
    lag_entries: lagEntries ?? null,
    lag_ms: rounded(lagMs),
    last_heard_ms: rounded(lastHeardMs),
  };
}

/** Clocks give fractions, and nobody needs them. */
export function rounded(milliseconds: number | undefined): number | null {
  return milliseconds === undefined ? null : Math.round(milliseconds);
}

function urlOf(exchange: Exchange, name: string): string | undefined {
  const { node } = exchange.services;
  return name === node.name ? node.url : node.peers.find((peer) => peer.name === name)?.url;
}

/** `POST /_cluster/nodes` takes a node in, `POST /_cluster/nodes/{name}/promote` makes a learner a voter. */
export async function changeNodes(exchange: Exchange, cluster: ClusterServices): Promise<void> {
  const [, , name, action, ...rest] = exchange.segments;
  if (rest.length > 0 || (name !== undefined && action !== 'promote')) throw failure('not_found', 'missing');
  if (name !== undefined) {
    await onLeader(exchange, cluster, async () => {
      sendJson(exchange, 200, shownAdmission(await cluster.nodes.promote(name)));
    });
    return;
  }
  const node = await readNewNode(exchange);
  await onLeader(exchange, cluster, async () => {
    sendJson(exchange, 201, shownAdmission(await cluster.nodes.add(node)));
  });
}

/** `DELETE /_cluster/nodes/{name}` */
export async function removeNode(exchange: Exchange, cluster: ClusterServices): Promise<void> {
  const [, , name, ...rest] = exchange.segments;
  if (rest.length > 0) throw failure('not_found', 'missing');
  if (name === undefined) throw failure('bad_request', 'Name the node: DELETE /_cluster/nodes/n4.');
  await onLeader(exchange, cluster, async () => {
    await cluster.nodes.remove(name);
    sendJson(exchange, 200, { ok: true, removed: name });
  });
}

/** A leader that is to be removed hands over instead of doing it: then the request goes to its successor. */
async function onLeader(
  exchange: Exchange,
  cluster: ClusterServices,
  change: () => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    if ((await goToLeader(exchange, cluster, { policy: 'always' })) === 'answered') return;
    try {
      await change();
      return;
    } catch (error) {
      const hasMoved = error instanceof TercetError && error.code === 'not_leader';
      if (!hasMoved || attempt === attemptsMax) throw error;
    }
  }
}

/** Held, because the request may have to go on to the leader. */
async function readNewNode(exchange: Exchange): Promise<NewNode> {
  if (!hasBody(exchange.request)) throw malformed('nothing');
  const wanted = asObject(parseJson(await holdBody(exchange, requestBytesMax), requestDepthMax));
  const [name, url, kind = 'learner'] = ['name', 'url', 'kind'].map((key) => member(wanted, key));
  if (typeof name !== 'string' || typeof url !== 'string') throw malformed('no `name` and `url`');
  if (kind === 'learner' || kind === 'witness') return { name, url, kind };
  throw failure(
    'bad_request',
    '`kind` must be learner or witness; a voter is a learner that has caught up and was promoted.',
  );
}

function malformed(what: string) {
  return failure('bad_request', `The body says ${what}: {"name": "n4", "url": "http://10.0.0.4:5984"}.`);
}

function shownAdmission({ name, id, kind, url }: AdmittedNode): object {
  return { ok: true, name, id, kind, url: url ?? null };
}
