import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { AckSettings, DocumentEdit, EditOutcome } from '../database/model.ts';
import { bodyValue, edit } from '../database/test-database.ts';
import type { WriteOptions, WriteReceipt } from '../database/writes.ts';
import type { Revision } from '../document/revision.ts';
import { failure } from '../errors.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import { until } from '../runtime/test-peers.ts';
import {
  decodeAnswers,
  decodeEdits,
  type EditAnswer,
  encodeAnswers,
  encodeEdits,
  encodeRefusal,
} from './edit-codec.ts';
import { ForwardedEdits, type ForwardedEditsContext } from './forwarded-edits.ts';
import { DocumentBusy } from './gathered-edits.ts';
import { closeClusterNodes, leaderAmong, startClusterNode } from './test-clusters.ts';

const ack: AckSettings = { policy: 'semi-sync', followers: 'majority', onTimeout: 'fail', timeoutMs: 10_000 };
const names = ['n1', 'n2', 'n3'];
const revision = `1-${'a'.repeat(32)}` as Revision;

afterEach(closeClusterNodes);

describe('Edits that a follower forwards', () => {
  it('are checked and logged by the leader, who says what became of them', async () => {
    const nodes = await Promise.all(names.map((name) => startClusterNode(name, names)));
    const leader = await leaderAmong(nodes);
    await leader.cluster.createDatabase('ledger', { strategy: 'single-leader', ack });
    const follower = nodes.find((node) => node !== leader)!;
    await until(() => expect(follower.databases.has('ledger')).toBe(true));
    const ledger = follower.databases.get('ledger');
    const receipts: WriteReceipt[] = [];
    const options = { onBehalfOf: 'kim', onReceipt: (receipt: WriteReceipt) => receipts.push(receipt) };
    const first = edit('é/1', { n: 'é' });
    const [written] = await ledger.edit([first], options);
    expect(written).toMatchObject({ kind: 'written', id: 'é/1' });
    expect(receipts).toMatchObject([{ met: true, policy: 'semi-sync(majority)' }]);
    expect(receipts[0]!.durableOn.length).toBeGreaterThanOrEqual(2);
    await follower.cluster.readBarrier();
    expect(bodyValue(ledger, 'é/1')).toEqual({ n: 'é' });
    const [again] = await ledger.edit([first], options);
    expect(again).toMatchObject({ kind: 'failed', error: { code: 'conflict' } });
    await expect(ledger.edit([first], { ...options, onBehalfOf: 'lee' })).rejects.toMatchObject({
      code: 'forbidden',
    });
    const design = edit('_design/x', {});
    const notThere = { code: 'not_leader', writeOutcome: 'did_not_happen' };
    await Promise.all([
      expect(ledger.edit([first], {})).rejects.toMatchObject(notThere),
      expect(ledger.edit([design], options)).rejects.toMatchObject(notThere),
    ]);
  });
});

