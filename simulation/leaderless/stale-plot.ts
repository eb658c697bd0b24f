/** The measured staleness as a table and as a drawing. */

import { allCounts, allDelays, type StaleRow, timesMs } from './stale-reads.ts';

const columns = ['delays', 'n', 'r', 'w', 'after_ms', 'stale', 'reads'];
const panel = { width: 300, height: 210, left: 52, top: 64, gap: 34 };
const colours = ['#c0392b', '#d68910', '#2471a3', '#1e8449', '#7d3c98', '#17202a'];
const percentsShown = [0, 25, 50, 75];
const percentMax = 85;

export function renderTable(rows: readonly StaleRow[], command: string): string {
  const lines = rows.map(({ delays, n, r, w, afterMs, stale, reads }) =>
    [`"${delays}"`, n, r, w, afterMs, stale, reads].join(','),
  );
  return [`# ${command}`, columns.join(','), ...lines, ''].join('\n');
}

/** @throws Error when the text is not what {@link renderTable} gives */
export function parseTable(text: string): { readonly command: string; readonly rows: readonly StaleRow[] } {
  const [first = '', , ...lines] = text.trimEnd().split('\n');
  const rows = lines.map((line) => {
    const match = /^"([^"]+)",(\d+),(\d+),(\d+),([\d.]+),(\d+),(\d+)$/.exec(line);
    if (match === null) throw new Error(`not a row of the table: ${line}`);
    const [n, r, w, afterMs, stale, reads] = match.slice(2).map(Number);
    return { delays: match[1]!, n: n!, r: r!, w: w!, afterMs: afterMs!, stale: stale!, reads: reads! };
  });
  return { command: first.slice(2), rows };
}

export function renderPlot(rows: readonly StaleRow[], command: string): string {
  const width = panel.left + allDelays.length * (panel.width + panel.gap);
  const height = panel.top + panel.height + 96;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    '<title>Probability that a read misses the last acknowledged write</title>',
    `<desc>${command}</desc>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="${panel.left}" y="22" font-size="15">Reads that miss the last acknowledged write, by how long after its acknowledgement they began</text>`,
    ...allDelays.flatMap(({ name }, index) => renderPanel(name, index, rows)),
    ...renderLegend(panel.top + panel.height + 62),
    `<text x="${panel.left}" y="${height - 10}" fill="#555555">${command} · nothing fails, nothing is repaired</text>`,
    '</svg>',
    '',
  ].join('\n');
}

function renderPanel(name: string, index: number, rows: readonly StaleRow[]): string[] {
  const left = panel.left + index * (panel.width + panel.gap);
  const x = (place: number) => left + (place * panel.width) / (timesMs.length - 1);
  const y = (percent: number) => panel.top + panel.height * (1 - percent / percentMax);
  const grid = percentsShown.map(
    (percent) =>
      `<path d="M${left} ${y(percent).toFixed(1)}h${panel.width}" stroke="#dddddd"/><text x="${left - 6}" y="${(y(percent) + 4).toFixed(1)}" text-anchor="end">${percent} %</text>`,
  );
  const ticks = timesMs.map(
    (time, place) =>
      `<text x="${x(place).toFixed(1)}" y="${panel.top + panel.height + 16}" text-anchor="middle">${time}</text>`,
  );
  const lines = allCounts.map(({ n, r, w }, which) => {
    const points = timesMs.map((time, place) => {
      const row = rows.find(
        (one) => one.delays === name && one.n === n && one.r === r && one.w === w && one.afterMs === time,
      );
      return `${x(place).toFixed(1)},${y(row === undefined ? 0 : (100 * row.stale) / row.reads).toFixed(1)}`;
    });
    return `<polyline fill="none" stroke="${colours[which]}" stroke-width="2" points="${points.join(' ')}"/>`;
  });
  const title = `<text x="${left}" y="${panel.top - 12}">${name}</text>`;
  const unit = `<text x="${left + panel.width / 2}" y="${panel.top + panel.height + 34}" text-anchor="middle">milliseconds after the acknowledgement</text>`;
  return [title, ...grid, ...ticks, ...lines, unit];
}

function renderLegend(top: number): string[] {
  return allCounts.map(({ n, r, w }, which) => {
    const left = panel.left + which * 150;
    return `<path d="M${left} ${top - 4}h24" stroke="${colours[which]}" stroke-width="2"/><text x="${left + 30}" y="${top}">N=${n} R=${r} W=${w}</text>`;
  });
}
