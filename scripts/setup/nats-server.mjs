/**
 * The nats-server that `npm start` and the tests run: one that is there, or Debian's package where that can be
 * installed. Nothing is ever downloaded from elsewhere.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { find, installPackage, isExecutable, isRoot } from './debian.mjs';
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
  if (find('apt-get', env) === null || !isRoot(env)) throw new SetupError(CHOICES);
  say('no nats-server found; installing the Debian package (apt-get install -y nats-server)');
  if (!installPackage('nats-server', env))
    throw new SetupError(`apt-get failed: what it said is above. Else, ${CHOICES}`);
  if (natsServerIsMissing(env)) throw new SetupError(`the package brought no nats-server. Else, ${CHOICES}`);
  stopService(env);
}

/** Under systemd the package starts a server that is open to everybody; Proctor runs its own, so that one goes. */
function stopService(env) {
  if (!existsSync('/run/systemd/system') || find('systemctl', env) === null) return;
  say('disabling the service that the package started (systemctl disable --now nats-server)');
  spawnSync('systemctl', ['disable', '--now', 'nats-server'], { env, stdio: ['ignore', 2, 2] });
}
