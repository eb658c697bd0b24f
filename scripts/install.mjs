// Makes `npm start` and `npm test` work on a bare checkout: installs the locked packages when they are
// absent or older than the lock file, and otherwise costs a few milliseconds.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const installed = `${root}node_modules/.package-lock.json`;
const wanted = `${root}package-lock.json`;

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(wanted).mtimeMs) {
  process.stderr.write('Installing packages (npm ci)…\n');
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) {
    const cause = error === undefined ? '' : ` (${error.message})`;
    process.stderr.write(`
The packages could not be installed${cause}; npm says why above.
- Without a network or behind a proxy: make "npm ping" work first.
- When npm says that package.json and package-lock.json are not in sync: run "npm install" once, then this again.
- Anything else: delete node_modules and try again.
`);
    process.exit(status ?? 1);
  }
}
