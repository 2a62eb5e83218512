/**
 * The nats-server that `npm start` and the tests run: one that is there, or Debian's package where that can be
 * installed. Nothing is ever downloaded from elsewhere.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { SetupError, say } from './say.mjs';

const CHOICES = `a nats-server (2.9 or newer) is needed and none was found. Choose one:
  - Debian, Ubuntu:  apt-get install nats-server   (done for you when run as root)
  - macOS:           brew install nats-server
  - any system:      https://github.com/nats-io/nats-server/releases, then PROCTOR_NATS_SERVER=/path/to/nats-server
  - Docker:          docker run -d -p 127.0.0.1:4222:4222 nats:2.12-alpine -js, then NATS_URL=nats://127.0.0.1:4222
  - a server that runs already: NATS_URL=nats://host:4222`;

export function natsServerIsMissing(env) {
  if (env.NATS_URL) return false;
  if (env.PROCTOR_NATS_SERVER) {
    if (isExecutable(env.PROCTOR_NATS_SERVER)) return false;
    throw new SetupError(`PROCTOR_NATS_SERVER is ${env.PROCTOR_NATS_SERVER}, which is no executable file.`);
  }
  return find('nats-server', env) === null;
}

export function ensureNatsServer(env) {
  if (!natsServerIsMissing(env)) return;
  if (find('apt-get', env) === null || output('id', ['-u'], env) !== '0') throw new SetupError(CHOICES);
  say('no nats-server found; installing the Debian package (apt-get install -y nats-server)');
  const updated = !knowsPackage(env);
  if (updated) update(env);
  if (!apt(['install', '-y', '--no-install-recommends', 'nats-server'], env)) {
    // The known version may be gone from the mirror by now.
    if (updated) throw new SetupError(`apt-get failed: what it said is above. Else, ${CHOICES}`);
    update(env);
    if (!apt(['install', '-y', '--no-install-recommends', 'nats-server'], env)) {
      throw new SetupError(`apt-get failed: what it said is above. Else, ${CHOICES}`);
    }
  }
  if (natsServerIsMissing(env)) throw new SetupError(`the package brought no nats-server. Else, ${CHOICES}`);
  stopService(env);
}

/** Under systemd the package starts a server that is open to everybody; Proctor runs its own, so that one goes. */
function stopService(env) {
  if (!existsSync('/run/systemd/system') || find('systemctl', env) === null) return;
  say('disabling the service that the package started (systemctl disable --now nats-server)');
  spawnSync('systemctl', ['disable', '--now', 'nats-server'], { env, stdio: ['ignore', 2, 2] });
}

function knowsPackage(env) {
  return /Candidate: (?!\(none\))/.test(output('apt-cache', ['policy', 'nats-server'], { ...env, LC_ALL: 'C' }));
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
function find(name, env) {
  for (const folder of (env.PATH ?? '').split(delimiter).filter((part) => part !== '')) {
    const places = basename(folder) === 'bin' ? [folder, join(dirname(folder), 'sbin')] : [folder];
    for (const place of places) {
      if (isExecutable(join(place, name))) return join(place, name);
    }
  }
  return null;
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
