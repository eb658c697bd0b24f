import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** Beyond this many, tests were left out by a filter on the command line, not by what the machine lacks. */
const namedMax = 40;

/**
 * Ends a run with one plain line, `12 passed, 0 failed`, for readers who see only the tail of a log; before it stands what
 * was skipped, so that nobody takes for tested what this machine could not test.
 */
export const closingLine: Reporter = {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors) {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string) => tests.filter((test) => test.result().state === state).length;
    // A module that fails to load has no tests to count, and an error outside of any test counts as well.
    const broken = modules.filter(
      (module) => module.state() === 'failed' && module.errors().length > 0,
    ).length;
    const skipped = tests.filter((test) => test.result().state === 'skipped');
    const failed = count('failed') + broken + unhandledErrors.length;
    if (skipped.length <= namedMax) for (const test of skipped) console.log(`NOT TESTED HERE: ${told(test)}`);
    const left = skipped.length > 0 ? `, ${skipped.length} skipped` : '';
    console.log(`${count('passed')} passed, ${failed} failed${left}`);
  },
};

function told(test: TestCase): string {
  const result = test.result();
  const note = result.state === 'skipped' ? result.note : undefined;
  return note === undefined ? test.fullName : `${test.fullName} (${note.trim()})`;
}