describe('A leader that does not answer', () => {
  const timers: (() => void)[] = [];
  const listeners: (() => void)[] = [];
  const keep = (list: (() => void)[], callback: () => void) => {
    list.push(callback);
    return () => {};
  };

  function forwarding(request: ForwardedEditsContext['request']) {
    const leads: { name: string | undefined } = { name: 'n1' };
    const forwarded = new ForwardedEdits({
      clock: { now: () => 0, monotonic: () => 0, after: (_, end) => keep(timers, end) },
      databases: () => expect.unreachable(),
      ...{ request, leader: () => leads.name, requireLeading: () => {}, requireWriter: () => {} },
      onDefect: (error) => expect.unreachable(String(error)),
      onLeaderChange: (listener) => keep(listeners, listener),
    });
    const write = { name: 'ledger', reference: 7, settings: ack, edits: [edit('x', {})] };
    return { forwarded, leads, outcome: () => forwarded.forward(write, { onBehalfOf: 'kim' }) };
  }

  it('leaves the edit unknown once another leads, or nobody', async () => {
    const { leads, outcome } = forwarding(() => new Promise(() => {}));
    const waiting = outcome();
    await setImmediate();
    leads.name = undefined;
    for (const listener of listeners) listener();
    for (const end of timers) end();
    await expect(waiting).rejects.toMatchObject({ code: 'write_outcome_unknown' });
  });

  it('has been asked once for all edits of one moment and author', async () => {
    const asked: string[][] = [];
    const { forwarded } = forwarding((_, bytes) => {
      asked.push(decodeEdits(bytes).edits.map(({ id }) => id));
      return Promise.reject(new PeerRequestError('refused', 'not_delivered', ''));
    });
    const forward = (id: string, onBehalfOf: string) =>
      forwarded.forward(
        { name: 'ledger', reference: 7, settings: ack, edits: [edit(id, {})] },
        { onBehalfOf },
      );
    await Promise.allSettled([forward('a', 'kim'), forward('b', 'kim'), forward('c', 'lee')]);
    expect(asked).toEqual([['a', 'b'], ['c']]);
  });

  it('has the edit of a busy document sent again, alone', async () => {
    const asked: string[][] = [];
    const { forwarded } = forwarding(async (_, bytes) => {
      const ids = decodeEdits(bytes).edits.map(({ id }) => id);
      asked.push(ids);
      const answers = ids.map((id): EditAnswer => {
        if (id === 'b' && ids.length > 1) return { kind: 'busy' };
        return { kind: 'done', outcome: { kind: 'written', id, revision }, receipt: undefined };
      });
      return encodeAnswers(answers);
    });
    const forward = (id: string) =>
      forwarded.forward(
        { name: 'ledger', reference: 7, settings: ack, edits: [edit(id, {})] },
        { onBehalfOf: 'kim' },
      );
    const outcomes = await Promise.all(['a', 'b', 'c'].map(forward));
    expect(outcomes.flat().map(({ id, kind }) => `${id} ${kind}`)).toEqual([
      ...['a written', 'b written', 'c written'],
    ]);
    expect(asked).toEqual([['a', 'b', 'c'], ['b']]);
  });

  it('is not sent what it was meant for while it led', async () => {
    const { leads, outcome } = forwarding(() => expect.unreachable());
    const gathered = outcome();
    leads.name = 'n2';
    await expect(gathered).rejects.toMatchObject({ code: 'not_leader', writeOutcome: 'did_not_happen' });
  });

  it('is told from one that certainly did not begin', async () => {
    const lost = forwarding(() => Promise.reject(new PeerRequestError('link_lost', 'unknown', '')));
    await expect(lost.outcome()).rejects.toMatchObject({ code: 'write_outcome_unknown' });
    const refused = forwarding(() => Promise.reject(new PeerRequestError('refused', 'not_delivered', '')));
    await expect(refused.outcome()).rejects.toMatchObject({ code: 'not_leader' });
    const garbled = forwarding(() => Promise.resolve(Uint8Array.of(1)));
    await expect(garbled.outcome()).rejects.toMatchObject({ code: 'write_outcome_unknown' });
  });
});

