import { join } from 'node:path';
import { AppError } from '../core/errors.ts';
import { Subjects } from '../core/subjects.ts';
import type { NatsAddress } from './connect.ts';
import { type Connection, readConnection, readPassword, readSeed } from './local.ts';

/** How to log in to the Proctor whose data folder is at hand. */

export type Login =
  | { role: 'operator' | 'node' | 'worker' | 'approver' | 'console' }
  | { role: 'submitter'; user: string };

export interface Found {
  address: NatsAddress;
  subjects: Subjects;
}

/** The connection of a folder. Throws AppError `not_running`. */
export async function connectionOf(dir: string): Promise<Connection> {
  const connection = await readConnection(dir);
  if (connection !== null) return connection;
  throw new AppError(
    'not_running',
    `nothing runs in ${dir}: start it with "proctor up" in another terminal, name its folder with --dir, or set NATS_URL`,
  );
}

/** Address and credentials in a folder. Throws AppError `not_running`, `no_credential`. */
export async function loginIn(dir: string, login: Login, prefix?: string): Promise<Found> {
  const connection = await connectionOf(dir);
  const subjects = new Subjects(prefix ?? connection.prefix);
  const { url, credentials } = connection;
  if (login.role !== 'submitter') {
    const file = credentials[login.role];
    if (file === '') {
      throw new AppError(
        'no_credential',
        `${dir} has no key for a ${login.role}: what runs there is of an older version, start it again`,
      );
    }
    const inbox = login.role === 'console' ? { inboxPrefix: subjects.consoleInbox } : {};
    return { address: { url, nkeySeed: await readSeed(join(dir, file)), ...inbox }, subjects };
  }
  const file = credentials.submitters[login.user];
  if (file === undefined) {
    const known = Object.keys(credentials.submitters).join(', ');
    throw new AppError(
      'no_credential',
      `user "${login.user}" may not submit here; these may: ${known}. Start with: proctor up --user ${login.user}`,
    );
  }
  return { address: { url, ...(await readPassword(dir, file)) }, subjects };
}
