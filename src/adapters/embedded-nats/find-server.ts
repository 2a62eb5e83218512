import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { basename, delimiter, dirname, join } from 'node:path';
import { AppError } from '../../core/errors.ts';

/**
 * Path of the nats-server to run: the given one, else the first on `path` (as in PATH). A `bin` folder's `sbin`
 * neighbour is searched too: Debian puts the server there, outside the PATH of ordinary users.
 * Throws AppError `no_nats_server`.
 */
export async function findNatsServer(path: string, given?: string): Promise<string> {
  if (given !== undefined && given !== '') {
    if (await executable(given)) return given;
    throw new AppError('no_nats_server', `PROCTOR_NATS_SERVER is ${given}, which is no executable file.`);
  }
  for (const folder of path.split(delimiter).filter((part) => part !== '')) {
    const places = basename(folder) === 'bin' ? [folder, join(dirname(folder), 'sbin')] : [folder];
    for (const place of places) {
      const candidate = join(place, 'nats-server');
      if (await executable(candidate)) return candidate;
    }
  }
  throw new AppError(
    'no_nats_server',
    'No nats-server was found. Install one (apt install nats-server, brew install nats-server, or ' +
      'https://github.com/nats-io/nats-server/releases), name it in PROCTOR_NATS_SERVER, or give a running one as NATS_URL.',
  );
}

async function executable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
