import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Frame, FrameReader, GarbageError, packFrames } from './peer-frames.ts';

const frame = fc.record({
  kind: fc.integer({ min: 1, max: 255 }),
  id: fc.integer({ min: 0, max: 0xffff_ffff }),
  body: fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.integer({ min: 32_760, max: 32_780 }).map((length) => new Uint8Array(length).fill(length % 256)),
  ),
});

function plain(frames: Iterable<Frame>) {
  return [...frames].map(({ kind, id, body }) => ({ kind, id, body: Buffer.from(body).toString('base64') }));
}

test('frames come out as they went in, however the stream was cut', () => {
  const property = fc.property(
    fc.array(frame, { maxLength: 12 }),
    fc.array(fc.integer({ min: 1, max: 50_000 }), { minLength: 1, maxLength: 20 }),
    (frames, cuts) => {
      const stream = Buffer.concat(packFrames(frames));
      const reader = new FrameReader(40_000);
      const read: ReturnType<typeof plain> = [];
      for (let at = 0, cut = 0; at < stream.length; cut += 1) {
        const length = cuts[cut % cuts.length] ?? 1;
        read.push(...plain(reader.push(stream.subarray(at, at + length))));
        at += length;
      }
      expect(read).toEqual(plain(frames));
    },
  );
  fc.assert(property, { numRuns: 100 });
});

test('the layout is length, kind, id, body', () => {
  const packed = Buffer.concat(packFrames([{ kind: 17, id: 7, body: Buffer.from('hi') }]));
  expect(packed.toString('hex')).toBe('000000021100000007' + '6869');
});

test('a length beyond the bound is refused before any of the body came', () => {
  const head = Buffer.concat(packFrames([{ kind: 1, id: 0, body: new Uint8Array(1_001) }])).subarray(0, 9);
  expect(() => [...new FrameReader(1_000).push(head)]).toThrow(GarbageError);
  expect([...new FrameReader(1_001).push(head)]).toEqual([]);
});
