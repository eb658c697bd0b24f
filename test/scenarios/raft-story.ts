/**
 * Runs a transcript of a Raft group: lines that begin with `>` are commands, what follows is what happened.
 *
 *     > group n1 n2 n3
 *     > time-out n1
 *     n1 → n2 pre_vote_request last 0:0
 *     …
 *     > show
 *     n1 leader, term 1, commit 1, log 1:1
 *
 * Heartbeats are left out, as are answers to them: they would drown the story.
 */

import { asTerm } from '../../src/single-leader/entry.ts';
import type { RaftEffect, RaftEvent } from '../../src/single-leader/events.ts';
import type { MembershipChange } from '../../src/single-leader/membership.ts';
import type { Replica, TestGroup } from '../../src/single-leader/test-group.ts';
import {
  crash,
  createGroup,
  cut,
  fetchState,
  flushDisk,
  give,
  groupWith,
  heal,
  join,
  logOf,
  members,
  nodeId,
  proposeText,
  replicaOf,
  restart,
  settle,
  tick,
  timeOut,
} from '../../src/single-leader/test-group.ts';
import { describeEffect } from './raft-trace.ts';

interface Story {
  group: TestGroup;
  /** Happened since the last command. */
  lines: string[];
  requests: number;
}

type Command = (story: Story, words: readonly string[]) => void;

type Change = Exclude<MembershipChange['kind'], 'move'>;

const changeKinds: Readonly<Record<string, Change>> = {
  'add-learner': 'add_learner',
  'add-witness': 'add_witness',
  'promote-learner': 'promote_learner',
  remove: 'remove',
};

/** `> group n1 n2 w1:witness` */
function startGroup(story: Story, names: readonly string[]): void {
  story.group = createGroup({
    names: names.filter((name) => name !== 'appointed'),
    ...setupOf(story, names),
  });
}

/** `> logs term=6 n1=1,1,4 n2=1` */
function startWithLogs(story: Story, words: readonly string[]): void {
  const pairs = words.map((word) => word.split('=') as [string, string]);
  const term = Number(pairs.find(([name]) => name === 'term')?.[1]);
  const logs = pairs.filter(([name]) => name !== 'term').map(([name, terms]) => [name, numbers(terms)]);
  story.group = groupWith(Object.fromEntries(logs), { term, ...setupOf(story, words) });
}

function numbers(text: string): number[] {
  return text === '' ? [] : text.split(',').map(Number);
}

function setupOf(story: Story, words: readonly string[]) {
  const observe = (replica: Replica, effect: RaftEffect) => {
    const line = describeEffect(replica, effect);
    if (line !== undefined) story.lines.push(line);
  };
  return {
    observe,
    options: { leaderChoice: words.includes('appointed') ? 'appointed' : 'elected' },
  } as const;
}

function ask(story: Story, name: string | undefined, request: (id: number) => RaftEvent): void {
  story.requests += 1;
  give(story.group, replicaOf(story.group, name ?? ''), request(story.requests));
}

function show(story: Story): void {
  for (const replica of story.group.replicas.values()) {
    const { raft, isUp, id } = replica;
    const state = isUp ? raft.role.kind : 'down';
    const facts = [`${id} ${state}`, `term ${raft.term}`, `commit ${raft.commit}`, `log ${logOf(replica)}`];
    story.lines.push(facts.join(', '));
  }
}

const commands: Readonly<Record<string, Command>> = {
  group: startGroup,
  logs: startWithLogs,
  'time-out': ({ group }, [name]) => timeOut(group, name ?? ''),
  ticks: ({ group }, [count]) => tick(group, Number(count)),
  settle: ({ group }) => settle(group),
  disk: ({ group }, [name]) => flushDisk(group, replicaOf(group, name ?? '')),
  cut: ({ group }, [one, other]) => cut(group, one ?? '', other ?? ''),
  heal: ({ group }) => heal(group),
  crash: ({ group }, [name]) => crash(replicaOf(group, name ?? '')),
  restart: ({ group }, [name]) => restart(group, replicaOf(group, name ?? '')),
  join: ({ group }, [name]) => void join(group, nodeId(name ?? '')),
  propose: ({ group }, [name, text]) => void proposeText(group, name ?? '', text ?? ''),
  fetch: ({ group }, [name, from]) =>
    void fetchState(group, replicaOf(group, name ?? ''), replicaOf(group, from ?? '')),
  transfer: (story, [name, to]) =>
    ask(story, name, (id) => ({ kind: 'transfer', id, to: to === undefined ? undefined : nodeId(to) })),
  promote: (story, [name]) => ask(story, name, (id) => ({ kind: 'promote', id })),
  force: (story, [name, term, ...names]) =>
    ask(story, name, (id) => ({ kind: 'force', id, term: asTerm(Number(term)), members: members(...names) })),
  change: (story, [name, kind, node]) =>
    ask(story, name, (id) => ({
      kind: 'change_membership',
      id,
      change: { kind: changeKinds[kind ?? ''] as Change, node: nodeId(node ?? '') },
    })),
  show,
};

/** The transcript as it would read now. Remarks and blank lines stay where they are. */
export function retell(transcript: string): string {
  const story: Story = { group: createGroup({ names: ['n1'] }), lines: [], requests: 0 };
  const told: string[] = [];
  for (const line of transcript.trimEnd().split('\n')) {
    if (line.startsWith('>')) told.push(line, ...run(story, line.slice(1).trim()));
    else if (line.startsWith('#') || line === '') told.push(line);
  }
  return `${told.join('\n')}\n`;
}

/** `quietly` before a command leaves out what happened. */
function run(story: Story, line: string): string[] {
  const [name = '', ...words] = line.split(/\s+/);
  if (name === 'quietly') {
    run(story, words.join(' '));
    return [];
  }
  const command = commands[name];
  if (command === undefined) throw new Error(`no command ${name}`);
  story.lines = [];
  command(story, words);
  return story.lines;
}
