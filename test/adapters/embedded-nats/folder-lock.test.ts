import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type FolderLock, lockFolder } from '../../../src/adapters/embedded-nats/folder-lock.ts';
import { temporaryFolder } from './fixtures.ts';

let dir: string;
let remove: () => Promise<void>;
let count = 0;

beforeEach(async () => {
  ({ dir, remove } = await temporaryFolder());
});
afterEach(() => remove());

function lock(): Promise<FolderLock> {
  return lockFolder(dir, { now: () => 0, nonce: String(count++) });
}

/** A lock as a process left it that is gone: its pid is alive, and belongs to somebody else now. */
async function leaveStaleLock(number: number): Promise<void> {
  const stale = { held: true, pid: process.pid, identity: 'another boot:1', since: 'then', address: null };
  await writeFile(join(dir, `lock.${number}`), JSON.stringify(stale));
}

it('a released folder can be locked again, and leaves one file', async () => {
  for (let i = 0; i < 3; i++) {
    const held = await lock();
    await expect(lock()).rejects.toMatchObject({ code: 'held' });
    await held.release();
  }
  expect(await readdir(dir)).toEqual(['lock.3']);
});

it('a lock whose pid was given to another process is taken over', async () => {
  await leaveStaleLock(7);
  await (await lock()).release();
  expect(await readdir(dir)).toEqual(['lock.8']);
});

it('a damaged lock is taken over', async () => {
  await writeFile(join(dir, 'lock.2'), '{"held":tr');
  await expect(lock()).resolves.toBeDefined();
});

it('announcing after the release does not take the folder back', async () => {
  const held = await lock();
  await held.release();
  await held.announce('nats://127.0.0.1:1');
  await expect(lock()).resolves.toBeDefined();
});

it('of many that want a stale lock at once exactly one gets it', async () => {
  for (let round = 0; round < 30; round++) {
    await leaveStaleLock(round * 10 + 1);
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lock()));
    const won = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(won).toHaveLength(1);
    await won[0]?.release();
  }
});
