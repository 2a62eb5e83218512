/**
 * The build: dist/ belongs to exactly the sources whose hash dist/.stamp holds. It is made beside and moved into place,
 * so that a failed build leaves the old one, and files of deleted sources vanish.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError, say } from './say.mjs';

const SOURCES = ['src', 'machines', 'supervisors', 'bench'];
const SETTINGS = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];

export function buildIsStale(root) {
  return read(join(root, 'dist', '.stamp')) !== hashOfSources(root);
}

export function build(root) {
  say('building (tsc -p tsconfig.build.json)');
  const stamp = hashOfSources(root);
  const [next, old, dist] = ['dist.next', 'dist.old', 'dist'].map((name) => join(root, name));
  for (const folder of [next, old]) rmSync(folder, { recursive: true, force: true });
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [tsc, '-p', 'tsconfig.build.json', '--outDir', next, '--noEmitOnError'];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) {
    rmSync(next, { recursive: true, force: true });
    throw new SetupError('the build failed: what the compiler said is above.');
  }
  buildPage(root, join(next, 'console', 'page', 'assets'));
  writeFileSync(join(next, '.stamp'), stamp);
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(next, dist);
  rmSync(old, { recursive: true, force: true });
}

/** The console's page, by Vite: it has no process of its own, so its warnings come out here. */
function buildPage(root, outDir) {
  say('building the page of the console (vite)');
  const vite = join(root, 'scripts', 'setup', 'page.mjs');
  const { status } = spawnSync(process.execPath, [vite, outDir], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status === 0) return;
  rmSync(join(root, 'dist.next'), { recursive: true, force: true });
  throw new SetupError('the build of the page failed: what Vite said is above.');
}

function hashOfSources(root) {
  const hash = createHash('sha256');
  for (const path of [...SETTINGS, ...SOURCES.flatMap((folder) => filesBelow(root, folder))]) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0');
  }
  return hash.digest('hex');
}

function filesBelow(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(tsx?|json|css|html|svg)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1))
    .sort();
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
