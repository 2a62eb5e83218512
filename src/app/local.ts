import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Connection, readConnection } from '../adapters/embedded-nats/connection-file.ts';
import { type LogLevel, pinoLog } from '../adapters/pino/log.ts';
import { AppError } from '../core/errors.ts';
import type { Log } from '../ports/telemetry.ts';

/** What the command line needs of the adapters beside `startStack` and `connectBus`. */

export type { NatsBus } from '../adapters/nats/bus.ts';
export { type Connection, type LogLevel, readConnection };

export const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => SILENT, enabled: () => false };

/** JSON lines, written at once: nothing is lost when the process ends. */
export function logTo(write: (line: string) => void, level: LogLevel): Log {
  return pinoLog({ level, destination: { write } });
}

/** The nkey seed in a file. Throws AppError `no_credential`; the message never shows what the file holds. */
export async function readSeed(path: string): Promise<string> {
  const seed = (await readCredential(path)).trim();
  if (/^SU[A-Z2-7]{56}$/.test(seed)) return seed;
  throw new AppError('no_credential', `${path} holds no nkey seed of a user: give the file that holds one`);
}

/** User and password of a submitter, from `<dir>/<file>`. Throws AppError `no_credential`. */
export async function readPassword(dir: string, file: string): Promise<{ user: string; password: string }> {
  const path = join(dir, file);
  const text = await readCredential(path);
  try {
    const value = JSON.parse(text) as Partial<Record<string, unknown>> | null;
    if (typeof value?.user === 'string' && typeof value.password === 'string') {
      return { user: value.user, password: value.password };
    }
  } catch {
    // Told below: what the parser says would show the password.
  }
  throw new AppError(
    'no_credential',
    `${path} is damaged: delete it and start proctor up again, which makes a new one`,
  );
}

async function readCredential(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new AppError('no_credential', `${path} cannot be read: run this as the user who runs proctor up`, { cause });
  }
}
