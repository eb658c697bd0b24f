import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NodeId } from '../replication/strategy.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import type { EntryBody } from '../single-leader/entry.ts';
import type { RaftMessage } from '../single-leader/messages.ts';
import { decodeLetter, encodeLetter } from './group-codec.ts';
import { nodeIdOf } from './group-node-id.ts';

const names = { fromName: 'n1', toName: 'n-2.b' };
const from = nodeIdOf('n1', '0A1b2c3d-0000-4000-8000-000000000000');
const to = nodeIdOf('n-2.b', 'ffffffff-0000-4000-8000-000000000000');

const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const position = fc.record({ index: u48, term: u48 });
const node = fc.constantFrom<NodeId>(from, to);
const reason = fc.constantFrom('timeout', 'transfer', 'appointment');
const membership = fc.record({
  members: fc.array(
    fc.record(
      {
        ...{ id: node, kind: fc.constantFrom('voter', 'witness', 'learner') },
        url: fc.constantFrom('http://127.0.0.1:5984', 'https://n1.example'),
      },
      { requiredKeys: ['id', 'kind'] },
    ),
  ),
  lineage: u48,
});
const body: fc.Arbitrary<EntryBody> = fc.oneof(
  fc.record({ kind: fc.constant('data'), data: fc.uint8Array().map((data) => Buffer.from(data)) }),
  fc.record({ kind: fc.constant('epoch'), leader: node }),
  fc.record({ kind: fc.constant('membership'), membership }),
  fc.record({ kind: fc.constant('withheld') }),
) as fc.Arbitrary<EntryBody>;

function messages(): fc.Arbitrary<RaftMessage> {
  const of = (kind: string, fields: Record<string, fc.Arbitrary<unknown>>) =>
    fc.record({ kind: fc.constant(kind), term: u48, lineage: u48, ...fields });
  const point = fc.record({
    ...{ index: u48, term: u48, membership },
    epochs: fc.array(fc.record({ term: u48, leader: node, firstIndex: u48 })),
  });
  return fc.oneof(
    of('pre_vote_request', { last: position, reason }),
    of('pre_vote_response', { standingFor: u48, granted: fc.boolean() }),
    of('vote_request', { last: position, reason }),
    of('vote_response', { granted: fc.boolean() }),
    of('append_accepted', { match: u48 }),
    of('append_rejected', { previousIndex: u48, hint: position }),
    of('heartbeat_request', { commit: u48, round: u48 }),
    of('heartbeat_response', { round: u48 }),
    of('state_offer', { point }),
    of('read_index_request', { request: u48 }),
    of('read_index_response', { request: u48, index: u48, by: fc.constantFrom('quorum', 'lease') }),
    of('timeout_now', {}),
    of('fenced', {}),
    appends(),
  ) as fc.Arbitrary<RaftMessage>;
}

function appends(): fc.Arbitrary<unknown> {
  return fc.record({ start: u48, commit: u48, lineage: u48, bodies: fc.array(body) }).map((drawn) => ({
    kind: 'append_request',
    term: 9,
    lineage: drawn.lineage,
    previous: { index: drawn.start, term: 3 },
    entries: drawn.bodies.map((each, at) => ({
      index: drawn.start + 1 + at,
      term: at === 0 ? 3 : 9,
      body: each,
    })),
    commit: drawn.commit,
  }));
}

describe('the letters of a group', () => {
  it('come out as they went in, whatever they say', () => {
    fc.assert(
      fc.property(messages(), (message) => {
        expect(decodeLetter(encodeLetter({ from, to, message }), names)).toEqual({ from, to, message });
      }),
      { numRuns: 500 },
    );
  });

  it('are refused as garbage wherever they are cut off or go on', () => {
    fc.assert(
      fc.property(
        messages(),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (message, at) => {
          const bytes = encodeLetter({ from, to, message });
          const cut = bytes.subarray(0, Math.floor(bytes.length * at));
          expect(() => decodeLetter(cut, names)).toThrow(GarbageError);
          const longer = Buffer.concat([bytes, Buffer.of(0)]);
          expect(() => decodeLetter(longer, names)).toThrow(GarbageError);
        },
      ),
    );
  });

  it('are a message or garbage, never anything else, whatever bytes come', () => {
    const noise = fc.tuple(
      messages(),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
    );
    fc.assert(
      fc.property(noise, ([message, changes]) => {
        const bytes = Buffer.from(encodeLetter({ from, to, message }));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        try {
          expect(decodeLetter(bytes, names).message).toHaveProperty('kind');
        } catch (error) {
          expect(error).toBeInstanceOf(GarbageError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
