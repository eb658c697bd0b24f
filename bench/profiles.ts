/** Where the time went: sums up the CPU profiles that Node leaves when a process ends. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[];
  /** Node that was running at each sample. */
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

const functionsShown = 15;
const idleNames = ['(idle)', '(program)', '(root)'];

function placeOf({ functionName, url, lineNumber }: CallFrame): string {
  const file =
    url
      .replace(/^file:\/\//, '')
      .split(/\/dist\/src\/|\/node_modules\//)
      .at(-1) ?? '';
  return `${functionName || '(anonymous)'}${file === '' ? '' : ` ${file}:${lineNumber + 1}`}`;
}

/** Self time in milliseconds by function, idle time left out. */
export function selfTimes({ nodes, samples, timeDeltas }: Profile): ReadonlyMap<string, number> {
  const places = new Map(nodes.map((node) => [node.id, placeOf(node.callFrame)]));
  const times = new Map<string, number>();
  samples.forEach((id, index) => {
    const place = places.get(id);
    if (place === undefined || idleNames.includes(place)) return;
    times.set(place, (times.get(place) ?? 0) + (timeDeltas[index] ?? 0) / 1000);
  });
  return times;
}

/** One paragraph per profile in the directory: the functions that took most of the busy time. */
export async function describeProfiles(directory: string): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.cpuprofile')).toSorted();
  const paragraphs = names.map(async (name) => {
    const times = selfTimes(JSON.parse(await readFile(join(directory, name), 'utf8')) as Profile);
    const busy = [...times.values()].reduce((sum, time) => sum + time, 0);
    const top = [...times].toSorted(([, a], [, b]) => b - a).slice(0, functionsShown);
    const rows = top.map(([place, time]) => `  ${((100 * time) / busy).toFixed(1).padStart(5)} %  ${place}`);
    return [`${name}: ${(busy / 1000).toFixed(1)} s busy`, ...rows].join('\n');
  });
  return (await Promise.all(paragraphs)).join('\n\n');
}
