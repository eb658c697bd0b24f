/** What the tests use of pouchdb-merge, which ships without types. */
declare module 'pouchdb-merge' {
  /** Digest, facts, branches. */
  export type Tree = [string, { status: 'available' | 'missing'; deleted?: boolean }, Tree[]];
  export interface Branch {
    pos: number;
    ids: Tree;
  }
  interface Metadata {
    rev_tree: Branch[];
  }

  export function merge(tree: Branch[], path: Branch, depth: number): { tree: Branch[]; conflicts: string };
  export function winningRev(metadata: Metadata): string;
  export function collectLeaves(tree: Branch[]): { rev: string; opts: { deleted?: boolean } }[];
  export function collectConflicts(metadata: Metadata): string[];
  export function traverseRevTree(
    tree: Branch[],
    visit: (isLeaf: boolean, generation: number, digest: string) => void,
  ): void;
}
