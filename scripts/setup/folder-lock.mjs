/**
 * Two set-ups of one folder run one after the other. The lock is a file that is created exclusively; one whose process
 * is gone is moved aside, and moved back should it turn out to be somebody's new one.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SetupError, say } from './say.mjs';

const LONGEST_WAIT_MS = 15 * 60_000;

export async function withFolderLock(root, action) {
  const folder = join(root, '.proctor');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = join(folder, 'setup.lock');
  const mine = join(folder, `setup.lock.${process.pid}`);
  writeFileSync(mine, `${process.pid}\n`);
  const release = () => rmSync(lock, { force: true });
  const stopped = () => process.exit(130);
  try {
    await take(lock, mine);
    process.once('exit', release);
    process.once('SIGINT', stopped).once('SIGTERM', stopped);
    await action();
  } finally {
    rmSync(mine, { force: true });
    if (process.listeners('exit').includes(release)) {
      process.off('exit', release).off('SIGINT', stopped).off('SIGTERM', stopped);
      release();
    }
  }
}

async function take(lock, mine) {
  let told = false;
  for (const deadline = Date.now() + LONGEST_WAIT_MS; Date.now() < deadline; await delay(200)) {
    try {
      linkSync(mine, lock);
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const holder = read(lock);
    if (holder !== null && !isAlive(Number(holder))) moveAside(lock, holder, mine);
    else if (holder !== null && !told) {
      told = true;
      say(`waiting for process ${holder.trim()}, which is setting up this folder`);
    }
  }
  throw new SetupError(
    `another set-up of this folder has not ended for ${LONGEST_WAIT_MS / 60_000} minutes: see ${lock}`,
  );
}

function moveAside(lock, holder, mine) {
  const aside = `${mine}.stale`;
  try {
    renameSync(lock, aside);
    if (read(aside) !== holder) linkSync(aside, lock);
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
