import { toAppError } from '../core/errors.ts';
import type { Delivery, Queue } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/telemetry.ts';

export interface PullLoopOptions {
  queue: Queue;
  /** Most messages held at once. */
  capacity: number;
  /** How many more may be held now; asked before each pull. */
  room: () => number;
  onDelivery: (delivery: Delivery) => void;
  /** It has ended by a fault of ours. */
  onFault: (thrown: unknown) => void;
  /** How long one pull waits for messages, milliseconds. */
  waitMs: number;
  clock: Clock;
  log: Log;
  name: string;
}

/** A full node collects free room for this long: a pull for each single place would cost more than the wait. */
const GATHER_MS = 2;

/** Pulls from a queue for ever, never more than there is room for, until stopped. */
export class PullLoop {
  private readonly options: PullLoopOptions;
  private readonly stopping = new AbortController();
  private wake: (() => void) | null = null;
  private readonly done: Promise<void>;

  constructor(options: PullLoopOptions) {
    this.options = options;
    this.done = this.run().catch((thrown: unknown) => options.onFault(thrown));
  }

  /** Room has become free. */
  roomFreed(): void {
    this.wake?.();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.wake?.();
    await this.done;
  }

  private async run(): Promise<void> {
    const { queue, room, capacity, onDelivery, waitMs, log, name } = this.options;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      if (room() * 8 < capacity) await this.pause(GATHER_MS);
      const free = room();
      if (free <= 0) {
        await this.roomOrStop();
        continue;
      }
      try {
        await queue.pull(free, waitMs, onDelivery, signal);
      } catch (thrown) {
        const error = toAppError(thrown);
        if (signal.aborted || error.code === 'closed') return;
        log.warn('pull.failed', {
          queue: name,
          code: error.code,
          message: error.message,
          consequence: 'asked again in 500 ms',
        });
        await this.pause(500);
      }
    }
  }

  private roomOrStop(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = () => {
        this.wake = null;
        resolve();
      };
      if (this.stopping.signal.aborted) this.wake();
    });
  }

  private pause(ms: number): Promise<void> {
    const { signal } = this.stopping;
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.options.clock.after(ms, done);
      signal.addEventListener('abort', done);
    });
  }
}
