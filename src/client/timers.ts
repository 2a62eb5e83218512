import type { Clock } from '../ports/clock.ts';

/** Real timers, for delays below 24 days. */
export const nodeTimers: Pick<Clock, 'after'> = {
  after(ms, action) {
    const handle = setTimeout(action, ms);
    return () => clearTimeout(handle);
  },
};
