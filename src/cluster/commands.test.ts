import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AttachmentStub } from '../document/document.ts';
import type { Revision } from '../document/revision.ts';
import { type Command, decodeCommand, encodeCommand, type LoggedRevision } from './commands.ts';
import { decodeWrite, encodeWrite } from './write-codec.ts';

const stub: AttachmentStub = {
  ...{ name: 'a', contentType: 'text/plain', revpos: 1, length: 1 },
  ...{ blob: 'b', digest: 'md5-x' },
};
const digest = fc.oneof(
  { weight: 4, arbitrary: fc.stringMatching(/^[0-9a-f]{32}$/) },
  { weight: 1, arbitrary: fc.constant('other') },
);

const revision: fc.Arbitrary<LoggedRevision> = fc
  .record({
    id: fc.string({ unit: 'grapheme', minLength: 1 }),
    start: fc.integer({ min: 1, max: 2 ** 31 }),
    ids: fc.array(digest, { minLength: 1, maxLength: 3 }),
    deleted: fc.boolean(),
    attachments: fc.constantFrom([], [], [stub]),
    body: fc.uint8Array().map((bytes) => Uint8Array.from(bytes)),
  })
  .map(({ start, ids, ...rest }) => ({
    ...rest,
    path: { start, ids },
    revision: `${start}-${ids[0]}` as Revision,
  }));

const write = fc
  .record({
    database: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
    revisions: fc.array(revision, { maxLength: 4 }),
    isToldEarly: fc.constantFrom(true as const, undefined),
  })
  .map(({ isToldEarly, ...rest }): Extract<Command, { kind: 'write' }> => {
    return { kind: 'write', ...rest, ...(isToldEarly && { isToldEarly }) };
  });

function plain(command: Command) {
  if (command.kind !== 'write') return command;
  const revisions = command.revisions.map(({ body, ...rest }) => ({ ...rest, body: [...body] }));
  return { ...command, revisions };
}

it('writes read back as they were, in whichever format they go', () => {
  fc.assert(
    fc.property(write, (command) => {
      expect(plain(decodeCommand(encodeCommand(command)))).toEqual(plain(command));
    }),
  );
});

it('only ordinary writes go in the short format', () => {
  const id = 'a'.repeat(32);
  const ordinary: LoggedRevision = {
    ...{ id: 'x', revision: `2-${id}` as Revision, path: { start: 2, ids: [id] } },
    ...{ deleted: false, attachments: [], body: Buffer.from('{}') },
  };
  const encoded = (change: Partial<LoggedRevision>) =>
    encodeWrite({ kind: 'write', database: 1, revisions: [{ ...ordinary, ...change }] });
  const bytes = encoded({}) as Uint8Array;
  expect(plain(decodeWrite(bytes))).toMatchObject({ revisions: [{ id: 'x', revision: `2-${id}` }] });
  expect(encoded({ attachments: [stub] })).toBeUndefined();
  expect(encoded({ path: { start: 2, ids: [id, 'x'] } })).toBeUndefined();
  expect(encoded({ id: 'x'.repeat(30_000) })).toBeUndefined();
  expect(() => decodeWrite(bytes.subarray(0, -1))).toThrow('too early');
});
