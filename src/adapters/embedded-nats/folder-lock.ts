import { link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { AppError } from '../../core/errors.ts';
import { identityOf, isRunning } from './process-identity.ts';

/**
 * One holder for a folder, also when it was killed.
 *
 * The lock is the file `lock.<n>` with the highest n. It is free when it says so or when its process is gone; who wants
 * it then links `lock.<n+1>`, which only one can do, and looks again whether a higher one came up meanwhile. The
 * highest file is never deleted, only marked as released: so numbers never go down, and a slow contender cannot take a
 * number that was used before.
 */

const LOCK_FILE = /^lock\.(\d{1,15})$/;

const Holder = z.object({
  held: z.boolean(),
  pid: z.int().positive(),
  identity: z.string().nullable(),
  since: z.string(),
  address: z.string().nullable(),
});
type Holder = z.infer<typeof Holder>;

export interface FolderLock {
  /** Tells whoever is refused where the holder can be reached. */
  announce(address: string): Promise<void>;
  release(): Promise<void>;
}

export interface LockOptions {
  now: () => number;
  /** Makes names of temporary files unique. */
  nonce: string;
}

/** Takes the lock of a folder that exists. Throws AppError `held`, whose message names the holder. */
export async function lockFolder(dir: string, options: LockOptions): Promise<FolderLock> {
  const highest = await highestLock(dir);
  if (highest > 0) await refuseIfHeld(dir, highest);

  const mine: Holder = {
    held: true,
    pid: process.pid,
    identity: await identityOf(process.pid),
    since: new Date(options.now()).toISOString(),
    address: null,
  };
  const number = highest + 1;
  const file = join(dir, `lock.${number}`);
  const temporary = join(dir, `lock-${process.pid}-${options.nonce}.tmp`);
  const put = async (holder: Holder, place: (from: string, to: string) => Promise<void>) => {
    await writeFile(temporary, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
    await place(temporary, file);
  };
  try {
    await put(mine, link);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    return lockFolder(dir, options);
  } finally {
    await rm(temporary, { force: true });
  }
  if ((await highestLock(dir)) > number) {
    await rm(file, { force: true });
    return lockFolder(dir, options);
  }
  await removeBelow(dir, number);

  let released = false;
  return {
    announce: async (address) => {
      if (!released) await put({ ...mine, address }, rename);
    },
    release: async () => {
      if (released) return;
      released = true;
      await put({ ...mine, held: false }, rename);
    },
  };
}

async function refuseIfHeld(dir: string, number: number): Promise<void> {
  const text = await readFile(join(dir, `lock.${number}`), 'utf8').catch(() => '');
  const parsed = parseHolder(text);
  // Links appear with their content, so an unreadable file was damaged by others: nobody holds it.
  if (parsed === null || !parsed.held) return;
  // A lock of this very process is held, even before the identity is compared.
  if (!(await isRunning(parsed.pid, parsed.identity))) return;
  const where = parsed.address === null ? '' : ` and serves ${parsed.address}`;
  throw new AppError(
    'held',
    `${dir} is in use: process ${parsed.pid} holds it since ${parsed.since}${where}. ` +
      'Connect to that one, stop it, or choose another folder.',
  );
}

function parseHolder(text: string): Holder | null {
  try {
    return Holder.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

async function lockNumbers(dir: string): Promise<number[]> {
  return (await readdir(dir)).flatMap((name) => {
    const match = LOCK_FILE.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

async function highestLock(dir: string): Promise<number> {
  return Math.max(0, ...(await lockNumbers(dir)));
}

async function removeBelow(dir: string, number: number): Promise<void> {
  for (const lower of await lockNumbers(dir)) {
    if (lower < number) await rm(join(dir, `lock.${lower}`), { force: true });
  }
}
