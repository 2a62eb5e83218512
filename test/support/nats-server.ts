import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A real nats-server with JetStream for one test file: a random loopback port, a store of its own below the temp
 * directory. It keeps port and store over `kill9` and `restart`; `stop` deletes the store.
 */
export interface NatsServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends the server and deletes its store. */
  stop(): Promise<void>;
  /** Kills it without warning; the store stays. */
  kill9(): Promise<void>;
  /** Starts it again on the same port and store; a server that still runs is ended first, in good order. */
  restart(): Promise<void>;
}

export interface NatsServerOptions {
  /** More lines for the configuration file: accounts, users, limits. */
  config?: string;
}

const READY_MS = 60_000;
const LISTENING = /Listening for client connections on [^\s:]+:(\d+)/;
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const directory = await mkdtemp(join(tmpdir(), 'proctor-nats-'));
  const configFile = join(directory, 'server.conf');
  let current = await launch(-1);
  const port = current.port;

  async function launch(onPort: number): Promise<{ child: ChildProcess; port: number }> {
    await writeFile(
      configFile,
      `host: 127.0.0.1\nport: ${onPort}\njetstream { store_dir: "${join(directory, 'store')}" }\n${options.config ?? ''}\n`,
    );
    const child = spawn('nats-server', ['-c', configFile], { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
    running.add(child);
    child.once('exit', () => running.delete(child));
    return { child, port: await ready(child) };
  }

  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    get pid() {
      return current.child.pid ?? -1;
    },
    async stop() {
      await end(current.child, 'SIGTERM');
      await rm(directory, { recursive: true, force: true });
    },
    kill9: () => end(current.child, 'SIGKILL'),
    async restart() {
      await end(current.child, 'SIGTERM');
      current = await launch(port);
    },
  };
}

/** The port, once the server says that it is ready; throws with its log when it ends before. */
function ready(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let log = '';
    const timer = setTimeout(() => fail(`not ready after ${READY_MS} ms`), READY_MS);
    const onExit = (code: number | null, signal: string | null): void => fail(`ended with ${code ?? signal}`);
    function fail(why: string): void {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(new Error(`nats-server: ${why}\n${log}`));
    }
    function onText(text: string): void {
      log += text;
      if (!log.includes('Server is ready')) return;
      clearTimeout(timer);
      child.off('exit', onExit);
      child.stderr?.off('data', onText);
      // Read on, or the server would block on a full pipe.
      child.stderr?.resume();
      resolve(Number(LISTENING.exec(log)?.[1]));
    }
    child.once('error', (error) => fail(error.message));
    child.once('exit', onExit);
    child.stderr?.setEncoding('utf8').on('data', onText);
  });
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  await ended;
}
