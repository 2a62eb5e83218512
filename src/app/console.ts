import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../adapters/clock/system-clock.ts';
import type { NatsBus } from '../adapters/nats/bus.ts';
import { Accounts, type Person, readAccounts } from '../console/gateway/auth/accounts.ts';
import type { TrustedProxy } from '../console/gateway/auth/guard.ts';
import { type RunningConsole, startConsole } from '../console/gateway/console.ts';
import { MAX_RUN_FILE_BYTES, readRunFile } from '../console/gateway/run-file.ts';
import { AppError } from '../core/errors.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Log } from '../ports/telemetry.ts';
import { connectBus, type NatsAddress } from './connect.ts';

/** The console with a connection of its own, or over a run in a file. */

export interface OpenConsoleOptions {
  host: string;
  /** Without one: the usual port, or any other when that is taken. */
  port?: number | undefined;
  /** Accounts; without them one login link is made. */
  tokenFile?: string | undefined;
  proxy: TrustedProxy | null;
  publicUrl?: URL | undefined;
  /** Where sessions' secret is kept, so that a restart logs nobody out; null: nowhere. */
  dir: string | null;
  /** Who the login link is for. */
  person: Person;
  source: { address: NatsAddress; subjects: Subjects } | { file: string };
  /** Folder of the built page; default the one beside this program. */
  assets?: string;
  log: Log;
}

export interface OpenConsole {
  url: string;
  /** Works once; null where people have tokens of their own. */
  login: string | null;
  stop(): Promise<void>;
}

const USUAL_PORT = 4280;

/** Throws AppError as `startConsole` and `connectBus`, and `bad_token_file`, `bad_run_file`. */
export async function openConsole(options: OpenConsoleOptions): Promise<OpenConsole> {
  const { host, tokenFile, proxy, publicUrl, person, log } = options;
  const tokens = tokenFile === undefined ? null : await readText(tokenFile, 'bad_token_file', 1024 * 1024);
  const accounts = tokens === null ? new Accounts() : readAccounts(tokens, tokenFile ?? '');
  const { source, bus } = await openSource(options);
  const start = (port: number) =>
    startConsole({
      ...{ host, port, accounts, proxy, publicUrl, source, log },
      secret: secretOf,
      assets: options.assets ?? join(packageRoot(), 'dist', 'console', 'page', 'assets'),
      now: () => systemClock().now(),
    });
  const secretOf = await secret(tokens, options.dir);
  let running: RunningConsole;
  try {
    running = await start(options.port ?? USUAL_PORT).catch((thrown: unknown) => {
      if (options.port === undefined && thrown instanceof AppError && thrown.code === 'port_taken') return start(0);
      throw thrown;
    });
  } catch (thrown) {
    await bus?.close();
    throw thrown;
  }
  const url = publicUrl?.href.replace(/\/$/, '') ?? running.url;
  return {
    url,
    login: accounts.any || proxy !== null ? null : `${url}/#login=${loginToken(accounts, person)}`,
    stop: async () => {
      await running.stop();
      await bus?.close();
    },
  };
}

function loginToken(accounts: Accounts, person: Person): string {
  const token = randomBytes(24).toString('base64url');
  accounts.allowOnce(token, person);
  return token;
}

async function openSource({ source, log }: OpenConsoleOptions) {
  if ('file' in source) {
    const text = await readText(source.file, 'bad_run_file', MAX_RUN_FILE_BYTES);
    return { source: { file: readRunFile(text, source.file) }, bus: null as NatsBus | null };
  }
  const { address, subjects } = source;
  const bus = await connectBus({ inboxPrefix: subjects.consoleInbox, ...address }, 'proctor-console', subjects, log);
  return { source: { bus, subjects }, bus };
}

/** The same for all gateways with one token file; else kept in the folder; else of this process. */
async function secret(tokens: string | null, dir: string | null): Promise<string> {
  if (tokens !== null) return createHash('sha256').update(`sessions\n${tokens}`).digest('hex');
  const fresh = randomBytes(32).toString('hex');
  if (dir === null) return fresh;
  const path = join(dir, 'keys', 'console-sessions');
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // Of two that start at once one writes it.
  await writeFile(path, fresh, { mode: 0o600, flag: 'wx' }).catch(() => undefined);
  const kept = (await readFile(path, 'utf8')).trim();
  return kept.length >= 32 ? kept : fresh;
}

async function readText(path: string, code: string, max: number): Promise<string> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new AppError(code, `${path} cannot be read`, { cause });
  });
  if (text.length > max) throw new AppError(code, `${path} is larger than ${max} bytes`);
  return text;
}

/** Where dist/ lies: above this file, whether it is the source or was built. */
function packageRoot(): string {
  const here = fileURLToPath(new URL('../..', import.meta.url));
  return /[\\/]dist[^\\/]*[\\/]?$/.test(here) ? dirname(here.replace(/[\\/]$/, '')) : here;
}
