import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../../core/errors.ts';
import type { Log } from '../../ports/telemetry.ts';
import type { ServerProcess } from './server-process.ts';

/** Starts the server again when it dies, a little later each time, until it has died too often. */

/** This many deaths within the window are too many. */
const MAX_DEATHS = 5;
const WINDOW_MS = 60_000;
const FIRST_BACKOFF_MS = 100;

export interface SuperviseOptions {
  /** The server that runs already. */
  first: ServerProcess;
  spawn: () => Promise<ServerProcess>;
  onSpawn: (pid: number) => Promise<void>;
  log: Log;
  now: () => number;
  stopDeadlineMs: number;
}

export interface Supervised {
  pid: () => number | null;
  failed: Promise<AppError>;
  stop: () => Promise<void>;
}

export function superviseServer(options: SuperviseOptions): Supervised {
  const stopping = new AbortController();
  let current: ServerProcess | null = options.first;
  const deaths: number[] = [];
  let fail: (error: AppError) => void = () => undefined;
  const failed = new Promise<AppError>((resolve) => {
    fail = resolve;
  });

  /** Records a death and waits; false when there is no next try. */
  const mayTryAgain = async (how: string, said: string[]): Promise<boolean> => {
    deaths.push(options.now());
    while ((deaths[0] ?? 0) <= options.now() - WINDOW_MS) deaths.shift();
    const tail = said.slice(-5).join(' | ');
    if (deaths.length >= MAX_DEATHS) {
      options.log.error('nats.gave_up', { how, deaths: deaths.length, said: tail });
      fail(
        new AppError(
          'nats_gave_up',
          `nats-server died ${deaths.length} times within ${WINDOW_MS / 1000} s, last with ${how}. It said: ${tail}`,
        ),
      );
      return false;
    }
    const waitMs = FIRST_BACKOFF_MS * 2 ** (deaths.length - 1);
    options.log.error('nats.died', { how, restart_in_ms: waitMs, said: tail });
    await delay(waitMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    return !stopping.signal.aborted;
  };

  const watch = async () => {
    while (current !== null) {
      const how: string = await current.exited;
      const said: string[] = current.lastLines();
      current = null;
      if (stopping.signal.aborted || !(await mayTryAgain(how, said))) return;
      current = await respawn();
    }
  };

  const respawn = async (): Promise<ServerProcess | null> => {
    for (;;) {
      try {
        const server = await options.spawn();
        if (stopping.signal.aborted) {
          await server.stop(options.stopDeadlineMs);
          return null;
        }
        await options
          .onSpawn(server.pid)
          .catch((error: unknown) => options.log.error('nats.not_recorded', { text: String(error) }));
        options.log.warn('nats.restarted', { pid: server.pid });
        return server;
      } catch (error) {
        if (!(await mayTryAgain(`no start: ${String(error)}`, []))) return null;
      }
    }
  };

  const watching = watch();
  return {
    pid: () => current?.pid ?? null,
    failed,
    stop: async () => {
      stopping.abort();
      await current?.stop(options.stopDeadlineMs);
      await watching;
    },
  };
}
