import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const PATIENCE_MS = 60_000;
const LOADER = new URL('../support/typescript.mjs', import.meta.url);
const FIXTURE = new URL('./fixtures/worker.ts', import.meta.url);

export interface WorkerProcess {
  readonly child: ChildProcess;
  /** Resolves when the worker has said the line; fails with all that it said when it ends or takes too long. */
  said(line: string): Promise<void>;
  /** Ends it with a signal; resolves with its exit code, null when the signal ended it. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/**
 * Starts a script, `fixtures/worker.ts` by default, against a server; resolves when its tools can be called.
 * @param more further arguments of the script
 */
export async function startWorkerProcess(
  url: string,
  id: string,
  script = FIXTURE,
  more: string[] = [],
): Promise<WorkerProcess> {
  const child = spawn(process.execPath, ['--import', LOADER.href, fileURLToPath(script), url, id, ...more], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  let output = '';
  let wake = (): void => undefined;
  const hear = (text: string): void => {
    output += text;
    wake();
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  child.once('exit', () => wake());

  const worker: WorkerProcess = {
    child,
    said: (line) =>
      new Promise((resolve, reject) => {
        const fail = (why: string): void => reject(new Error(`the worker ${why} without saying "${line}":\n${output}`));
        const timer = setTimeout(() => fail(`went on for ${PATIENCE_MS} ms`), PATIENCE_MS);
        wake = () => {
          const heard = output.split('\n').includes(line);
          if (!heard && child.exitCode === null && child.signalCode === null) return;
          clearTimeout(timer);
          if (heard) resolve();
          else fail('ended');
        };
        wake();
      }),
    async end(signal) {
      child.kill(signal);
      await exited;
      return child.exitCode;
    },
  };
  await worker.said('ready');
  return worker;
}
