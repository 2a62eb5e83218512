import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Another script of the drills as a process of its own, told what to do in JSON, heard by the lines that it prints. */
export interface Child {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly exited: Promise<string>;
  readonly alive: boolean;
  /** Writes a JSON line to its standard input. */
  tell(message: unknown): void;
  /** Resolves with the next line for which `read` gives something; rejects when it ends first. */
  until<T>(read: (line: string) => T | null | undefined): Promise<T>;
  /** Ends it; resolves when it is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** @param script without extension, beside `base` (an `import.meta.url`): works from sources and from a build */
export function startChild(
  base: string,
  script: string,
  options: unknown,
  nodeFlags: string[] = [],
  env: Record<string, string> = {},
): Child {
  const file = fileURLToPath(new URL(`${script}${base.endsWith('.ts') ? '.ts' : '.js'}`, base));
  const child = spawn(process.execPath, [...process.execArgv, ...nodeFlags, file, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // biome-ignore lint/style/noProcessEnv: a child has the environment of its parent
    env: { ...process.env, ...env },
  });
  let alive = true;
  const listeners = new Set<(line: string | null) => void>();
  const exited = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => {
      alive = false;
      for (const listener of [...listeners]) listener(null);
      resolve(signal === null ? `code ${code}` : signal);
    });
  });
  // A child that is killed leaves a broken pipe behind.
  child.stdin.on('error', () => {});
  const backlog: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    backlog.push(line);
    if (backlog.length > 100) backlog.shift();
    for (const listener of [...listeners]) listener(line);
  });
  return {
    process: child,
    pid: child.pid ?? -1,
    exited,
    get alive() {
      return alive;
    },
    tell: (message) => void child.stdin.write(`${JSON.stringify(message)}\n`),
    until: (read) =>
      new Promise((resolve, reject) => {
        const look = (line: string | null): boolean => {
          if (line === null) {
            reject(
              new Error(`${script} ended (${child.signalCode ?? child.exitCode}) before it said what was awaited`),
            );
            return true;
          }
          const found = read(line);
          if (found === null || found === undefined) return false;
          const at = backlog.indexOf(line);
          if (at >= 0) backlog.splice(0, at + 1);
          resolve(found);
          return true;
        };
        if (backlog.some((line) => look(line))) return;
        if (!alive) return void look(null);
        const listener = (line: string | null): void => {
          if (look(line)) listeners.delete(listener);
        };
        listeners.add(listener);
      }),
    async end(signal) {
      if (alive) child.kill(signal);
      await exited;
    },
  };
}

/** The options that `startChild` gave to this process. */
export function childOptions<T>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T;
}

/** Calls `hear` with each message of the parent; ends the process when the parent is gone. */
export function hearParent(hear: (message: Record<string, unknown>) => void): void {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => hear(JSON.parse(line) as Record<string, unknown>));
  lines.once('close', () => process.exit(0));
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
