import type { Cancel, Clock } from '../../ports/clock.ts';

/**
 * The real clock: this process's wall clock as it stood when the clock was made, carried on by the monotonic timer
 * (so a stepped wall clock moves nothing), plus the offset to the NATS server's time, which may be corrected while it
 * runs.
 */

/** Longest delay that `setTimeout` keeps, milliseconds; it fires at once for anything above. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** @param offsetMs server time minus this process's time, milliseconds, as it is known now; default 0 */
export function systemClock(offsetMs: () => number = () => 0): Clock {
  const origin = Date.now() - performance.now();
  return {
    now: () => Math.round(origin + performance.now() + offsetMs()),
    after,
  };
}

/** Keeps the process alive until it fires or is cancelled. Anything that is not a positive number fires next turn. */
function after(ms: number, action: () => void): Cancel {
  const due = performance.now() + (Math.max(0, ms) || 0);
  let handle: NodeJS.Timeout | undefined;
  const wait = (): void => {
    const left = Math.ceil(due - performance.now());
    const last = left <= MAX_TIMEOUT_MS;
    handle = setTimeout(last ? action : wait, last ? Math.max(0, left) : MAX_TIMEOUT_MS);
  };
  wait();
  return () => clearTimeout(handle);
}
