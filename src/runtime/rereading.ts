import type { Bus, Subscription } from '../ports/bus.ts';
import type { Cancel, Clock } from '../ports/clock.ts';

export interface RereadingOptions {
  bus: Pick<Bus, 'subscribe' | 'connected'>;
  /** Subject on which it is told that something has changed. */
  hint: string;
  /** How often it looks all the same, as hints get lost, milliseconds. */
  everyMs: number;
  read: () => Promise<void>;
  /** A reading failed that nobody waits for; there will be another. */
  failed: (thrown: unknown) => void;
}

/** Reads again what may have changed: on a hint, and in between. One reading at a time. */
export class Rereading {
  private readonly options: RereadingOptions;
  private reading: Promise<unknown> = Promise.resolve();
  private queued: Promise<void> | null = null;
  private hints: Subscription | null = null;
  private cancelTimer: Cancel = () => {};

  constructor(options: RereadingOptions) {
    this.options = options;
  }

  /** Listens, does `first`, and goes on from there; again after a stop. Throws what `first` throws. @param clock runs its timers */
  async start(clock: Clock, first: () => Promise<void>): Promise<void> {
    const { bus, hint, everyMs, failed } = this.options;
    const look = () => void this.refresh().catch(failed);
    this.hints = bus.subscribe(hint, look);
    try {
      await first();
    } catch (thrown) {
      await this.hints.stop();
      throw thrown;
    }
    const tick = () => {
      this.cancelTimer = clock.after(everyMs, tick);
      if (bus.connected) look();
    };
    this.cancelTimer = clock.after(everyMs, tick);
  }

  async stop(): Promise<void> {
    this.cancelTimer();
    await this.hints?.stop();
  }

  /** What was acknowledged before the call is known after it. */
  refresh(): Promise<void> {
    this.queued ??= this.reading.then(() => {
      this.queued = null;
      const read = this.options.read();
      this.reading = read.catch(() => undefined);
      return read;
    });
    return this.queued;
  }
}
