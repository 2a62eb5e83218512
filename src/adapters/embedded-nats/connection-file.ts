import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { AppError } from '../../core/errors.ts';
import type { Keys } from './keys.ts';

/** `<dir>/connection.json`: how to reach the server that runs there. Credential files are named relative to `dir`. */
export const Connection = z.object({
  v: z.literal(1),
  url: z.string(),
  prefix: z.string(),
  /** The process that runs the server, and the server's own at the time of writing. */
  pid: z.int().positive(),
  server_pid: z.int().positive(),
  /** ISO 8601. */
  started: z.string(),
  credentials: z.object({
    node: z.string(),
    worker: z.string(),
    operator: z.string(),
    /** Folders of versions before approvals do not name it. */
    approver: z.string().default('keys/approver.nk'),
    viewer: z.string(),
    /** Empty where an older version runs. */
    console: z.string().default(''),
    /** By user. */
    submitters: z.record(z.string(), z.string()),
  }),
});
export type Connection = z.infer<typeof Connection>;

const FILE = 'connection.json';

/** The connection of a folder, running or not; null when nothing ever ran there. Throws AppError `bad_connection_file`. */
export async function readConnection(dir: string): Promise<Connection | null> {
  const path = join(dir, FILE);
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    return Connection.parse(JSON.parse(text));
  } catch (cause) {
    throw new AppError('bad_connection_file', `${path} is damaged. Delete it and start again.`, { cause });
  }
}

export async function writeConnection(dir: string, connection: Connection): Promise<void> {
  const path = join(dir, FILE);
  await writeFile(`${path}.tmp`, `${JSON.stringify(connection, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.tmp`, path);
}

export function credentialFiles(keys: Keys): Connection['credentials'] {
  const { node, worker, operator, approver, viewer, console } = keys.roles;
  return {
    node: node.file,
    worker: worker.file,
    operator: operator.file,
    approver: approver.file,
    viewer: viewer.file,
    console: console.file,
    submitters: Object.fromEntries(keys.submitters.map(({ user, file }) => [user, file])),
  };
}