describe('A leader that is brought edits in one frame', () => {
  /** Serves edits of a database that does with each what it is told. */
  async function served(edits: Readonly<Record<string, (options: WriteOptions) => Promise<EditOutcome>>>) {
    const defects: unknown[] = [];
    const database = {
      edit: async ([each]: readonly DocumentEdit[], options: WriteOptions) => [
        await edits[each!.id]!(options),
      ],
    };
    const forwarded = new ForwardedEdits({
      clock: { now: () => 0, monotonic: () => 0, after: () => () => {} },
      databases: () =>
        ({ has: () => true, replication: () => ({ reference: 7 }), get: () => database }) as never,
      request: () => expect.unreachable(),
      ...{ leader: () => 'n1', requireLeading: () => {}, requireWriter: () => {} },
      ...{ onLeaderChange: () => () => {}, onDefect: (error: unknown) => defects.push(error) },
    });
    const asked = Object.keys(edits).map((id) => edit(id, {}));
    const common = { reference: 7, name: 'ledger', onBehalfOf: 'kim', ack: undefined };
    const bytes = await forwarded.serve(encodeEdits({ ...common, edits: asked }));
    return { answers: decodeAnswers(bytes, asked), defects };
  }

  const done = (id: string) => async (): Promise<EditOutcome> => ({ kind: 'written', id, revision });
  const throws = (error: Error) => async (): Promise<EditOutcome> => {
    throw error;
  };

  it('answers for each of them, also where one meets a defect', async () => {
    const defect = new Error('a defect');
    const { answers, defects } = await served({
      ...{ a: done('a'), b: throws(defect), c: throws(new DocumentBusy()) },
      ...{ d: throws(failure('forbidden')), e: done('e') },
    });
    expect(answers.map((answer) => (answer.kind === 'refused' ? answer.error.code : answer.kind))).toEqual([
      ...['done', 'write_outcome_unknown', 'busy', 'forbidden', 'done'],
    ]);
    expect(defects).toEqual([defect]);
  });

  it('lets only one that comes alone wait', async () => {
    const told: (true | undefined)[] = [];
    const remember = (id: string) => async (options: WriteOptions) => {
      told.push(options.mayNotWait);
      return done(id)();
    };
    await served({ a: remember('a'), b: remember('b') });
    await served({ c: remember('c') });
    expect(told).toEqual([true, true, undefined]);
  });

  it('did not begin where it leads no more, which it says of all or of each', async () => {
    const lost = failure('not_leader');
    await expect(served({ a: throws(lost), b: throws(lost) })).rejects.toThrow(PeerRefusal);
    const { answers } = await served({ a: done('a'), b: throws(lost) });
    expect(answers).toMatchObject([{ kind: 'done' }, { kind: 'refused', error: { code: 'not_leader' } }]);
  });
});

describe('The bytes of forwarded edits', () => {
  const edits: readonly DocumentEdit[] = [edit('é/1', { n: 1 }), { ...edit('b', {}, revision, true) }];

  it('say the same on the other side', () => {
    const wish = { policy: 'semi-sync', followers: 2, onTimeout: 'degrade', timeoutMs: 12.5 } as const;
    const request = { reference: 2 ** 40, name: 'ledger', onBehalfOf: 'eyJ9', ack: wish, edits };
    const decoded = decodeEdits(encodeEdits(request));
    const plain = (each: DocumentEdit) => ({ ...each, body: Buffer.from(each.body).toString() });
    expect({ ...decoded, edits: decoded.edits.map(plain) }).toEqual({ ...request, edits: edits.map(plain) });
    const receipt = {
      met: false,
      policy: 'sync',
      term: 9,
      index: 8,
      elapsedMs: 1.5,
      durableOn: ['n1', 'n2'],
    };
    const error = failure('conflict');
    const answers = [
      { kind: 'done', outcome: { kind: 'written', id: 'é/1', revision }, receipt },
      { kind: 'done', outcome: { kind: 'failed', id: 'b', error }, receipt: undefined },
    ] as const;
    expect(decodeAnswers(encodeAnswers(answers), edits)).toEqual(answers);
    const alike = [
      { kind: 'done', outcome: { kind: 'written', id: 'é/1', revision }, receipt },
      { kind: 'done', outcome: { kind: 'written', id: 'b', revision }, receipt },
    ] as const;
    const shared = encodeAnswers(alike);
    expect(shared.length).toBeLessThan(
      encodeAnswers(alike.map((each) => ({ ...each, receipt: { ...receipt } }))).length,
    );
    expect(decodeAnswers(shared, edits)).toEqual(alike);
    for (const other of [{ kind: 'refused', error }, { kind: 'busy' }] as const) {
      const mixed = [answers[0], other] as const;
      expect(decodeAnswers(encodeAnswers(mixed), edits)).toEqual(mixed);
    }
  });

  it('carry the failure of all, and end where they should', () => {
    const error = failure('forbidden', 'Nein, für dich nicht.');
    expect(() => decodeAnswers(encodeRefusal(error), edits)).toThrow(error);
    const bytes = encodeEdits({ reference: 1, name: 'x', onBehalfOf: '', ack: undefined, edits });
    for (let length = 0; length < bytes.length; length += 1)
      expect(() => decodeEdits(bytes.subarray(0, length))).toThrow('too early');
  });
});
