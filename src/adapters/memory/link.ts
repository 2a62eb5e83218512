import type { MemoryBroker, Operation } from './memory-broker.ts';

/**
 * The connection of one node: carries messages both ways, each way in order, and applies the faults that the broker's
 * `intercept` chooses. While the connection is cut, what is under way waits.
 */

export type Message = Omit<Operation, 'node' | 'attempt'>;

export class Link {
  readonly #broker: MemoryBroker;
  readonly #node: string;
  #up: Promise<void> = Promise.resolve();
  #down: Promise<void> = Promise.resolve();
  #open: Promise<void> = Promise.resolve();
  #heal: (() => void) | null = null;

  constructor(broker: MemoryBroker, node: string) {
    this.#broker = broker;
    this.#node = node;
  }

  get connected(): boolean {
    return this.#heal === null;
  }

  cut(): void {
    if (this.#heal !== null) return;
    this.#open = new Promise((resolve) => {
      this.#heal = resolve;
    });
  }

  heal(): void {
    this.#heal?.();
    this.#heal = null;
  }

  /** Sends what expects no answer, or whose answer comes another way. */
  send(direction: 'up' | 'down', message: Message, arrive: () => void): void {
    const operation = { ...message, node: this.#node, attempt: 1 };
    const fault = this.#broker.intercept(operation);
    if (fault === 'lost') return;
    if (fault === 'delay') this.#broker.held.push({ operation, arrive });
    else void this.#carry(direction, operation).then(arrive);
  }

  /**
   * Sends until answered. `effect` is what the broker does each time the message arrives: its value or its error is
   * the answer. Stops sending, and never settles, once `wanted` says no.
   */
  async exchange<T>(message: Message, effect: () => T, wanted: () => boolean): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#attempt({ ...message, node: this.#node, attempt }, effect);
      if (answer !== null) return answer();
      await new Promise<void>((resolve) => {
        this.#broker.clock.after(this.#broker.resendMs, resolve);
      });
      if (!wanted()) return new Promise<never>(() => {});
    }
  }

  /** The answer, as a function that returns or throws it; null when none came. */
  async #attempt<T>(operation: Operation, effect: () => T): Promise<(() => T) | null> {
    const fault = this.#broker.intercept(operation);
    if (fault === 'delay') this.#broker.held.push({ operation, arrive: () => void answerOf(effect) });
    if (fault === 'delay' || fault === 'lost') return null;
    await this.#carry('up', operation);
    const answer = answerOf(effect);
    if (fault === 'lost_ack') return null;
    await this.#carry('down', operation);
    return answer;
  }

  #carry(direction: 'up' | 'down', { node, kind, subject, attempt }: Operation): Promise<void> {
    const again = attempt > 1 ? ` #${attempt}` : '';
    const label = `${node} ${direction === 'up' ? '>' : '<'} ${kind} ${subject}${again}`;
    const before = direction === 'up' ? this.#up : this.#down;
    const passed = before.then(() => this.#open).then(() => this.#broker.carry(label));
    if (direction === 'up') this.#up = passed;
    else this.#down = passed;
    return passed;
  }
}

function answerOf<T>(effect: () => T): () => T {
  try {
    const value = effect();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
