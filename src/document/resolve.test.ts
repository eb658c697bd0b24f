import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digest128 } from '../runtime/digest.ts';
import {
  commonAncestor,
  type MergeBase,
  type ResolvableLeaf,
  type ResolverRule,
  resolve,
} from './resolve.ts';
import { deriveRevision, type Revision } from './revision.ts';
import { addRevision, emptyGraph, liveConflicts, type RevisionGraph, union } from './revision-graph.ts';
import type { Stamp } from './stamp.ts';

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const text = (body: Uint8Array) => new TextDecoder().decode(body);
const at = (ms: number): Stamp => ({ ms, counter: 0, node: 'n1' });

function leaf(revision: string, value: unknown, changes: Partial<ResolvableLeaf> = {}): ResolvableLeaf {
  const body = bytes(value);
  return {
    revision: revision as Revision,
    deleted: false,
    body,
    attachments: [],
    stamp: undefined,
    ...changes,
  };
}

function attachment(name: string, blob: string) {
  return { name, blob, contentType: 'text/plain', length: 1, digest: `md5-${blob}`, revpos: 1 };
}

function settle(rule: ResolverRule, leaves: readonly ResolvableLeaf[], base: MergeBase = { kind: 'none' }) {
  return resolve(rule, { leaves, base }, digest128);
}

const known = (value: unknown, attachments: readonly ReturnType<typeof attachment>[] = []): MergeBase => ({
  kind: 'known',
  body: bytes(value),
  attachments,
});

describe('last write wins', () => {
  it('takes the body with the latest stamp, and has all live leaves as parents', () => {
    const leaves = [leaf('2-a', { n: 1 }, { stamp: at(5) }), leaf('2-b', { n: 2 }, { stamp: at(3) })];
    const resolution = settle('last-write-wins', leaves);
    expect(resolution).toMatchObject({ kind: 'merged', revision: { parents: ['2-b', '2-a'], stamp: at(5) } });
    expect(resolution.kind === 'merged' && text(resolution.revision.body)).toBe('{"n":1}');
  });

  it('makes the leaf of the highest generation the tree parent, a tombstone too', () => {
    const leaves = [
      leaf('2-a', { n: 1 }, { stamp: at(5) }),
      leaf('4-b', {}, { stamp: at(9), deleted: true }),
      leaf('4-a', {}, { stamp: at(3) }),
    ];
    const resolution = settle('last-write-wins', leaves);
    expect(resolution).toMatchObject({ revision: { parents: ['4-a', '4-b', '2-a'], deleted: true } });
    expect(settle('last-write-wins', leaves.slice(0, 2))).toMatchObject({
      revision: { parents: ['4-b', '2-a'] },
    });
  });

  it('takes the higher revision of equal stamps, and any stamp over none', () => {
    const [a, b] = [leaf('2-a', 'a', { stamp: at(5) }), leaf('2-b', 'b', { stamp: at(5) })];
    expect(settle('last-write-wins', [a, b])).toMatchObject({ revision: { body: b.body } });
    expect(settle('last-write-wins', [a, { ...b, stamp: undefined }])).toMatchObject({
      revision: { body: a.body },
    });
  });

  it('lets a later deletion win, and an earlier one lose without a trace', () => {
    const live = leaf('2-a', {}, { stamp: at(5) });
    const tombstone = (ms: number) => leaf('2-b', {}, { deleted: true, stamp: at(ms) });
    expect(settle('last-write-wins', [live, tombstone(4)])).toEqual({ kind: 'settled' });
    expect(settle('last-write-wins', [live, tombstone(6)])).toMatchObject({
      kind: 'merged',
      revision: { deleted: true, parents: ['2-a', '2-b'] },
    });
    expect(settle('last-write-wins', [tombstone(6)])).toEqual({ kind: 'settled' });
  });
});

