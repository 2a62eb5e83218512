import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve as resolvePath } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The command line as users get it: a built child process, real files, a real server. */

const root = resolvePath(fileURLToPath(import.meta.url), '../../..');
const TIMEOUT_MS = 60_000;

export interface Cli {
  /** Path of the script to run. */
  readonly script: string;
  run(args: string[], options?: RunOptions): Promise<Ran>;
  /** Starts it and leaves it running. */
  start(args: string[], options?: RunOptions): Running;
  /** Ends what still runs, and removes the build. */
  clean(): Promise<void>;
}

export interface RunOptions {
  input?: string;
  env?: Record<string, string>;
}

export interface Ran {
  code: number | null;
  out: string;
  err: string;
  /** The last line of stdout. */
  last: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
  readonly ended: Promise<Ran>;
  /** Resolves when stdout or stderr holds the text. */
  says(text: string): Promise<void>;
}

/** dist when it is fresh, else a build of its own. */
export async function builtCli(): Promise<Cli> {
  const { buildIsStale } = (await import(new URL('../../scripts/setup/build.mjs', import.meta.url).href)) as {
    buildIsStale(root: string): boolean;
  };
  const stale = buildIsStale(root);
  const own = stale ? await mkdtemp(join(root, 'dist.test-')) : null;
  if (own !== null) compile(own);
  const script = own === null ? join(root, 'bin/proctor.mjs') : join(own, 'src/cli/main.js');
  const running = new Set<ChildProcess>();

  const start = (args: string[], options: RunOptions = {}): Running => {
    // biome-ignore lint/style/noProcessEnv: a child process needs PATH and HOME as they are
    const env = { ...process.env, NATS_URL: '', PROCTOR_NKEY_FILE: '', NO_COLOR: '', ...options.env };
    const child = spawn(process.execPath, [script, ...args], { cwd: root, env, stdio: ['pipe', 'pipe', 'pipe'] });
    running.add(child);
    child.stdin.end(options.input ?? '');
    let out = '';
    let err = '';
    const heard = new Set<() => void>();
    const tell = () => {
      for (const one of heard) one();
    };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      tell();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
      tell();
    });
    const ended = new Promise<Ran>((resolve) => {
      child.once('close', (code) => {
        running.delete(child);
        resolve({ code, out, err, last: out.trimEnd().split('\n').at(-1) ?? '' });
      });
    });
    const says = (text: string) =>
      new Promise<void>((resolve, reject) => {
        const fail = (why: string) => reject(new Error(`${why} before it said "${text}"\n${out}\n${err}`));
        const timer = setTimeout(() => fail('too late'), TIMEOUT_MS);
        const look = () => {
          if (!`${out}\n${err}`.includes(text)) return;
          clearTimeout(timer);
          heard.delete(look);
          resolve();
        };
        heard.add(look);
        void ended.then(() => fail('it ended'));
        look();
      });
    return { child, out: () => out, err: () => err, ended, says };
  };

  return {
    script,
    start,
    run: (args, options) => start(args, options).ended,
    async clean() {
      for (const child of running) child.kill('SIGKILL');
      if (own !== null) await rm(own, { recursive: true, force: true });
    },
  };
}

function compile(outDir: string): void {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  try {
    execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', outDir], { cwd: root });
  } catch (error) {
    // Types are the business of `npm run types`; what could not be written is told here.
    if (!existsSync(join(outDir, 'src/cli/main.js'))) throw error;
  }
}

export interface Folder {
  dir: string;
  remove(): Promise<void>;
}

export async function temporaryFolder(): Promise<Folder> {
  const dir = await mkdtemp(join(tmpdir(), 'proctor-cli-'));
  // The server of an `up` that was killed goes a moment after it, and writes until then.
  const patience = { maxRetries: 50, retryDelay: 100 };
  return { dir, remove: () => rm(dir, { recursive: true, force: true, ...patience }) };
}

/** The server's address with the login of a submitter. */
export async function loginUrl(dir: string, user = 'default'): Promise<string> {
  const connection = JSON.parse(await readFile(join(dir, 'connection.json'), 'utf8')) as {
    url: string;
    credentials: { submitters: Record<string, string> };
  };
  const file = join(dir, connection.credentials.submitters[user] ?? '');
  const { password } = JSON.parse(await readFile(file, 'utf8')) as { password: string };
  return connection.url.replace('://', `://${user}:${password}@`);
}

/** Looks again and again until something is there. */
export async function eventually<T>(what: string, look: () => Promise<T | null | undefined | false>): Promise<T> {
  const deadline = performance.now() + TIMEOUT_MS;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
