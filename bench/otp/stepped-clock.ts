import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import type { SupervisorClock } from '../../supervisors/host/incarnation.ts';

/** A simulated clock on which timers without a delay, a supervisor's retries, fire only when they are told to. */
export class SteppedClock implements SupervisorClock {
  private readonly clock = new SimulatedClock();
  private readonly immediate = new Set<() => void>();

  now(): number {
    return this.clock.now();
  }

  after(ms: number, action: () => void): () => void {
    if (ms > 0) return this.clock.after(ms, action);
    const own = (): void => action();
    this.immediate.add(own);
    return () => {
      this.immediate.delete(own);
    };
  }

  /** Lets everything happen that takes no time; of what was set without a delay, at most `most`. True when all was. */
  async rest(most: number): Promise<boolean> {
    await this.clock.settle();
    for (let left = most; left > 0; left--) {
      const [next] = this.immediate;
      if (next === undefined) return true;
      this.immediate.delete(next);
      next();
      await this.clock.settle();
    }
    return this.immediate.size === 0;
  }

  /** Moves on to the next timer that is due by `end`; false when there is none. */
  async moveOn(end: number): Promise<boolean> {
    const { nextDue } = this.clock;
    const due = nextDue !== null && nextDue <= end;
    await this.clock.advance(Math.max(0, (due ? nextDue : end) - this.clock.now()));
    return due;
  }
}
