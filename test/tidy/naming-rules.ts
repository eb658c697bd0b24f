import { example, type Finding, type Rule } from './rule.ts';
import { parses, type SourceFile } from './source-file.ts';

/** Left: words that the glossary replaces. Right: the word to use. */
const glossary: ReadonlyMap<string, string> = new Map([
  ['master', 'leader'],
  ['slave', 'follower'],
  ['primary', 'leader'],
  ['secondary', 'follower'],
  ['prune', 'stem'],
  ['pruned', 'stemmed'],
  ['datacenter', 'region'],
  ['mgr', 'a full word'],
  ['util', 'the name of what it does'],
  ['utils', 'the name of what it does'],
]);

/** `rowsPerMaster` → `['rows', 'per', 'master']`. */
function wordsOf(identifier: string): string[] {
  return identifier.split(/_|\$|(?<=[a-z0-9])(?=[A-Z])/).map((word) => word.toLowerCase());
}

export const glossaryWords: Rule = {
  name: 'identifiers speak the glossary',
  why: 'two words for one idea are two ideas to the reader',
  broken: [
    example('src/http/app.ts', 'export const masterNode = 1;'),
    example('src/http/app.ts', 'export interface Peer { readonly slave_count: number }'),
    example('src/document/stem.ts', 'export function pruneLeaves() {}'),
  ],
  allowed: [
    example('src/http/app.ts', 'export const mastery = 1;'),
    example('src/http/app.ts', "export const fromCouch = 'primary';"),
    // What others call their things is theirs.
    example('src/http/app.ts', 'call(schema.primaryKey, { primaryKey: 1 });'),
  ],
  find: (file) =>
    file.nodes.flatMap(({ node, parent }) => {
      if (node.type !== 'Identifier' || parent?.type === 'MemberExpression' || parent?.type === 'Property')
        return [];
      return wordsOf(node.name)
        .filter((word) => glossary.has(word))
        .map((word) => ({
          line: file.lineOf(node.start),
          message: `${node.name}: say ${glossary.get(word)}`,
        }));
    }),
};

export const fileNames: Rule = {
  name: 'files and folders are kebab-case and named after an idea',
  why: 'a junk drawer grows where a name promises nothing',
  broken: [
    example('src/document/revisionGraph.ts', ''),
    example('src/Document/revision.ts', ''),
    example('src/document/utils.ts', ''),
    example('src/helpers/strings.ts', ''),
    example('test/misc.test.ts', ''),
  ],
  allowed: [example('src/document/revision-graph.test.ts', ''), example('vitest.config.ts', '')],
  find: ({ path }) => {
    const names = path.split('/').map((part) => part.replace(/(\.test|\.config|\.d)?\.[cm]?[jt]sx?$/, ''));
    return names.flatMap((name) => {
      if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) return [{ line: 1, message: `${name} is not kebab-case` }];
      return /^(utils?|helpers?|misc|common|stuff)$/.test(name)
        ? [{ line: 1, message: `${name} says nothing` }]
        : [];
    });
  },
};

export const namedExports: Rule = {
  name: 'exports have names',
  why: 'one thing keeps one name in the whole tree',
  broken: [
    example('src/http/app.ts', 'export default function app() {}'),
    example('src/http/app.ts', 'const app = 1; export { app as default };'),
  ],
  allowed: [
    example('src/http/app.ts', 'export function app() {}'),
    example('vitest.config.ts', 'export default {};'),
  ],
  find: (file) =>
    file.exportsDefault && file.path !== 'vitest.config.ts' ? [{ line: 1, message: 'a default export' }] : [],
};

export const noBarrels: Rule = {
  name: 'no file only passes on what others export',
  why: 'an import should lead to the code',
  broken: [
    example('src/http/index.ts', "export * from './app.ts';"),
    example('src/http/all.ts', "export { app } from './app.ts';\nexport type { Row } from './rows.ts';"),
  ],
  allowed: [
    example('src/node.ts', "export type { Row } from './http/rows.ts';\nexport function openNode() {}"),
  ],
  find: (file) => (file.isBarrel ? [{ line: 1, message: 'a barrel file' }] : []),
};

export const finishedComments: Rule = {
  name: 'comments promise nothing and silence nothing',
  why: 'a note to come back is never read again; a silenced checker hides the next mistake too',
  broken: [
    example('src/http/app.ts', '// TODO: later'),
    example('src/http/app.ts', '/* FIXME */'),
    example('src/http/app.ts', '// a HACK that works'),
    example('src/http/app.ts', '// @ts-ignore\nexport const x: number = y;'),
    example('src/http/app.ts', '/* eslint-disable */'),
  ],
  allowed: [
    example('src/http/app.ts', "// The todo list of a client may be empty.\nexport const mark = 'TODO';"),
  ],
  find: (file) =>
    file.comments.flatMap((comment) => {
      const found = /\b(TODO|FIXME|HACK|XXX)\b|@ts-(ignore|nocheck)|eslint-/.exec(comment.value)?.[0];
      return found === undefined ? [] : [{ line: file.lineOf(comment.start), message: found }];
    }),
};

export const noDeadCode: Rule = {
  name: 'no code is kept as a comment',
  why: 'git remembers it; the reader should not have to',
  broken: [
    example('src/http/app.ts', '// const x = compute(1);\nexport const y = 1;'),
    example('src/http/app.ts', '// if (slow) {\n//   wait();\n// }\nexport const y = 1;'),
  ],
  allowed: [
    example('src/http/app.ts', '// One follower is slow; the others go on.'),
    example('src/http/app.ts', '// The row is { id: [revision] } as CouchDB wants it.'),
  ],
  find: (file) =>
    lineCommentRuns(file)
      .filter(({ text }) => /[;{}]\s*$/m.test(text) && parses(text))
      .map(({ line }) => ({ line, message: 'commented-out code' })),
};

/** Neighbouring `//` lines joined to one text. */
function lineCommentRuns(file: SourceFile): (Finding & { readonly text: string })[] {
  const runs: { line: number; lastLine: number; message: string; text: string }[] = [];
  for (const comment of file.comments) {
    if (comment.type !== 'Line') continue;
    const line = file.lineOf(comment.start);
    const run = runs.at(-1);
    if (run !== undefined && run.lastLine === line - 1) {
      run.text += `\n${comment.value}`;
      run.lastLine = line;
    } else {
      runs.push({ line, lastLine: line, message: '', text: comment.value });
    }
  }
  return runs;
}

export const parsesAtAll: Rule = {
  name: 'files are whole TypeScript',
  why: 'the rules above see nothing in a file that does not parse',
  broken: [example('src/http/app.ts', 'export const = 1;')],
  allowed: [example('src/http/app.ts', 'export const x = 1;')],
  find: (file) => file.syntaxErrors.map((message) => ({ line: 1, message })),
};
