/** Dependencies: what package-lock.json asks for against what npm says it has installed. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { env } from 'node:process';
import { SetupError, say } from './say.mjs';

/**
 * npm writes `node_modules/.package-lock.json` last, so an interrupted installation has none. Contents are compared and
 * not ages: git changes times, and another tool may have touched the lock file.
 */
export function dependenciesAreStale(root) {
  const wanted = readPackages(join(root, 'package-lock.json'));
  const installed = readPackages(join(root, 'node_modules', '.package-lock.json'));
  if (wanted === null) throw new SetupError('package-lock.json is missing or damaged: restore it with git.');
  if (installed === null) return true;
  return Object.entries(wanted).some(([path, entry]) => {
    // '' is the project itself; optional packages are for other systems, too.
    if (path === '' || entry.optional || entry.devOptional || entry.link) return false;
    return installed[path]?.version !== entry.version || !existsSync(join(root, path));
  });
}

export function installDependencies(root) {
  say('installing dependencies (npm ci --ignore-scripts)');
  // The build needs the compiler, so development packages come along even where NODE_ENV is production.
  const args = ['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  // biome-ignore lint/style/noProcessEnv: npm tells its scripts where it lies
  const npm = env.npm_execpath;
  const [command, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  const { status, error } = spawnSync(command, [...first, ...args], { cwd: root, stdio: ['ignore', 2, 2] });
  if (error?.code === 'ENOENT')
    throw new SetupError('npm was not found. It comes with Node: https://nodejs.org/en/download');
  if (status !== 0) throw new SetupError('npm ci failed: what it said is above. Is the package registry within reach?');
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? null;
  } catch {
    return null;
  }
}
