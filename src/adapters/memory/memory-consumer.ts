import type { QueueSpec } from '../../core/streams.ts';
import type { Backlog, StoredMessage } from '../../ports/bus.ts';
import type { Cancel, Clock } from '../../ports/clock.ts';

/**
 * A durable consumer as JetStream has it, sharp edges included: acks, naks and signs of life name the message and not
 * the delivery, so those of a process that lost its message still count. What comes again goes before what is new.
 */

/** What a consumer needs of its stream. */
export interface ConsumerSource {
  /** Sequence of the newest message ever stored. */
  readonly end: number;
  from(seq: number, filter: string): StoredMessage | null;
  get(seq: number): StoredMessage | null;
  settled(seq: number): void;
}

/** A request for messages that is open at the server. */
export interface PullRequest {
  left: number;
  deliver(message: StoredMessage, deliveries: number): void;
}

interface Pending {
  deliveries: number;
  /** Ends the ack wait or the nak's delay; null while the message waits for a pull. */
  cancel: Cancel | null;
}

export class MemoryConsumer {
  readonly name: string;
  readonly filter: string;
  /** Holds for what is delivered from now on. */
  ackWaitMs: number;
  readonly #source: ConsumerSource;
  readonly #clock: Clock;
  readonly #pulls = new Set<PullRequest>();
  readonly #pending = new Map<number, Pending>();
  readonly #again: number[] = [];
  #cursor = 1;
  #handedOut = 0;
  #deliveries = 0;

  constructor(spec: QueueSpec, source: ConsumerSource, clock: Clock) {
    this.name = spec.name;
    this.filter = spec.filter;
    this.ackWaitMs = spec.ackWaitMs;
    this.#source = source;
    this.#clock = clock;
  }

  /** Messages that were delivered and not acked. */
  get unacked(): number {
    return this.#pending.size;
  }

  /** What was delivered to nobody yet. */
  backlog(): Backlog {
    const found: StoredMessage[] = [];
    for (let at = this.#cursor; ; at = (found.at(-1)?.seq ?? at) + 1) {
      const message = this.#source.from(at, this.filter);
      if (message === null) {
        const oldestAt = found[0]?.at ?? null;
        const counts = { inWork: this.unacked, deliveries: this.#deliveries, asking: this.#pulls.size };
        return { messages: found.length, oldestAt, handedOut: this.#handedOut, ...counts };
      }
      found.push(message);
    }
  }

  open(pull: PullRequest): void {
    this.#pulls.add(pull);
    this.pump();
  }

  cancel(pull: PullRequest): void {
    this.#pulls.delete(pull);
  }

  /** Hands out what there is to the pulls that are open, in the order they came. */
  pump(): void {
    for (const pull of this.#pulls) {
      while (pull.left > 0) {
        const message = this.#next();
        if (message === null) return;
        this.#deliver(pull, message);
      }
      this.#pulls.delete(pull);
    }
  }

  ack(seq: number): void {
    if (!this.#pending.has(seq)) return;
    this.forget(seq);
    this.#source.settled(seq);
  }

  nak(seq: number, delayMs: number): void {
    const pending = this.#pending.get(seq);
    if (pending === undefined || pending.cancel === null) return;
    pending.cancel();
    if (delayMs > 0) this.#after(seq, pending, delayMs);
    else this.#offerAgain(seq, pending);
  }

  working(seq: number): void {
    const pending = this.#pending.get(seq);
    if (pending === undefined || pending.cancel === null) return;
    pending.cancel();
    this.#after(seq, pending, this.ackWaitMs);
  }

  forget(seq: number): void {
    this.#pending.get(seq)?.cancel?.();
    this.#pending.delete(seq);
    const waiting = this.#again.indexOf(seq);
    if (waiting >= 0) this.#again.splice(waiting, 1);
  }

  close(): void {
    for (const pending of this.#pending.values()) pending.cancel?.();
    this.#pulls.clear();
  }

  #next(): StoredMessage | null {
    const again = this.#again.shift();
    if (again !== undefined) return this.#source.get(again);
    const message = this.#source.from(this.#cursor, this.filter);
    this.#cursor = (message?.seq ?? this.#source.end) + 1;
    return message;
  }

  #deliver(pull: PullRequest, message: StoredMessage): void {
    const pending = this.#pending.get(message.seq) ?? { deliveries: 0, cancel: null };
    this.#handedOut = Math.max(this.#handedOut, message.seq);
    this.#deliveries++;
    pending.deliveries++;
    this.#pending.set(message.seq, pending);
    this.#after(message.seq, pending, this.ackWaitMs);
    pull.left--;
    pull.deliver(message, pending.deliveries);
  }

  #after(seq: number, pending: Pending, ms: number): void {
    pending.cancel = this.#clock.after(ms, () => this.#offerAgain(seq, pending));
  }

  #offerAgain(seq: number, pending: Pending): void {
    pending.cancel = null;
    this.#again.push(seq);
    this.pump();
  }
}
