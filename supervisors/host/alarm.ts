import type { SupervisorClock } from './incarnation.ts';

/** One timer, set to the moment that is due next. */
export class Alarm {
  private readonly clock: SupervisorClock;
  private readonly ring: () => void;
  private timer: { at: number; cancel: () => void } | null = null;

  constructor(clock: SupervisorClock, ring: () => void) {
    this.clock = clock;
    this.ring = ring;
  }

  /** @param at epoch milliseconds; null for no alarm */
  set(at: number | null): void {
    if (this.timer?.at === at) return;
    this.timer?.cancel();
    this.timer = null;
    if (at === null) return;
    const cancel = this.clock.after(Math.max(0, at - this.clock.now()), () => {
      this.timer = null;
      this.ring();
    });
    this.timer = { at, cancel };
  }
}
