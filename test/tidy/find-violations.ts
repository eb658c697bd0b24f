import { fileSize, functionSize, honestTests, purity } from './code-rules.ts';
import { importDirection, noNodeModules, packagesStayHome } from './import-rules.ts';
import {
  fileNames,
  finishedComments,
  glossaryWords,
  namedExports,
  noBarrels,
  noDeadCode,
  parsesAtAll,
} from './naming-rules.ts';
import type { Rule } from './rule.ts';
import { parseSource, type SourceText } from './source-file.ts';

export const rules: readonly Rule[] = [
  ...[importDirection, noNodeModules, packagesStayHome, purity],
  ...[functionSize, fileSize, honestTests],
  ...[fileNames, namedExports, noBarrels, glossaryWords, finishedComments, noDeadCode, parsesAtAll],
];

export interface Violation {
  readonly rule: string;
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

/** Every place in the files that breaks a rule. */
export function findViolations(files: readonly SourceText[]): Violation[] {
  return files
    .map(parseSource)
    .flatMap((file) =>
      rules.flatMap((rule) =>
        rule.find(file).map((finding) => ({ rule: rule.name, path: file.path, ...finding })),
      ),
    );
}
