import type { QueueSpec } from '../../core/streams.ts';
import type { Delivery, Queue, StoredMessage } from '../../ports/bus.ts';
import type { Link } from './link.ts';
import type { MemoryBroker } from './memory-broker.ts';
import type { PullRequest } from './memory-consumer.ts';
import type { PendingWork } from './pending-work.ts';

/** One node's end of a durable consumer. */
export class MemoryQueue implements Queue {
  readonly #spec: QueueSpec;
  readonly #broker: MemoryBroker;
  readonly #link: Link;
  readonly #work: PendingWork;
  readonly #pulls = new Set<PullRequest>();

  constructor(spec: QueueSpec, broker: MemoryBroker, link: Link, work: PendingWork) {
    this.#spec = spec;
    this.#broker = broker;
    this.#link = link;
    this.#work = work;
  }

  pull(max: number, waitMs: number, onDelivery: (delivery: Delivery) => void, signal: AbortSignal): Promise<void> {
    if (max <= 0 || signal.aborted) return Promise.resolve();
    return this.#work.run(
      undefined,
      () =>
        new Promise((resolve) => {
          let got = 0;
          let over = false;
          const end = (): void => {
            over = true;
            expiry();
            signal.removeEventListener('abort', end);
            this.#withdraw(request);
            resolve();
          };
          const expiry = this.#broker.clock.after(waitMs, end);
          const request: PullRequest = {
            left: max,
            deliver: (message, deliveries) => {
              const delivery = this.#delivery(message, deliveries);
              this.#link.send('down', { kind: 'deliver', subject: message.subject, data: message.data }, () => {
                if (this.#work.crashed) return;
                if (over || this.#work.over) {
                  delivery.nak(0);
                  return;
                }
                onDelivery(delivery);
                if (++got === max) end();
              });
            },
          };
          signal.addEventListener('abort', end);
          this.#pulls.add(request);
          this.#link.send('up', { kind: 'pull', subject: this.#spec.name }, () => {
            if (this.#pulls.has(request)) this.#broker.consumer(this.#spec).open(request);
          });
        }),
    );
  }

  /** The connection is gone: nothing more is handed out to it. */
  leave(): void {
    for (const request of this.#pulls) this.#withdraw(request);
  }

  #withdraw(request: PullRequest): void {
    this.#pulls.delete(request);
    this.#broker.consumer(this.#spec).cancel(request);
  }

  #delivery(message: StoredMessage, deliveries: number): Delivery {
    const consumer = this.#broker.consumer(this.#spec);
    const say = (kind: 'ack' | 'nak' | 'working', effect: () => void): void => {
      if (!this.#work.crashed) this.#link.send('up', { kind, subject: message.subject }, effect);
    };
    return {
      ...message,
      stream: this.#spec.stream,
      created: this.#broker.stream(this.#spec.stream).created,
      deliveries,
      get behind() {
        return consumer.backlog().messages;
      },
      ack: () => say('ack', () => consumer.ack(message.seq)),
      nak: (delayMs) => say('nak', () => consumer.nak(message.seq, delayMs)),
      working: () => say('working', () => consumer.working(message.seq)),
    };
  }
}
