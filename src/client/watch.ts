import { AppError } from '../core/errors.ts';
import { StatusEvent } from '../core/status.ts';
import type { Clock } from '../ports/clock.ts';
import type { ClientBus } from './ask.ts';

/**
 * The statuses of one run, from now to its end. Events may be missed while the connection is away, so after a while of
 * silence the status is asked for: an end is never missed.
 */

export interface WatchOptions {
  bus: ClientBus;
  clock: Pick<Clock, 'after'>;
  /** Subject of the run's events, wildcards allowed. */
  events: string;
  /** Where the run stands, from a node. */
  status: () => Promise<StatusEvent>;
  signal: AbortSignal | undefined;
}

/** Silence after which the status is asked for, milliseconds. */
const SILENCE_MS = 5_000;

/** Ends after the status with phase `complete`, or when the signal aborts. Throws what the first `status` throws. */
export async function* watchRun(options: WatchOptions): AsyncGenerator<StatusEvent, void, void> {
  const { bus, clock, signal } = options;
  const heard: StatusEvent[] = [];
  let wake: () => void = () => {};
  const wakeUp = () => wake();
  const subscription = bus.subscribe(options.events, ({ data }) => {
    const event = statusIn(data);
    if (event !== null) heard.push(event);
    wake();
  });
  signal?.addEventListener('abort', wakeUp, { once: true });
  try {
    await bus.flush();
    const first = await options.status();
    // When it ended meanwhile, what was heard has its last steps too.
    if (!ended(first) || !heard.some(ended)) yield first;
    if (ended(first) && !heard.some(ended)) return;
    for (;;) {
      for (let event = heard.shift(); event !== undefined; event = heard.shift()) {
        if (signal?.aborted === true) return;
        yield event;
        if (ended(event)) return;
      }
      if (signal?.aborted === true) return;
      const silent = await new Promise<boolean>((resolve) => {
        const cancel = clock.after(SILENCE_MS, () => resolve(true));
        wake = () => {
          cancel();
          resolve(false);
        };
      });
      wake = () => {};
      if (silent) heard.push(...(await endedMeanwhile(options.status)));
    }
  } finally {
    signal?.removeEventListener('abort', wakeUp);
    await subscription.stop();
  }
}

async function endedMeanwhile(status: WatchOptions['status']): Promise<StatusEvent[]> {
  try {
    const now = await status();
    return ended(now) ? [now] : [];
  } catch (thrown) {
    // Nobody can answer now: it is asked again after the next silence.
    if (thrown instanceof AppError && (thrown.retryable || thrown.code === 'unavailable')) return [];
    throw thrown;
  }
}

export function ended(status: StatusEvent): boolean {
  return status.phase === 'complete';
}

/** The status in a message; null for anything else. */
export function statusIn(data: string): StatusEvent | null {
  try {
    return StatusEvent.parse(JSON.parse(data));
  } catch {
    return null;
  }
}
