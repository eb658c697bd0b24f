/**
 * The rules of STYLE.md that a machine can hold, as data. Each carries broken examples, which the test shows red, and
 * allowed ones that look alike, which it shows green: a rule that was never seen red proves nothing.
 */

import type { SourceFile, SourceText } from './source-file.ts';

export interface Finding {
  readonly line: number;
  readonly message: string;
}

export interface Rule {
  readonly name: string;
  readonly why: string;
  readonly broken: readonly SourceText[];
  readonly allowed: readonly SourceText[];
  readonly find: (file: SourceFile) => readonly Finding[];
}

export function example(path: string, text: string): SourceText {
  return { path, text };
}
