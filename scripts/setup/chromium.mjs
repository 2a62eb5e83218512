/**
 * The browser that the tests of the console's page drive: one that is there, or Debian's package where that can be
 * installed. Without one those tests fail, and say so; everything else works.
 */
import { find, installPackage, isRoot } from './debian.mjs';
import { say } from './say.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

export function chromiumIsMissing(env) {
  return NAMES.every((name) => find(name, env) === null);
}

export function ensureChromium(env) {
  if (!chromiumIsMissing(env)) return;
  if (find('apt-get', env) === null || !isRoot(env)) {
    say('no chromium found: the tests of the page need one (Debian: apt-get install chromium)');
    return;
  }
  say('no chromium found; installing the Debian package (apt-get install -y chromium)');
  if (!installPackage('chromium', env)) say('apt-get failed: the tests of the page will fail without a browser');
}
