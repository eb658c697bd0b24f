import { pino } from 'pino';
import type { LogLevel } from '../config.ts';
import type { Log } from './log.ts';

/**
 * Writes to standard error: one JSON object a line, or plain sentences where a person watches. Written at once, not
 * buffered: the last line before a crash is the one that matters.
 */
export function createLog(level: LogLevel, node: string): Log {
  const stream = process.stderr.isTTY
    ? { write: (line: string) => process.stderr.write(plainLine(line)) }
    : undefined;
  return pino({ level, base: { node } }, stream ?? pino.destination({ fd: 2, sync: true }));
}

interface LogLine {
  readonly level: number;
  readonly time: number;
  readonly node: string;
  readonly msg?: string;
  readonly [field: string]: unknown;
}

/** One line of pino as a person reads it: `12:30:00 n1 warn: message (field: value)`. */
export function plainLine(line: string): string {
  const { level, time, node, msg, err, ...fields } = JSON.parse(line) as LogLine;
  const clock = new Date(time).toTimeString().slice(0, 8);
  const shown = Object.entries(fields).map(
    ([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const details = shown.length === 0 ? '' : ` (${shown.join(', ')})`;
  const cause = err === undefined ? '' : `\n  ${(err as { stack?: string }).stack ?? JSON.stringify(err)}`;
  return `${clock} ${node} ${pino.levels.labels[level]}: ${msg ?? ''}${details}${cause}\n`;
}
