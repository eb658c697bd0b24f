/** A TypeScript file taken apart for the tidy rules: its syntax nodes with their parents, its imports, its comments. */

import { type Comment, type Node, parseSync, visitorKeys } from 'oxc-parser';

export interface SourceText {
  /** From the top of the project, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

export interface SyntaxNode {
  readonly node: Node;
  readonly parent: Node | undefined;
}

export interface SourceFile extends SourceText {
  readonly isTest: boolean;
  readonly nodes: readonly SyntaxNode[];
  readonly comments: readonly Comment[];
  /** What `import`, `export … from`, `import()` and import types name, as written. */
  readonly imports: readonly { readonly specifier: string; readonly line: number }[];
  readonly exportsDefault: boolean;
  /** Something is exported, and all of it comes from other files. */
  readonly isBarrel: boolean;
  readonly syntaxErrors: readonly string[];
  lineOf(offset: number): number;
}

export function parseSource({ path, text }: SourceText): SourceFile {
  const parsed = parseSync(path, text);
  const nodes = collectNodes(parsed.program);
  const lineOf = lineFinder(text);
  const exported = parsed.module.staticExports.flatMap((statement) => statement.entries);
  return {
    path,
    text,
    isTest: /\.test\.ts$|^test\/|\/test-[^/]*$/.test(path),
    nodes,
    comments: parsed.comments,
    imports: collectImports(nodes).map(({ specifier, offset }) => ({ specifier, line: lineOf(offset) })),
    exportsDefault: exported.some(
      ({ exportName: { kind, name } }) => kind === 'Default' || name === 'default',
    ),
    isBarrel: exported.length > 0 && exported.every((entry) => entry.moduleRequest !== null),
    syntaxErrors: parsed.errors.map((error) => error.message),
    lineOf,
  };
}

/** Whether a piece of text is whole TypeScript, alone or inside an async function. */
export function parses(text: string): boolean {
  return [text, `async function wrapped() {\n${text}\n}`].some(
    (candidate) => parseSync('piece.ts', candidate).errors.length === 0,
  );
}

function collectNodes(program: Node): SyntaxNode[] {
  const nodes: SyntaxNode[] = [];
  const waiting: SyntaxNode[] = [{ node: program, parent: undefined }];
  for (let current = waiting.pop(); current !== undefined; current = waiting.pop()) {
    nodes.push(current);
    for (const child of childrenOf(current.node)) waiting.push({ node: child, parent: current.node });
  }
  return nodes;
}

function childrenOf(node: Node): Node[] {
  const members = node as unknown as Readonly<Record<string, unknown>>;
  return (visitorKeys[node.type] ?? []).flatMap((key) => [members[key]].flat()).filter(isNode);
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value;
}

function collectImports(nodes: readonly SyntaxNode[]): { specifier: string; offset: number }[] {
  return nodes.flatMap(({ node }) => {
    if (!('source' in node) || !isNode(node.source) || node.source.type !== 'Literal') return [];
    const { value, start } = node.source;
    return typeof value === 'string' ? [{ specifier: value, offset: start }] : [];
  });
}

function lineFinder(text: string): (offset: number) => number {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}
