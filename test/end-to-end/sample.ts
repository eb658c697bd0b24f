import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './build.ts';

/** Makes the sample data of `tercet dev` where the build did not: some seconds once, then nothing. */
export async function makeSample(): Promise<void> {
  await promisify(execFile)(process.execPath, [join(root, 'scripts', 'make-sample.mjs')]);
}
