import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Starts with what takes longest, so that no core waits at the end for one long file. Vitest knows durations only where it
 * ran before, and otherwise goes by the size of a file, which says little here.
 */
const longest = [
  'test/end-to-end/dev.test.ts',
  'test/scenarios/simulation.test.ts',
  'test/end-to-end/',
  'test/package.test.ts',
  'test/scenarios/',
  'test/conformance/',
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const placeOf = ({ moduleId }: TestSpecification) => {
      const place = longest.findIndex((part) => moduleId.replaceAll('\\', '/').includes(`/${part}`));
      return place < 0 ? longest.length : place;
    };
    return sorted.toSorted((one, other) => placeOf(one) - placeOf(other));
  }
}
