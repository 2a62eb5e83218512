import { rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findNatsServer } from '../../src/adapters/embedded-nats/find-server.ts';
import { freePort } from '../../src/adapters/embedded-nats/ports.ts';
import { type ServerProcess, spawnServer } from '../../src/adapters/embedded-nats/server-process.ts';
import { silent } from './log.ts';

/**
 * The nats-server of a drill: JetStream on a store of its own in a temporary folder, loopback, a free port, no
 * accounts. It can be killed and comes back on the same store and port.
 */
export interface DrillServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** A folder of the drill's own, removed with the server. */
  readonly dir: string;
  kill9(): Promise<void>;
  /** After `kill9`. */
  start(): Promise<void>;
  /** Stops it and removes the folder. */
  stop(): Promise<void>;
}

const READY_MS = 30_000;

/** What to remove when the drill itself is ended before it is over. */
const left = new Map<string, () => number>();

let armed = false;

function cleanUpOnExit(): void {
  armed = true;
  process.once('exit', () => {
    for (const [dir, pid] of left) {
      try {
        process.kill(pid(), 'SIGKILL');
      } catch {
        // It is gone already.
      }
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    }
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
}

/** @param more lines for the configuration file, such as those that make it one of a cluster */
export async function startServer(more = ''): Promise<DrillServer> {
  // biome-ignore lint/style/noProcessEnv: where the server is found is the environment's word
  const { PATH = '', PROCTOR_NATS_SERVER } = process.env;
  const path = await findNatsServer(PATH, PROCTOR_NATS_SERVER);
  const dir = await mkdtemp(join(tmpdir(), 'proctor-drill-'));
  const port = await freePort([]);
  const config = join(dir, 'nats.conf');
  const lines = [`listen: "127.0.0.1:${port}"`, `jetstream { store_dir: "${join(dir, 'store')}" }`, more];
  await writeFile(config, `${lines.join('\n')}\n`);
  let current: ServerProcess;
  const start = async (): Promise<void> => {
    current = await spawnServer(path, config, silent);
    const until = performance.now() + READY_MS;
    while (!(await answers(port))) {
      if (performance.now() > until) throw new Error(`nats-server is not ready: ${current.lastLines().join(' | ')}`);
      await delay(10);
    }
  };
  await start();
  if (!armed) cleanUpOnExit();
  left.set(dir, () => current.pid);
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    get pid() {
      return current.pid;
    },
    dir,
    async kill9() {
      process.kill(current.pid, 'SIGKILL');
      await current.exited;
    },
    start,
    async stop() {
      left.delete(dir);
      await current.stop(10_000);
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Whether somebody listens; the server listens only when JetStream has read its store. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
