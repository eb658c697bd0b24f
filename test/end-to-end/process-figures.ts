/** What Linux says about a running process: its memory and its open sockets. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { platform } from 'node:os';

/** Why tests that need these figures are skipped elsewhere. */
export const figuresMissing = platform() !== 'linux' && 'memory and sockets of a process are read from /proc';

/** Resident memory now, in bytes. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, 'VmRSS');
}

/** The most that was ever resident, in bytes. */
export function peakResidentBytes(pid: number): number {
  return statusBytes(pid, 'VmHWM');
}

/** Sockets that the process has open, the listening one included. */
export function openSockets(pid: number): number {
  return descriptors(pid).filter((target) => target.startsWith('socket:')).length;
}

function descriptors(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).map((name) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${name}`);
    } catch {
      return 'closed in between';
    }
  });
}

function statusBytes(pid: number, name: string): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (line === null) throw new Error(`/proc/${pid}/status has no ${name}`);
  return Number(line[1]) * 1_024;
}

/** How many files and sockets a process started from here may have open. */
export function descriptorsMax(): number {
  if (figuresMissing) return 1_024;
  const line = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  return line?.[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line?.[1] ?? 1_024);
}
