/** Wall clocks that a test sets, each process its own: by a library that adds what the file CLOCKS/<pid> says, in seconds. */

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const source = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long set_by(void) {
  char path[4096];
  long seconds = 0;
  snprintf(path, sizeof path, "%s/%d", getenv("CLOCKS"), (int)getpid());
  FILE *file = fopen(path, "r");
  if (file == NULL) return 0;
  if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
  fclose(file);
  return seconds;
}

int clock_gettime(clockid_t id, struct timespec *at) {
  int result = ((int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime"))(id, at);
  if (result == 0 && id == CLOCK_REALTIME) at->tv_sec += set_by();
  return result;
}

int gettimeofday(struct timeval *at, void *zone) {
  int result = ((int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday"))(at, zone);
  if (result == 0) at->tv_sec += set_by();
  return result;
}
`;

export interface SettableClocks {
  readonly environment: Readonly<Record<string, string>>;
  set(process: { readonly pid: number }, hours: number): void;
}

/** Undefined where they cannot be: without Linux or a C compiler. */
export async function settableClocks(directory: string): Promise<SettableClocks | undefined> {
  const library = join(directory, 'clock.so');
  writeFileSync(join(directory, 'clock.c'), source);
  try {
    if (process.platform !== 'linux') return undefined;
    const files = ['-o', library, join(directory, 'clock.c'), '-ldl'];
    await run('cc', ['-shared', '-fPIC', ...files]);
  } catch {
    return undefined;
  }
  return {
    environment: { LD_PRELOAD: library, CLOCKS: directory },
    set: ({ pid }, hours) => writeFileSync(join(directory, String(pid)), String(hours * 3_600)),
  };
}
