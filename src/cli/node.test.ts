import { expect, it } from 'vitest';
import { OptionsError } from '../config.ts';
import { node } from './node.ts';

it.each([
  [['ad', 'n4=http://n4'], 'did you mean add?'],
  [['add', 'n4'], 'write NAME=URL'],
  [['add', 'n4=http://n4', '--witness', '--learner'], 'keep one'],
  [['add'], 'NAME=URL is missing'],
  [['promote'], 'NAME is missing'],
  [['remove', 'n4', 'n5'], 'is not a flag'],
  [['list', '--witness'], 'no flag --witness'],
  [['__proto__'], 'no node command'],
])('a mistake on the command line is a sentence that says what to write: %j', async (argv, wanted) => {
  const mistake = await node(argv).catch((error: unknown) => error);
  expect(mistake).toBeInstanceOf(OptionsError);
  expect(String(mistake)).toContain(wanted);
  expect(String(mistake)).not.toContain('\n');
});
