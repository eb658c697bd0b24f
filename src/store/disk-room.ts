/** Finding out if a disk takes data again, by writing some. */

import { randomFillSync } from 'node:crypto';
import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';

const probeName = 'PROBE';
const chunkBytes = 1_048_576;

/**
 * Resolves if the directory's disk has durably taken `bytes`; the probe file is removed again. Asks for the free space
 * first, so that a full disk is not filled to the last byte at every try.
 * @throws errors of the file system: ENOSPC, EIO …
 */
export async function probeRoom(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize < bytes) {
    throw Object.assign(new Error(`no space left: ${bavail * bsize} bytes are free, ${bytes} are needed`), {
      code: 'ENOSPC',
    });
  }
  const path = join(directory, probeName);
  // Random, because a file system that compresses would take zeros without having room.
  const chunk = randomFillSync(Buffer.allocUnsafe(chunkBytes));
  try {
    const file = await open(path, 'w');
    try {
      for (let written = 0; written < bytes; written += chunkBytes) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
  } finally {
    await removeProbe(directory);
  }
}

/** Removes a probe file that a killed process may have left. */
export async function removeProbe(directory: string): Promise<void> {
  await rm(join(directory, probeName), { force: true });
}
