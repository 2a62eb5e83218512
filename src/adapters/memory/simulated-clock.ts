import type { Cancel, Clock } from '../../ports/clock.ts';

/**
 * A clock that stands still until it is told to move. Timers fire one at a time in the order they are due (those of
 * one moment in the order they were set), and everything that a timer sets off (promise chains of any length, timers
 * that it sets) has happened before the next one fires: a test sees the same order every time.
 */

interface Timer {
  due: number;
  action: () => void;
}

// Taken at load: a test that replaces the global timers must not stop this clock.
const immediately = setImmediate;

export class SimulatedClock implements Clock {
  #now: number;
  readonly #timers = new Set<Timer>();

  /** @param start epoch milliseconds; default 2026-01-01T00:00:00Z */
  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, action: () => void): Cancel {
    const timer = { due: this.#now + (Math.max(0, ms) || 0), action };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  /** Number of timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** When the next timer is due, epoch milliseconds; null without one. */
  get nextDue(): number | null {
    return this.#next()?.due ?? null;
  }

  /** Moves `ms` on, firing what becomes due. A timer that throws fails the call, with the clock at that timer's time. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.settle();
    for (let timer = this.#next(); timer !== null && timer.due <= end; timer = this.#next()) {
      this.#timers.delete(timer);
      this.#now = Math.max(this.#now, timer.due);
      timer.action();
      await this.settle();
    }
    this.#now = Math.max(this.#now, end);
  }

  /** Resolves when every promise chain that can go on without time passing has done so. */
  settle(): Promise<void> {
    return new Promise((resolve) => {
      immediately(resolve);
    });
  }

  #next(): Timer | null {
    let next: Timer | null = null;
    for (const timer of this.#timers) if (next === null || timer.due < next.due) next = timer;
    return next;
  }
}