describe('merge', () => {
  const left = leaf('2-a', { n: 2, m: 1, o: { x: 1 } });
  const right = leaf('2-b', { n: 1, o: { x: 1, y: 2 } });

  it('takes every change that only one side made, removals and nested ones too', () => {
    const resolution = settle('merge', [left, right], known({ n: 1, m: 1, o: { x: 1 } }));
    expect(resolution.kind === 'merged' && text(resolution.revision.body)).toBe('{"n":2,"o":{"x":1,"y":2}}');
  });

  it('keeps the conflict where both changed one value', () => {
    expect(settle('merge', [left, right], known({ n: 0 }))).toEqual({ kind: 'kept' });
    expect(settle('merge', [leaf('2-a', { l: [1] }), leaf('2-b', { l: [2] })], known({ l: [] })).kind).toBe(
      'kept',
    );
    expect(settle('merge', [leaf('2-a', { l: {} }), leaf('2-b', { l: 2 })], known({ l: 1 })).kind).toBe(
      'kept',
    );
  });

  it('keeps the conflict where the ancestor is lost, unless all say the same', () => {
    expect(settle('merge', [left, right], { kind: 'lost' })).toEqual({ kind: 'kept' });
    const same = settle('merge', [left, { ...left, revision: '3-c' as Revision }], { kind: 'lost' });
    expect(same).toMatchObject({ kind: 'merged', revision: { body: left.body } });
  });

  it('takes both sides of documents that have nothing in common', () => {
    const resolution = settle('merge', [leaf('1-a', { a: 1, __proto__x: 1 }), leaf('1-b', { b: 2 })]);
    expect(resolution.kind === 'merged' && text(resolution.revision.body)).toBe(
      '{"__proto__x":1,"a":1,"b":2}',
    );
  });

  it('merges attachments by name', () => {
    const [one, two, other] = [attachment('a', '1'), attachment('b', '2'), attachment('a', '3')];
    const sides = [leaf('2-a', {}, { attachments: [one, two] }), leaf('2-b', {}, { attachments: [other] })];
    expect(settle('merge', sides, known({}, [one]))).toMatchObject({
      revision: { attachments: [other, two] },
    });
    expect(settle('merge', sides, known({}))).toEqual({ kind: 'kept' });
    expect(settle('merge', sides, { kind: 'lost' })).toEqual({ kind: 'kept' });
  });

  it('makes no child of the last generation there is', () => {
    const last = [`${2 ** 53 - 1}-a`, `${2 ** 53 - 1}-b`].map((revision) => leaf(revision, {}));
    expect(settle('merge', last)).toEqual({ kind: 'kept' });
  });

  it('leaves a deletion beside an edit alone', () => {
    expect(settle('merge', [left, { ...right, deleted: true }], known({}))).toEqual({ kind: 'settled' });
  });
});

describe('the common ancestor', () => {
  const node = (revision: string, ...parents: string[]) => ({
    revision: revision as Revision,
    parents: parents as Revision[],
    deleted: false,
    stored: true,
  });
  const graph = (...nodes: readonly ReturnType<typeof node>[]) =>
    nodes.reduce((grown, one) => addRevision(grown, one).graph, emptyGraph);
  const of = (grown: RevisionGraph) =>
    commonAncestor(
      grown,
      grown.leaves.map((one) => one.revision),
    );

  it('is the last revision that all leaves come from', () => {
    expect(of(graph(node('1-a'), node('2-b', '1-a'), node('3-c', '2-b'), node('3-d', '2-b')))).toBe('2-b');
    expect(
      of(
        graph(
          node('1-a'),
          node('2-b', '1-a'),
          node('2-c', '1-a'),
          node('3-d', '2-b', '2-c'),
          node('3-e', '2-c'),
        ),
      ),
    ).toBe('2-c');
  });

  it('is none for documents made apart, and stemmed where history is missing', () => {
    expect(of(graph(node('1-a'), node('1-b')))).toBe('none');
    expect(of(graph(node('3-a'), node('3-b')))).toBe('stemmed');
    expect(of(graph(node('3-a', '2-x'), node('1-b')))).toBe('stemmed');
  });
});

/** A replica that settles what it knows whenever it is told to. */
class Replica {
  graph = emptyGraph;
  readonly revisions = new Map<Revision, ResolvableLeaf>();
  readonly rule: ResolverRule;

