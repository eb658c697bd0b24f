/**
 * Who may import whom in src/. A layer is a folder, or a file that stands higher than its folder. It may import itself,
 * the layers named here and the two files everyone knows (`everywhere`). The order is that of the architecture:
 * http → database → driver → replication → store, ports → document.
 */

export const everywhere: readonly string[] = ['src/errors.ts', 'src/config.ts'];

/** Files that wire the parts together, and folders made of such files: they may import everything. */
export const wiring: readonly string[] = ['src/main.ts', 'src/node.ts', 'src/cli/'];

/**
 * Ports: files of a higher folder that hold only types, for a lower one to fill in. Dependency points up, knowledge
 * does not.
 */
export const ports: readonly string[] = ['src/http/services.ts', 'src/http/leaderless-services.ts'];

const strategies = ['single-leader', 'multi-leader', 'leaderless'];
const core = ['document'];
const platform = ['runtime', ...core];
const storage = ['store', ...platform];
const data = ['database', 'driver', 'replication', ...storage];

export const mayImport: Readonly<Record<string, readonly string[]>> = {
  document: [],
  runtime: core,
  store: platform,
  replication: core,
  'single-leader': ['replication', ...core],
  'multi-leader': ['replication', ...core],
  leaderless: ['replication', ...core],
  driver: [...strategies, 'replication', ...storage],
  database: ['driver', 'replication', ...storage],
  replicator: ['multi-leader', ...data],
  cluster: ['single-leader', ...data],
  replicas: ['leaderless', ...data],
  access: data,
  http: ['access', 'cluster', 'replicator', 'leaderless', ...data],
  client: ['leaderless', 'replication', ...core],
};

/** The same inputs must give the same outputs here, in the simulator and in the browser. */
export const pureFolders: readonly string[] = [
  'document',
  'replication',
  'single-leader',
  'multi-leader',
  'leaderless',
];

/** Runs in browsers too: no Node modules. */
export const browserFolders: readonly string[] = [...pureFolders, 'client'];

/** The only homes of packages that hide behind a port. */
export const packageHomes: Readonly<Record<string, string>> = { 'classic-level': 'store' };

/** Drivers run cores over ports, so they stand above both: on a layer of their own, though they live in runtime/. */
const driverFile = /^src\/runtime\/driver(-[a-z-]+)?\.ts$/;

/** `src/store/keys.ts` → `store`; undefined for a file at the top of src/ or outside it. */
export function layerOf(path: string): string | undefined {
  return driverFile.test(path) ? 'driver' : /^src\/([^/]+)\//.exec(path)?.[1];
}
