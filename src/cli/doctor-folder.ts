import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { readConnection } from '../app/local.ts';
import type { Tell } from './doctor-server.ts';

/** The data folder: who may read it, and whether the disk below it has room. */

const GIB = 1024 ** 3;
const FULL_BYTES = GIB / 8;
const NEARLY_FULL_BYTES = GIB;

export async function checkFolder(dir: string, tell: Tell): Promise<void> {
  const found = await stat(dir).catch(() => null);
  if (found === null) {
    return tell({
      what: 'data folder',
      state: 'warn',
      found: `${dir} does not exist`,
      advice: 'proctor up makes it; or name the right one with --dir',
    });
  }
  const open = await openToOthers(dir, found.mode);
  tell(
    open.length === 0
      ? { what: 'data folder', state: 'ok', found: `${dir}, only its owner can read it` }
      : {
          what: 'data folder',
          state: 'FAIL',
          found: `others can read ${open.join(', ')}`,
          advice: `Type: chmod -R go-rwx ${dir}`,
        },
  );
  const disk = await statfs(dir);
  const free = disk.bavail * disk.bsize;
  const room = `${(free / GIB).toFixed(1)} GiB free`;
  if (free < FULL_BYTES)
    tell({ what: 'disk', state: 'FAIL', found: room, advice: 'Free some: a full disk stops every run' });
  else if (free < NEARLY_FULL_BYTES) tell({ what: 'disk', state: 'warn', found: room, advice: 'Free some soon' });
  else tell({ what: 'disk', state: 'ok', found: room });
}

async function openToOthers(dir: string, mode: number): Promise<string[]> {
  const open = (mode & 0o077) === 0 ? [] : [dir];
  const credentials = (await readConnection(dir).catch(() => null))?.credentials;
  if (credentials === undefined) return open;
  const { submitters, ...roles } = credentials;
  for (const file of [...Object.values(roles), ...Object.values(submitters)]) {
    const found = await stat(join(dir, file)).catch(() => null);
    if (found !== null && (found.mode & 0o077) !== 0) open.push(join(dir, file));
  }
  return open;
}
