import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseTable, renderPlot, renderTable } from './stale-plot.ts';
import { measureStaleReads, type StaleRow } from './stale-reads.ts';

const share = (rows: readonly StaleRow[], chosen: Partial<StaleRow>) => {
  const found = rows.filter((row) =>
    Object.entries(chosen).every(([name, value]) => row[name as keyof StaleRow] === value),
  );
  const stale = found.reduce((sum, row) => sum + row.stale, 0);
  return stale / found.reduce((sum, row) => sum + row.reads, 0);
};

describe('stale reads', () => {
  const rows = measureStaleReads(1, 30);

  it('are there where quorums need not meet, and nowhere else', () => {
    expect(share(rows, { n: 3, r: 2, w: 2 })).toBe(0);
    expect(share(rows, { n: 3, r: 1, w: 1, afterMs: 0 })).toBeGreaterThan(0);
    expect(share(rows, { n: 3, r: 1, w: 1, afterMs: 0 })).toBeGreaterThan(
      share(rows, { n: 3, r: 1, w: 1, afterMs: 64 }),
    );
  });

  it('are the same for the same seed', () => {
    expect(measureStaleReads(1, 5)).toEqual(measureStaleReads(1, 5));
    expect(measureStaleReads(2, 5)).not.toEqual(measureStaleReads(1, 5));
  });
});

describe('docs/leaderless-staleness', () => {
  const docs = new URL('../../docs/', import.meta.url);
  const table = readFileSync(new URL('leaderless-staleness.csv', docs), 'utf8');
  const { command, rows } = parseTable(table);

  it('is drawn from the table beside it, and names the command that made both', () => {
    expect(readFileSync(new URL('leaderless-staleness.svg', docs), 'utf8')).toBe(renderPlot(rows, command));
    expect(renderTable(rows, command)).toBe(table);
    expect(command).toMatch(/^npm run simulate:stale-reads -- \d+ \d+$/);
  });

  it('is of the counts, delays and times that the command measures', () => {
    const shape = (list: readonly StaleRow[]) =>
      list.map(({ stale: _stale, reads: _reads, ...rest }) => rest);
    expect(shape(rows)).toEqual(shape(measureStaleReads(1, 1)));
  });
});
