/** What a power cut leaves is recovered without a word; what a broken disk leaves is refused, naming the file. */

import { cp, mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type LevelStore, openLevelStore } from './level-store.ts';
import type { Operation, Store } from './store.ts';

const options = { createdBy: '0.0.0' } as const;
const pageBytes = 4_096;

let directory: string;
let store: LevelStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tercet-damage-'));
  store = await openLevelStore(join(directory, 'data'), options);
});

afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

/** Two entries a batch, over one block of the log in most cases. */
function batchOf(number: number): Operation[] {
  const bytes = (number * 9_973) % 90_000;
  return ['a', 'b'].map((part) => ({
    kind: 'put',
    key: keyOf(number, part),
    value: new Uint8Array(bytes).fill(number),
  }));
}

function keyOf(number: number, part: string): Uint8Array {
  return new TextEncoder().encode(`${number} ${part}`);
}

function partsFound(found: Store, number: number): number {
  return ['a', 'b'].filter((part) => found.get(keyOf(number, part)) !== undefined).length;
}

async function fileNamed(pattern: RegExp, path = join(directory, 'data')): Promise<string> {
  const name = (await readdir(join(path, 'level'))).find((one) => pattern.test(one));
  if (name === undefined) throw new Error(`no file ${pattern}`);
  return join(path, 'level', name);
}

describe('a power cut', () => {
  test('loses nothing acknowledged, and leaves no half batch, wherever the unsynced bytes are torn', async () => {
    const log = await fileNamed(/\.log$/);
    const synced: number[] = [0];
    for (let number = 1; number <= 12; number += 1) {
      await store.commit(batchOf(number));
      synced.push((await stat(log)).size);
    }
    const bytes = await readFile(log);
    const cut = fc.record({
      acknowledged: fc.integer({ min: 1, max: 11 }),
      /** How much of the unsynced batch reached the disk. */
      written: fc.double({ min: 0, max: 1, noNaN: true }),
      /** Pages of it that did not, though later ones did. */
      lostPages: fc.array(fc.nat(40), { maxLength: 4 }),
    });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(cut, async ({ acknowledged, written, lostPages }) => {
        const start = synced[acknowledged]!;
        const end = synced[acknowledged + 1]!;
        const torn = Buffer.from(bytes.subarray(0, start + Math.floor((end - start) * written)));
        for (const page of lostPages) {
          const lost = start + page * pageBytes;
          if (lost < torn.length) torn.fill(0, lost, Math.min(lost + pageBytes, torn.length));
        }
        round += 1;
        const copy = join(directory, `copy ${round}`);
        await cp(join(directory, 'data'), copy, { recursive: true });
        await writeFile(await fileNamed(/\.log$/, copy), torn);

        const recovered = await openLevelStore(copy, options);
        for (let number = 1; number <= acknowledged; number += 1)
          expect(partsFound(recovered, number)).toBe(2);
        expect(partsFound(recovered, acknowledged + 1)).not.toBe(1);
        await recovered.commit(batchOf(20));
        await recovered.close();
        const again = await openLevelStore(copy, options);
        expect(partsFound(again, 20)).toBe(2);
        expect(partsFound(again, acknowledged)).toBe(2);
        await again.close();
        await rm(copy, { recursive: true });
      }),
      { numRuns: 40 },
    );
  });
});

describe('damage', () => {
  /** Fills one table and leaves later commits in the log. */
  beforeEach(async () => {
    for (let number = 1; number <= 4; number += 1) await store.commit(batchOf(number));
    await store.reclaim({ from: Uint8Array.of(0), to: Uint8Array.of(0xff) });
    for (let number = 5; number <= 8; number += 1) await store.commit(batchOf(number));
    await store.close();
  });

  async function expectDamaged(message: RegExp): Promise<void> {
    const before = await contents();
    await expect(openLevelStore(join(directory, 'data'), options)).rejects.toMatchObject({
      kind: 'damaged',
      message,
    });
    expect(await contents()).toEqual(before);
    // Both the refusal and its words are stable: nothing was changed by looking.
    await expect(openLevelStore(join(directory, 'data'), options)).rejects.toMatchObject({
      kind: 'damaged',
      message,
    });
  }

  /** Bytes by name, without LevelDB's own notes and lock. */
  async function contents(): Promise<Map<string, string>> {
    const names = (await readdir(join(directory, 'data', 'level'))).filter((name) => !/^LO(G|CK)/.test(name));
    const entries = names.map(async (name): Promise<[string, string]> => {
      return [name, await readFile(join(directory, 'data', 'level', name), 'latin1')];
    });
    return new Map(await Promise.all(entries));
  }

  async function change(path: string, how: (bytes: Buffer) => Buffer): Promise<void> {
    await writeFile(path, how(await readFile(path)));
  }

  const flipAt =
    (share: number) =>
    (bytes: Buffer): Buffer => {
      const at = Math.floor(bytes.length * share);
      bytes[at] = bytes[at]! ^ 0x40;
      return bytes;
    };

  test.each([0.001, 0.2, 0.4])(
    'in the middle of the log (at %f of it) is reported, not skipped',
    async (share) => {
      await change(await fileNamed(/\.log$/), flipAt(share));
      await expectDamaged(/\d+\.log is damaged at byte \d+/);
    },
  );

  test('that lost a log is reported', async () => {
    await unlink(await fileNamed(/\.log$/));
    await expectDamaged(/\d+\.log is missing/);
  });

  test('that lost a table is reported', async () => {
    await unlink(await fileNamed(/\.ldb$/));
    await expectDamaged(/\d+\.ldb is missing/);
  });

  test('that cut a table short is reported', async () => {
    await change(await fileNamed(/\.ldb$/), (bytes) => bytes.subarray(0, bytes.length - 10));
    await expectDamaged(/\d+\.ldb has \d+ bytes instead of \d+/);
  });

  test('that lost CURRENT is reported instead of starting empty', async () => {
    await unlink(await fileNamed(/^CURRENT$/));
    await expectDamaged(/CURRENT is missing/);
  });

  test('that broke CURRENT is reported', async () => {
    await writeFile(await fileNamed(/^CURRENT$/), '');
    await expectDamaged(/CURRENT does not name a MANIFEST/);
  });

  test('that lost the MANIFEST is reported', async () => {
    await unlink(await fileNamed(/^MANIFEST-/));
    await expectDamaged(/MANIFEST-\d+ is missing/);
  });

  test('in the MANIFEST is reported', async () => {
    await change(await fileNamed(/^MANIFEST-/), flipAt(0.1));
    await expectDamaged(/MANIFEST-\d+ cannot be read/);
  });
});
