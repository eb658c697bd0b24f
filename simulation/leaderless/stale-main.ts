/** `npm run simulate:stale-reads -- SEED TRIALS`: writes docs/leaderless-staleness.csv and the drawing of it. */

import { writeFileSync } from 'node:fs';
import { renderPlot, renderTable } from './stale-plot.ts';
import { measureStaleReads } from './stale-reads.ts';

const [seed = 1, trials = 2_000] = process.argv.slice(2).map(Number);
const command = `npm run simulate:stale-reads -- ${seed} ${trials}`;
const rows = measureStaleReads(seed, trials);
const docs = new URL('../../docs/', import.meta.url);
writeFileSync(new URL('leaderless-staleness.csv', docs), renderTable(rows, command));
writeFileSync(new URL('leaderless-staleness.svg', docs), renderPlot(rows, command));
