import { defineConfig } from 'vitest/config';
import { closingLine } from './test/closing-line.ts';
import { LongestFirst } from './test/longest-first.ts';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'bench/**/*.test.ts', 'simulation/**/*.test.ts'],
    // Two cores: one for the test, one for the processes that end-to-end tests start.
    maxWorkers: 2,
    // A process of its own for each file would read the same modules two hundred times: a quarter of the CPU time of all tests.
    isolate: false,
    restoreMocks: true,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // What is waited for comes at once; a busy machine takes longer than the second that is usual.
    expect: { poll: { timeout: 20_000 } },
    reporters: ['default', closingLine],
  },
});
