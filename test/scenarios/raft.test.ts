/**
 * Golden transcripts of a Raft group. `UPDATE_SCENARIOS=1 npx vitest run test/scenarios/raft.test.ts` writes them anew;
 * commit the result only if you understand what changed it.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { retell } from './raft-story.ts';

const folder = fileURLToPath(new URL('raft', import.meta.url));
const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));

describe('a Raft group does what its transcript says', () => {
  it('there are transcripts', () => {
    expect(files.length).toBeGreaterThan(3);
  });

  it.each(files)('%s', (name) => {
    const path = `${folder}/${name}`;
    const transcript = readFileSync(path, 'utf8');
    const retold = retell(transcript);
    if (process.env.UPDATE_SCENARIOS === '1') writeFileSync(path, retold);
    else expect(retold).toBe(transcript);
  });
});
