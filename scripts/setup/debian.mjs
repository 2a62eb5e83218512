/** Programs on the PATH, and Debian's packages where there are none. Nothing is ever downloaded from elsewhere. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { say } from './say.mjs';

export function isRoot(env) {
  return output('id', ['-u'], env) === '0';
}

/** False when apt-get failed; what it said was shown. */
export function installPackage(name, env) {
  const updated = !knowsPackage(name, env);
  if (updated) update(env);
  if (install(name, env)) return true;
  if (updated) return false;
  // The known version may be gone from the mirror by now.
  update(env);
  return install(name, env);
}

function install(name, env) {
  return apt(['install', '-y', '--no-install-recommends', name], env);
}

function knowsPackage(name, env) {
  return /Candidate: (?!\(none\))/.test(output('apt-cache', ['policy', name], { ...env, LC_ALL: 'C' }));
}

function update(env) {
  say('reading package lists (apt-get update)');
  apt(['update'], env);
}

function apt(args, env) {
  const quiet = { ...env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync('apt-get', ['-q', ...args], { env: quiet, stdio: ['ignore', 2, 2] }).status === 0;
}

function output(command, args, env) {
  return (spawnSync(command, args, { env, encoding: 'utf8' }).stdout ?? '').trim();
}

/** The first executable of that name on the PATH, or in the sbin folder beside one of its bin folders, where Debian's is. */
export function find(name, env) {
  for (const folder of (env.PATH ?? '').split(delimiter).filter((part) => part !== '')) {
    const places = basename(folder) === 'bin' ? [folder, join(dirname(folder), 'sbin')] : [folder];
    for (const place of places) {
      if (isExecutable(join(place, name))) return join(place, name);
    }
  }
  return null;
}

export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
