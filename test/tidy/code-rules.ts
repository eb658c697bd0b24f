import type { Node } from 'oxc-parser';
import { layerOf, pureFolders } from './layers.ts';
import { example, type Finding, type Rule } from './rule.ts';
import type { SourceFile, SyntaxNode } from './source-file.ts';

const functionLinesMax = 60;
const fileLinesMax = 400;

const impureNames = new Set([
  ...['Promise', 'Date', 'performance', 'process', 'crypto', 'fetch', 'console'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'],
]);

/** A name that only says which member of something else is meant: `row.Date`, `{ Date: 1 }`. */
function isMemberName({ node, parent }: SyntaxNode): boolean {
  if (parent === undefined) return false;
  if (parent.type === 'MemberExpression') return parent.property === node && !parent.computed;
  return 'key' in parent && parent.key === node && !('shorthand' in parent && parent.shorthand);
}

function impurityOf(entry: SyntaxNode): string | undefined {
  const { node } = entry;
  if (node.type === 'AwaitExpression') return 'await';
  if ('async' in node && node.async) return 'async';
  if (node.type === 'ForOfStatement' && node.await) return 'for await';
  if (node.type === 'MemberExpression' && nameChain(node).join('.') === 'Math.random') return 'Math.random';
  if (node.type === 'Identifier' && impureNames.has(node.name) && !isMemberName(entry)) return node.name;
  return undefined;
}

export const purity: Rule = {
  name: 'pure folders only compute',
  why: 'a core that waits, looks at the clock or rolls dice cannot be replayed from a seed',
  broken: [
    example('src/document/resolve.ts', 'export async function resolve() {}'),
    example('src/replication/quorum.ts', 'export const answers: Promise<void>[] = [];'),
    example('src/single-leader/raft.ts', 'export const now = () => Date.now();'),
    example('src/multi-leader/replicator.ts', 'export const pick = () => Math.random();'),
    example('src/leaderless/hints.ts', 'setTimeout(() => 1, 10);'),
    example('src/document/resolve.ts', 'for await (const x of y) z(x);'),
    example('src/document/resolve.ts', "export const home = process.env['HOME'];"),
  ],
  allowed: [
    example('src/runtime/system-clock.ts', 'export const now = () => Date.now();'),
    example('src/document/resolve.ts', 'export const clock = (row: Row) => row.Date + random.next();'),
    example('src/document/resolve.test.ts', 'export async function resolve() {}'),
  ],
  find: (file) => {
    const folder = layerOf(file.path);
    if (file.isTest || folder === undefined || !pureFolders.includes(folder)) return [];
    return file.nodes.flatMap((entry) => {
      const impurity = impurityOf(entry);
      return impurity === undefined
        ? []
        : [{ line: file.lineOf(entry.node.start), message: `${impurity} in ${folder}` }];
    });
  },
};

function isFunction(node: Node): boolean {
  return (
    node.type === 'FunctionDeclaration' ||
    node.type === 'FunctionExpression' ||
    node.type === 'ArrowFunctionExpression'
  );
}

/** A function whose statements are tests is a table of contents, not something that someone must follow. */
function isTestList(file: SourceFile, { node }: SyntaxNode): boolean {
  if (!file.isTest || !('body' in node) || node.body === null || !('type' in node.body)) return false;
  const statements = node.body.type === 'BlockStatement' ? node.body.body : [];
  return statements.some((statement) => {
    if (statement.type !== 'ExpressionStatement') return false;
    return ['describe', 'it', 'test'].includes(nameChain(statement.expression)[0] ?? '');
  });
}

/** `it.skip.each(rows)` → `['it', 'skip', 'each']`. */
function nameChain(node: Node): string[] {
  if (node.type === 'Identifier') return [node.name];
  if (node.type === 'CallExpression') return nameChain(node.callee);
  if (node.type !== 'MemberExpression' || node.property.type !== 'Identifier') return [];
  return [...nameChain(node.object), node.property.name];
}

const longBody = (lines: number) => Array.from({ length: lines }, (_, i) => `  step(${i});`).join('\n');

export const functionSize: Rule = {
  name: `a function has at most ${functionLinesMax} lines`,
  why: 'what does not fit on a screen is read in pieces and misunderstood in between',
  broken: [
    example('src/http/app.ts', `export function long() {\n${longBody(59)}\n}`),
    example('src/http/app.ts', `export const long = () => {\n${longBody(59)}\n};`),
    example('src/http/app.ts', `export class A {\n long() {\n${longBody(59)}\n}\n}`),
    example('src/http/app.test.ts', `it('does much', () => {\n${longBody(59)}\n});`),
  ],
  allowed: [
    example('src/http/app.ts', `export function fits() {\n${longBody(58)}\n}`),
    example('src/http/app.test.ts', `describe('many', () => {\n${longBody(60)}\nit('is one', () => 1);\n});`),
  ],
  find: (file) =>
    file.nodes.flatMap((entry) => {
      if (!isFunction(entry.node) || isTestList(file, entry)) return [];
      const line = file.lineOf(entry.node.start);
      const lines = file.lineOf(entry.node.end) - line + 1;
      return lines <= functionLinesMax ? [] : [{ line, message: `a function of ${lines} lines` }];
    }),
};

export const fileSize: Rule = {
  name: `a file has at most ${fileLinesMax} lines`,
  why: 'a longer file holds a second idea that deserves a name of its own',
  broken: [example('src/http/app.ts', '\n'.repeat(fileLinesMax + 1))],
  allowed: [example('src/http/app.ts', '\n'.repeat(fileLinesMax))],
  find: ({ text }) => {
    const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
    return lines <= fileLinesMax ? [] : [{ line: fileLinesMax + 1, message: `${lines} lines` }];
  },
};

export const honestTests: Rule = {
  name: 'no test is left out without a reason',
  why: 'a forgotten `.only` turns the suite off; a skip needs a comment `skip: …` on the line above, or an argument',
  broken: [
    example('src/http/app.test.ts', "it.only('answers', () => {});"),
    example('src/http/app.test.ts', "describe.skip('answers', () => {});"),
    example('src/http/app.test.ts', "it.skip.each([1])('answers', () => {});"),
    example('src/http/app.test.ts', "it.todo('answers');"),
    example('src/http/app.test.ts', "it('answers', (context) => context.skip());"),
  ],
  allowed: [
    example(
      'src/http/app.test.ts',
      "// skip: needs a file system that can be filled\nit.skip('answers', () => {});",
    ),
    example('src/http/app.ts', 'cursor.skip();'),
    example('src/http/app.test.ts', "it('answers', (context) => context.skip('needs root'));"),
  ],
  find: (file) => file.nodes.flatMap((entry) => findSilencedTest(file, entry)),
};

function findSilencedTest(file: SourceFile, { node }: SyntaxNode): Finding[] {
  if (node.type === 'CallExpression' && file.isTest && node.arguments.length === 0) {
    const isSkip = nameChain(node.callee).join('.') === 'context.skip';
    if (isSkip) return [{ line: file.lineOf(node.start), message: 'context.skip without a reason' }];
  }
  if (node.type !== 'MemberExpression') return [];
  const [suite, ...modifiers] = nameChain(node);
  const modifier = modifiers.at(-1);
  if (suite === undefined || modifier === undefined || !['it', 'test', 'describe'].includes(suite)) return [];
  const line = file.lineOf(node.start);
  if (modifier === 'only' || modifier === 'todo') return [{ line, message: `${suite}.${modifier}` }];
  if (!['skip', 'skipIf', 'runIf', 'fails'].includes(modifier)) return [];
  const reason = file.comments.some(
    (comment) => comment.value.trim().startsWith('skip:') && file.lineOf(comment.end) === line - 1,
  );
  return reason ? [] : [{ line, message: `${suite}.${modifier} without a reason` }];
}
