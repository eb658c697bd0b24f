import { expect, test } from 'vitest';
import { type SeenNode, type ShownCluster, statusText } from './status-text.ts';

const nodes = [
  { name: 'n1', url: null, kind: 'voter', lag_entries: null, lag_ms: null },
  { name: 'n2', url: 'http://10.0.0.2:5984', kind: 'voter', lag_entries: 0, lag_ms: 0 },
  { name: 'n3', url: 'http://10.0.0.3:5984', kind: 'voter', lag_entries: 12, lag_ms: 1_540 },
];
const leader: ShownCluster = {
  ...{
    node: 'n1',
    kind: 'voter',
    removed: null,
    role: 'leader',
    term: 4,
    leader: 'n1',
    leader_choice: 'elected',
    has_quorum: true,
    commit: 120,
    applied: 120,
  },
  quorum: { voters: 3, needed: 2, in_touch: 2 },
  epochs: [
    { term: 2, leader: 'n3#0a1b2c3d', first_index: 1 },
    { term: 4, leader: 'n1#0a1b2c3d', first_index: 57 },
  ],
  acknowledgement: {
    ledger: { ack: 'semi-sync', followers: 'majority', on_timeout: 'fail' },
    log: { ack: 'async', on_timeout: 'block' },
  },
  nodes,
};
const follower: ShownCluster = { ...leader, node: 'n2', role: 'follower', has_quorum: null, applied: 118 };

function seen(name: string, cluster: ShownCluster | undefined): SeenNode {
  return { name, url: `http://${name}:5984`, cluster };
}

const plain = { isStyled: false };

test('every node has a row, the leader says how far the others are, and who is silent is named', () => {
  const text = statusText([seen('n1', leader), seen('n2', follower), seen('n3', undefined)], plain);
  expect(text).toBe(`n1 leads in term 4, with a quorum (2 of 3 voters); committed up to 120.

NODE  ROLE         TERM  APPLIED  LAG         LEADER  URL
n1    leader       4     120      -           n1      http://n1:5984
n2    follower     4     118      0           n1      http://n2:5984
n3    unreachable  -     -        12 (1.5 s)  -       http://n3:5984

Led by: n3 from 1 (term 2), n1 from 57 (term 4)
Acknowledged: ledger semi-sync(majority), late: fail; log async, late: block
`);
});

test('a member that takes no part in the group is told from a node that is none', () => {
  const away = { ...follower, kind: null };
  const text = statusText([seen('n1', leader), seen('n2', away), seen('n9', away)], plain);
  expect(text).toMatch(/^n2 +no part/m);
  expect(text).toMatch(/^n9 +no member/m);
});

test('what has no vote, or no documents, is shown as that', () => {
  const rows = ['learner', 'witness'].map((kind) => seen('n2', { ...follower, kind }));
  const text = statusText([seen('n1', leader), ...rows], plain);
  expect(text.match(/^n2 {4}(.*?) {2}/gm)?.map((row) => row.slice(6).trim())).toEqual([
    ...['learner', 'witness'],
  ]);
});

test('of two that say they lead, the one of the higher term does', () => {
  const old = { ...leader, node: 'n3', term: 3, leader: 'n3' };
  const text = statusText([seen('n1', leader), seen('n3', old)], plain);
  expect(text).toMatch(/^n1 leads in term 4/);
  expect(text).toMatch(/n3 {4}deposed/);
});

test('a leader without a quorum, and nobody who leads, are told', () => {
  const alone = { ...leader, has_quorum: false };
  expect(statusText([seen('n1', alone)], plain)).toMatch(/without a quorum/);
  const nobody = { ...follower, role: 'candidate', leader: null };
  const text = statusText([{ name: 'n2', url: null, cluster: nobody }], plain);
  expect(text).toMatch(/^Nobody leads: /);
  expect(text).toMatch(/n2 {4}candidate {2}4 {5}118 {6}- {4}- {7}-\n$/);
});

test('nodes that choose their leader in different ways are named', () => {
  const other = { ...follower, leader_choice: 'appointed' };
  expect(statusText([seen('n1', leader), seen('n2', follower)], plain)).not.toContain('Warning');
  expect(statusText([seen('n1', leader), seen('n2', other), seen('n3', undefined)], plain)).toContain(
    'Warning: leaders are chosen in different ways (n1 elected, n2 appointed): start all nodes with the same',
  );
});

test('a node that was removed says so, and what to do', () => {
  const advice = 'n2 was removed from the cluster (n1 says so): ask another node.';
  const gone = { ...follower, leader: null, kind: null, removed: { by: 'n1', advice } };
  const text = statusText([seen('n1', { ...leader, nodes: nodes.slice(0, 1) }), seen('n2', gone)], plain);
  expect(text).toMatch(/^n1 leads in term 4/);
  expect(text).toMatch(/n2 {4}removed {2}/);
  expect(text).toContain(`\n${advice}\n`);
});

test('only a terminal gets escape sequences', () => {
  const rows = [seen('n1', leader), seen('n3', undefined)];
  expect(statusText(rows, plain)).not.toContain('\u001b');
  const styled = statusText(rows, { isStyled: true });
  const codes = ['0', '1', '2', '31'].map((code) => `\u001b[${code}m`);
  expect(codes.reduce((text, code) => text.replaceAll(code, ''), styled)).toBe(statusText(rows, plain));
  expect(styled).toContain('\u001b[31mn3');
});
