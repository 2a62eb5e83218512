import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AppError } from '../../core/errors.ts';
import { Subjects } from '../../core/subjects.ts';
import type { Log } from '../../ports/telemetry.ts';
import { credentialFiles, readConnection, writeConnection } from './connection-file.ts';
import { lockFolder } from './folder-lock.ts';
import { ensureKeys, type GroupApprover, type Keys } from './keys.ts';
import { stopOrphans } from './orphans.ts';
import { freePort } from './ports.ts';
import { waitUntilReady } from './ready.ts';
import { serverConfig } from './server-config.ts';
import { type ServerProcess, spawnServer } from './server-process.ts';
import { superviseServer } from './supervise-server.ts';

/**
 * A nats-server of our own: one command on a fresh machine needs no other infrastructure. Keys, configuration and data
 * live in one folder that one process holds at a time. The server listens on loopback only.
 */

export interface EmbeddedOptions {
  /** Folder for keys, configuration and data; made when missing. */
  dir: string;
  /** First token of all subjects. */
  prefix: string;
  /** Who may submit tasks; `['default']` by default. */
  users?: string[];
  /** Logins of approvers that see the requests of their groups alone; default none. */
  approvers?: GroupApprover[];
  /** Executable, as `findNatsServer` gives it. */
  serverPath: string;
  log: Log;
  /** Gives that many random bytes, fit for passwords. */
  random: (bytes: number) => Uint8Array;
  /** Taken when free, else the port of last time, else any; 4222 by default, 0 for any. */
  preferPort?: number;
  /** Epoch milliseconds. */
  now?: () => number;
  /** How long a start and a stop may take; 30 s and 10 s by default. */
  startDeadlineMs?: number;
  stopDeadlineMs?: number;
}

export interface Embedded {
  /** `nats://127.0.0.1:<port>`, the same over all restarts of the server. */
  url: string;
  keys: Keys;
  /** Pid of the server now; null while it is down. */
  serverPid(): number | null;
  /** Resolves when the server keeps dying and was given up (AppError `nats_gave_up`); pending for ever else. */
  failed: Promise<AppError>;
  /** Stops the server and frees the folder. May be called more than once. */
  stop(): Promise<void>;
}

const PORT_ATTEMPTS = 3;

/** Throws AppErrors: `held` (another process uses the folder), `nats_start_failed`, `bad_key_file`. */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { prefix } = new Subjects(options.prefix);
  const dir = resolve(options.dir);
  const now = options.now ?? Date.now;
  const stopDeadlineMs = options.stopDeadlineMs ?? 10_000;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
  const lock = await lockFolder(dir, { now, nonce: Buffer.from(options.random(8)).toString('hex') });
  try {
    const configPath = join(dir, 'nats.conf');
    const pidPath = join(dir, 'nats.pid');
    await stopOrphans(configPath, pidPath, stopDeadlineMs, options.log);
    const keys = await ensureKeys(dir, options.users ?? ['default'], options.random, options.approvers);
    const { server, url } = await start(options, dir, configPath, keys, prefix);
    const record = async (pid: number) => {
      await writeFile(pidPath, `${pid}\n`, { mode: 0o600 });
      await writeConnection(dir, {
        v: 1,
        url,
        prefix,
        pid: process.pid,
        server_pid: pid,
        started: new Date(now()).toISOString(),
        credentials: credentialFiles(keys),
      });
    };
    const supervised = superviseServer({
      first: server,
      spawn: () => spawnServer(options.serverPath, configPath, options.log),
      onSpawn: record,
      log: options.log,
      now,
      stopDeadlineMs,
    });
    const stop = async () => {
      await supervised.stop();
      await rm(join(dir, 'connection.json'), { force: true });
      await rm(pidPath, { force: true });
      await lock.release();
    };
    try {
      await record(server.pid);
      await lock.announce(url);
    } catch (error) {
      await stop();
      throw error;
    }
    let stopping: Promise<void> | undefined;
    return {
      url,
      keys,
      serverPid: supervised.pid,
      failed: supervised.failed,
      stop: () => {
        stopping ??= stop();
        return stopping;
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function start(
  options: EmbeddedOptions,
  dir: string,
  configPath: string,
  keys: Keys,
  prefix: string,
): Promise<{ server: ServerProcess; url: string }> {
  const last = await readConnection(dir).catch(() => null);
  const lastPort = last === null ? 0 : Number(new URL(last.url).port);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(attempt === 1 ? [options.preferPort ?? 4222, lastPort] : []);
    const listen = `127.0.0.1:${port}`;
    const url = `nats://${listen}`;
    const config = serverConfig({ prefix, listen, storeDir: join(dir, 'jetstream'), keys });
    await writeFile(configPath, config, { mode: 0o600 });
    const server = await spawnServer(options.serverPath, configPath, options.log).catch((cause: unknown) => {
      throw new AppError('nats_start_failed', `${options.serverPath} cannot be executed.`, { cause });
    });
    const trouble = await startTrouble(server, url, keys, options.startDeadlineMs ?? 30_000);
    if (trouble === null) {
      options.log.info('nats.started', { url, pid: server.pid });
      return { server, url };
    }
    await server.stop(options.stopDeadlineMs ?? 10_000);
    const taken = server.lastLines().some((line) => line.includes('address already in use'));
    if (!taken || attempt === PORT_ATTEMPTS) {
      const said = server.lastLines().slice(-5).join(' | ');
      const words = said === '' ? `It said nothing: is ${options.serverPath} a nats-server?` : `It said: ${said}`;
      throw new AppError('nats_start_failed', `nats-server ${trouble}. ${words}`);
    }
  }
}

/** What kept the server from answering in time; null when it answers. */
async function startTrouble(
  server: ServerProcess,
  url: string,
  keys: Keys,
  deadlineMs: number,
): Promise<string | null> {
  const given = new AbortController();
  const timer = setTimeout(() => given.abort(), deadlineMs);
  let trouble = `did not answer within ${deadlineMs} ms`;
  void server.exited.then((how) => {
    trouble = `ended at once (${how})`;
    given.abort();
  });
  const ready = await waitUntilReady(url, keys.roles.node.seed, given.signal);
  clearTimeout(timer);
  return ready ? null : trouble;
}
