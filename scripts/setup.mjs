#!/usr/bin/env node
/**
 * Makes a clone ready: dependencies, build, nats-server. Runs before `npm start` and `npm test`, so it may use nothing
 * but Node itself, and does only what is not done yet, saying each thing in one line. `--no-nats` leaves the server out; a
 * browser is looked for before the tests alone.
 */
import { dirname } from 'node:path';
import { env } from 'node:process';
import { fileURLToPath } from 'node:url';
import { build, buildIsStale } from './setup/build.mjs';
import { chromiumIsMissing, ensureChromium } from './setup/chromium.mjs';
import { dependenciesAreStale, installDependencies } from './setup/dependencies.mjs';
import { withFolderLock } from './setup/folder-lock.mjs';
import { ensureNatsServer, natsServerIsMissing } from './setup/nats-server.mjs';
import { SetupError, say } from './setup/say.mjs';

const OLDEST_NODE = [20, 19];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const wantsNats = !process.argv.includes('--no-nats');
// Only the tests and the pictures of the page drive a browser.
// biome-ignore lint/style/noProcessEnv: npm tells its scripts which one is run
const wantsBrowser = ['pretest', 'preshots'].includes(env.npm_lifecycle_event);

try {
  checkNode();
  if (somethingIsMissing()) await withFolderLock(root, makeReady);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`\nproctor: ${error.message}\n`);
  process.exitCode = 1;
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  throw new SetupError(
    `Node ${OLDEST_NODE.join('.')} or newer is needed, this is ${process.versions.node}. See https://nodejs.org/en/download`,
  );
}

function somethingIsMissing() {
  return (
    dependenciesAreStale(root) ||
    buildIsStale(root) ||
    (wantsNats && natsServerIsMissing(env)) ||
    (wantsBrowser && chromiumIsMissing(env))
  );
}

/** Whoever waited for the lock finds most of it done, so everything is asked again. */
function makeReady() {
  if (dependenciesAreStale(root)) installDependencies(root);
  if (buildIsStale(root)) build(root);
  if (wantsNats) ensureNatsServer(env);
  if (wantsBrowser) ensureChromium(env);
  say('ready');
}
