import { type ChildProcess, fork } from 'node:child_process';
import type { LogLevel } from '../app/local.ts';
import type { NamedStackOptions } from './up-options.ts';

/**
 * The console of `up`, as a process of its own: what people look at costs the node nothing. One that dies is started
 * again; when this process is gone, it goes as well.
 */

export interface UpConsole {
  /** Its address, and the link that logs in once; null when it does not come up in time. */
  readonly started: Promise<{ url: string; login: string } | null>;
  stop(): Promise<void>;
}

const PATIENCE_MS = 15_000;
const AGAIN_MS = 1_000;
/** One that will not stay up is given up: the node goes on without it. */
const MOST_STARTS = 5;

export interface UpConsoleOptions extends Pick<NamedStackOptions, 'dir' | 'prefix' | 'log'> {
  port?: number | undefined;
  logLevel: LogLevel;
}

export function startUpConsole({ dir, prefix, port, log, logLevel }: UpConsoleOptions): UpConsole {
  const args = [
    'console',
    '--dir',
    dir,
    '--prefix',
    prefix,
    '--log-level',
    logLevel,
    ...(port === undefined ? [] : ['--port', String(port)]),
  ];
  let child: ChildProcess;
  let stopping = false;
  let starts = 0;
  let timer: NodeJS.Timeout | undefined;
  const started = new Promise<{ url: string; login: string } | null>((resolve) => {
    const patience = setTimeout(() => resolve(null), PATIENCE_MS);
    const start = () => {
      starts++;
      child = fork(process.argv[1] ?? '', args, {
        // Ctrl-C is for this process: it tells the console when it is time.
        detached: true,
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      child.once('message', (told) => {
        clearTimeout(patience);
        resolve(told as { url: string; login: string });
      });
      child.once('exit', (code) => {
        if (stopping) return;
        if (starts < MOST_STARTS) {
          log.warn('console.died', { code, consequence: 'it is started again' });
          timer = setTimeout(start, AGAIN_MS);
          return;
        }
        log.error('console.given_up', { code, todo: 'start it by hand to see why: proctor console' });
        clearTimeout(patience);
        resolve(null);
      });
    };
    start();
  });
  return {
    started,
    stop: async () => {
      stopping = true;
      clearTimeout(timer);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      if (child.connected) child.disconnect();
      await gone;
    },
  };
}
