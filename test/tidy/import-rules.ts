import { posix } from 'node:path';
import {
  browserFolders,
  everywhere,
  layerOf,
  mayImport,
  packageHomes,
  ports,
  pureFolders,
  wiring,
} from './layers.ts';
import { example, type Finding, type Rule } from './rule.ts';
import type { SourceFile } from './source-file.ts';

/** Tests may reach anywhere: they build the world around the file they test. */
function isRestricted(file: SourceFile): boolean {
  return file.path.startsWith('src/') && !file.isTest && !wiring.some((path) => file.path.startsWith(path));
}

function resolve(file: SourceFile, specifier: string): string | undefined {
  return specifier.startsWith('.') ? posix.join(posix.dirname(file.path), specifier) : undefined;
}

function findUpwardImports(file: SourceFile): Finding[] {
  if (!isRestricted(file)) return [];
  const folder = layerOf(file.path);
  const allowed = folder === undefined ? [] : mayImport[folder];
  if (allowed === undefined) return [{ line: 1, message: `folder src/${folder}/ has no row in layers.ts` }];
  return file.imports.flatMap(({ specifier, line }) => {
    const target = resolve(file, specifier);
    if (target === undefined || everywhere.includes(target)) return [];
    if (ports.includes(target) && folder !== undefined && !pureFolders.includes(folder)) return [];
    const targetFolder = layerOf(target);
    if (targetFolder !== undefined && (targetFolder === folder || allowed.includes(targetFolder))) return [];
    return [{ line, message: `${folder ?? 'src'} may not import ${target}` }];
  });
}

export const importDirection: Rule = {
  name: 'imports point down',
  why: 'a lower layer that knows a higher one cannot be tested, simulated or understood alone',
  broken: [
    example('src/document/winner.ts', "import { commit } from '../store/store.ts';"),
    example('src/store/keys.ts', "import type { Database } from '../database/database.ts';"),
    example('src/database/apply.ts', "export { app } from '../http/app.ts';"),
    example('src/leaderless/hints.ts', "import { vote } from '../single-leader/raft.ts';"),
    example('src/multi-leader/topology.ts', "type Place = import('../leaderless/placement.ts').Place;"),
    example('src/http/app.ts', "const { openNode } = await import('../node.ts');"),
    example('src/config.ts', "import { serve } from './cli/serve.ts';"),
    example('src/document/winner.ts', "import type { Services } from '../http/services.ts';"),
    example('src/store/keys.ts', "import { drive } from '../runtime/driver.ts';"),
    example('src/unheard-of/thing.ts', 'export const thing = 1;'),
  ],
  allowed: [
    example('src/http/app.ts', "import { Database } from '../database/database.ts';"),
    example('src/leaderless/hints.ts', "import type { Strategy } from '../replication/strategy.ts';"),
    example('src/document/winner.ts', "import { failure } from '../errors.ts';"),
    example('src/access/sessions.ts', "import type { Access } from '../http/services.ts';"),
    example('src/runtime/driver.ts', "import type { Strategy } from '../replication/strategy.ts';"),
    example('src/node.ts', "import { app } from './http/app.ts';"),
    example('src/store/keys.test.ts', "import { Database } from '../database/database.ts';"),
  ],
  find: findUpwardImports,
};

export const noNodeModules: Rule = {
  name: 'browser code imports nothing of Node',
  why: 'pure cores and the client run in the browser and the simulator unchanged',
  broken: [
    example('src/document/revision.ts', "import { createHash } from 'node:crypto';"),
    example('src/client/client.ts', "import type { Socket } from 'node:net';"),
  ],
  allowed: [
    example('src/runtime/digest.ts', "import { createHash } from 'node:crypto';"),
    example('src/document/revision.test.ts', "import { createHash } from 'node:crypto';"),
  ],
  find: (file) => {
    const folder = layerOf(file.path);
    if (file.isTest || folder === undefined || !browserFolders.includes(folder)) return [];
    return file.imports
      .filter(({ specifier }) => specifier.startsWith('node:'))
      .map(({ specifier, line }) => ({ line, message: `${folder} may not import ${specifier}` }));
  },
};

export const packagesStayHome: Rule = {
  name: 'a package behind a port is imported by its adapter only',
  why: 'the choice of a store must stay a choice of one file',
  broken: [example('src/database/apply.ts', "import { ClassicLevel } from 'classic-level';")],
  allowed: [example('src/store/level-store.ts', "import { ClassicLevel } from 'classic-level';")],
  find: (file) =>
    file.imports
      .filter(({ specifier }) => Object.hasOwn(packageHomes, specifier))
      .filter(({ specifier }) => !file.isTest && layerOf(file.path) !== packageHomes[specifier])
      .map(({ specifier, line }) => ({
        line,
        message: `${specifier} belongs to src/${packageHomes[specifier]}/`,
      })),
};
