/**
 * Packages to compare with. They are not among the project's own, which would bring hundreds of others with them; npm
 * installs each once into node_modules/.cache, without running install scripts.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The directory whose node_modules has the package. @throws Error when npm cannot install it */
export function cachedPackage(name: string, version: string): string {
  const home = join(root, 'node_modules/.cache/tercet-bench', `${name}-${version}`);
  if (existsSync(join(home, 'node_modules', name))) return home;
  process.stderr.write(`Installing ${name} ${version} to compare with…\n`);
  const parameters = ['install', '--prefix', home, '--ignore-scripts', '--no-audit', '--no-fund', '--silent'];
  const { status, stderr } = spawnSync('npm', [...parameters, `${name}@${version}`], {
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error(`npm could not install ${name}: ${stderr}`);
  return home;
}
