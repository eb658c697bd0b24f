import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { TestModule } from 'vitest/node';
import { closingLine } from './closing-line.ts';

let lines: string[];
beforeEach(() => {
  lines = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
});
afterEach(() => vi.restoreAllMocks());

interface Told {
  readonly state: 'passed' | 'failed' | 'skipped';
  readonly note?: string;
}

/** As much of a module as the closing line asks for. */
function moduleOf(results: readonly Told[], errors: readonly Error[] = []): TestModule {
  const tests = results.map((result, index) => ({ fullName: `test ${index}`, result: () => result }));
  return {
    children: { allTests: () => tests },
    state: () => (errors.length > 0 ? 'failed' : 'passed'),
    errors: () => errors,
  } as unknown as TestModule;
}

const report = (...modules: TestModule[]) => {
  closingLine.onTestRunEnd?.(modules, [], 'passed');
  return lines;
};

test('the last line counts what passed and failed, modules that did not load among it', () => {
  const results = [{ state: 'passed' }, { state: 'failed' }, { state: 'passed' }] as const;
  expect(report(moduleOf(results), moduleOf([], [new Error('syntax')]))).toEqual(['2 passed, 2 failed']);
});

test('what was skipped is named with its reason', () => {
  const results = [{ state: 'skipped', note: 'needs root\n' }, { state: 'skipped' }] as const;
  expect(report(moduleOf(results))).toEqual([
    'NOT TESTED HERE: test 0 (needs root)',
    'NOT TESTED HERE: test 1',
    '0 passed, 0 failed, 2 skipped',
  ]);
});

test('what a filter left out is only counted', () => {
  const results = Array.from({ length: 41 }, () => ({ state: 'skipped' }) as const);
  expect(report(moduleOf(results))).toEqual(['0 passed, 0 failed, 41 skipped']);
});
