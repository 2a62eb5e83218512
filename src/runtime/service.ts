import { failureOf } from '../../supervisors/exit-reason.ts';
import type { ResourceChild } from '../../supervisors/spec-types.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { NodeDeps } from './deps.ts';

/**
 * A part of the node as a child of its tree: whatever its timers or loops throw ends it, what it holds is let go, and
 * its supervisor starts it again.
 */

/** How soon a start that waits for the server is tried again, milliseconds. */
const AGAIN_MS = 500;
/** How long a service that failed has to let go of what it holds, milliseconds. */
const LET_GO_MS = 5_000;
/** What the bus says while the server is away or not ready yet: the state of the server is no fault of the service. */
const AWAY = new Set(['unavailable', 'timeout', 'no_responders']);

const BACKOFF = { minMs: 500, maxMs: 10_000, jitter: 0.2 };

/** What a service works with: the node's, but for timers that are its own. */
export interface Own {
  deps: NodeDeps;
  /** Ends the service with a fault, which its supervisor deals with. */
  fail(thrown: unknown): void;
}

export type Stop = () => unknown;

/**
 * @param begin resolves with what stops it, once it works
 * @param isUp whether the whole node is up: then a start waits for a server that is away, before that it fails
 */
export function service(
  id: string,
  deps: NodeDeps,
  isUp: () => boolean,
  begin: (own: Own) => Stop | Promise<Stop>,
): ResourceChild {
  return {
    id,
    startMs: 'infinity',
    backoff: BACKOFF,
    start: async ({ exit, signal }) => {
      let over = false;
      let stop: Stop | null = null;
      let failedInStart: { thrown: unknown } | null = null;
      const letGo = async (): Promise<void> => {
        over = true;
        await stop?.();
      };
      const fail = (thrown: unknown): void => {
        if (over) return;
        over = true;
        if (stop === null) failedInStart = { thrown };
        else void atMost(deps.clock, LET_GO_MS, letGo).then(() => exit(failureOf(thrown)));
      };
      const clock: Clock = {
        now: () => deps.clock.now(),
        after: (ms, action) =>
          deps.clock.after(ms, () => {
            if (over) return;
            try {
              action();
            } catch (thrown) {
              fail(thrown);
            }
          }),
      };
      signal.addEventListener('abort', () => void atMost(deps.clock, LET_GO_MS, letGo), { once: true });
      stop = await whenServerIsThere(deps, isUp, signal, () => begin({ deps: { ...deps, clock }, fail }));
      if (failedInStart !== null || signal.aborted) {
        await atMost(deps.clock, LET_GO_MS, letGo);
        throw (failedInStart as { thrown: unknown } | null)?.thrown ?? new AppError('aborted', 'not wanted any more');
      }
      return { stop: letGo };
    },
  };
}

async function whenServerIsThere<T>(
  { bus, clock, log }: NodeDeps,
  isUp: () => boolean,
  signal: AbortSignal,
  work: () => T | Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (thrown) {
      const { code, message } = toAppError(thrown);
      if (!isUp() || signal.aborted || (bus.connected && !AWAY.has(code))) throw thrown;
      log.warn('service.waits', { code, message, consequence: `its start is tried again in ${AGAIN_MS} ms` });
      await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
    }
  }
}

/** Resolves when the work is done, has failed, or has taken too long. */
function atMost(clock: Clock, ms: number, work: () => Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve);
    const done = () => {
      cancel();
      resolve();
    };
    work().then(done, done);
  });
}