  constructor(rule: ResolverRule) {
    this.rule = rule;
  }

  add(revision: ResolvableLeaf, parents: readonly Revision[]): void {
    this.revisions.set(revision.revision, revision);
    const { deleted } = revision;
    this.graph = addRevision(this.graph, {
      revision: revision.revision,
      parents,
      deleted,
      stored: true,
    }).graph;
  }

  settle(): void {
    const leaves = this.graph.leaves.map((one) => this.revisions.get(one.revision)!);
    const live = leaves.filter((one) => !one.deleted).map((one) => one.revision);
    const ancestor = commonAncestor(this.graph, live);
    const before = this.revisions.get(ancestor as Revision);
    const base: MergeBase =
      before === undefined ? { kind: ancestor === 'none' ? 'none' : 'lost' } : { kind: 'known', ...before };
    const resolution = resolve(this.rule, { leaves, base }, digest128);
    if (resolution.kind === 'merged') this.add(resolution.revision, resolution.revision.parents);
  }

  exchange(other: Replica): void {
    const all = [...this.revisions, ...other.revisions];
    for (const replica of [this, other]) {
      for (const [revision, content] of all) replica.revisions.set(revision, content);
    }
    this.graph = union(this.graph, other.graph);
    other.graph = this.graph;
    this.settle();
    other.settle();
  }
}

const edits = fc.uniqueArray(
  fc.record({
    field: fc.constantFrom('a', 'b', 'c', 'd'),
    value: fc.nat(3),
    ms: fc.nat(4),
    deleted: fc.nat(5),
  }),
  {
    minLength: 1,
    maxLength: 5,
    selector: ({ field, value, deleted }) => `${field} ${value} ${deleted === 0}`,
  },
);
const happenings = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('hear' as const), replica: fc.nat(2), edit: fc.nat(4) }),
    fc.record({ kind: fc.constant('settle' as const), replica: fc.nat(2) }),
    fc.record({ kind: fc.constant('exchange' as const), replica: fc.nat(2), other: fc.nat(2) }),
  ),
  { maxLength: 25 },
);

describe.each<ResolverRule>(['last-write-wins', 'merge'])('replicas that settle by %s', (rule) => {
  const root = leaf('1-root', { a: 0, b: 0 }, { stamp: at(0) });

  function leavesOfEdits(list: readonly { field: string; value: number; ms: number; deleted: number }[]) {
    return list.map(({ field, value, ms, deleted }) => {
      const body = bytes(deleted === 0 ? {} : { ...{ a: 0, b: 0 }, [field]: value });
      const content = { parents: [root.revision], deleted: deleted === 0, body, attachmentDigests: [] };
      const revision = deriveRevision(content, digest128);
      return { revision, deleted: deleted === 0, body, attachments: [], stamp: at(ms) };
    });
  }

  it('end equal, whatever they heard of in which order and whenever they settled', () => {
    fc.assert(
      fc.property(edits, happenings, (list, events) => {
        const leaves = leavesOfEdits(list);
        const replicas = [0, 1, 2].map(() => new Replica(rule));
        for (const replica of replicas) replica.add(root, []);
        for (const event of events) {
          const replica = replicas[event.replica]!;
          if (event.kind === 'hear') replica.add(leaves[event.edit % leaves.length]!, [root.revision]);
          else if (event.kind === 'settle') replica.settle();
          else replica.exchange(replicas[event.other]!);
        }
        for (const one of leaves) replicas[0]!.add(one, [root.revision]);
        // Each learns everything from the next, twice: once what there is, once what was made of it.
        for (let turn = 0; turn < 6; turn += 1) replicas[turn % 3]!.exchange(replicas[(turn + 1) % 3]!);
        const [first, ...others] = replicas.map((replica) => replica.graph.leaves.map((one) => one.revision));
        for (const other of others) expect(other).toEqual(first);
        if (rule === 'last-write-wins') expect(liveConflicts(replicas[0]!.graph)).toEqual([]);
      }),
    );
  });
});
