import { AppError } from '../../core/errors.ts';
import type { QueueSpec, StreamSpec } from '../../core/streams.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ScanOptions, StoredMessage } from '../../ports/bus.ts';
import { MemoryConsumer } from './memory-consumer.ts';
import { matches, overlaps } from './subject-match.ts';

/** One stream: what it stores, and the durable consumers that read it. Every call takes effect at once. */
export class MemoryStream {
  readonly spec: StreamSpec;
  /** ISO 8601; tells incarnations of the stream apart. */
  readonly created: string;
  readonly #clock: Clock;
  readonly #messages = new Map<number, StoredMessage>();
  readonly #bySubject = new Map<string, Set<number>>();
  readonly #consumers = new Map<string, MemoryConsumer>();
  #lastSeq = 0;

  constructor(spec: StreamSpec, clock: Clock) {
    this.spec = structuredClone(spec);
    this.#clock = clock;
    this.created = new Date(clock.now()).toISOString();
  }

  get size(): number {
    return this.#messages.size;
  }

  covers(subject: string): boolean {
    return this.spec.subjects.some((filter) => matches(filter, subject));
  }

  /** Throws AppError `taken` where the stream keeps the first message of a subject and has one. */
  append(subject: string, data: string, headers: Record<string, string>): number {
    const had = this.#bySubject.get(subject) ?? new Set();
    if (this.spec.perSubject === 'first' && had.size > 0) {
      throw new AppError('taken', `subject ${subject} was written before: read it to see by whom`);
    }
    if (this.spec.perSubject === 'last') for (const seq of had) this.remove(seq);
    const seq = ++this.#lastSeq;
    this.#messages.set(seq, { subject, seq, at: this.#clock.now(), data, headers: { ...headers } });
    const seqs = this.#bySubject.get(subject) ?? new Set();
    this.#bySubject.set(subject, seqs.add(seq));
    for (const consumer of this.#consumers.values()) consumer.pump();
    return seq;
  }

  get(seq: number): StoredMessage | null {
    const message = this.#messages.get(seq);
    return message === undefined ? null : { ...message, headers: { ...message.headers } };
  }

  last(subject: string): StoredMessage | null {
    const seq = [...(this.#bySubject.get(subject) ?? [])].at(-1);
    return seq === undefined ? null : this.get(seq);
  }

  scan(filter: string, options: ScanOptions): StoredMessage[] {
    const found: StoredMessage[] = [];
    for (const seq of this.#messages.keys()) {
      const message = this.get(seq);
      if (message === null || seq < (options.fromSequence ?? 0) || !matches(filter, message.subject)) continue;
      if (options.lastPerSubject === true && this.last(message.subject)?.seq !== seq) continue;
      found.push(message);
    }
    return found;
  }

  /** Removing what is not there does nothing. */
  remove(seq: number): void {
    const message = this.#messages.get(seq);
    if (message === undefined) return;
    this.#messages.delete(seq);
    const left = this.#bySubject.get(message.subject);
    left?.delete(seq);
    if (left?.size === 0) this.#bySubject.delete(message.subject);
    for (const consumer of this.#consumers.values()) consumer.forget(seq);
  }

  /** The first message at or after a sequence that the filter lets through. */
  from(seq: number, filter: string): StoredMessage | null {
    for (let at = seq; at <= this.#lastSeq; at++) {
      const message = this.#messages.get(at);
      if (message !== undefined && matches(filter, message.subject)) return message;
    }
    return null;
  }

  /** Called when a consumer is done with a message: a work queue keeps it no longer. */
  settled(seq: number): void {
    if (this.spec.retention === 'workqueue') this.remove(seq);
  }

  /** Throws AppError `stream_mismatch` for another consumer of that name, or one that overlaps in a work queue. */
  addConsumer(spec: QueueSpec): void {
    const present = this.#consumers.get(spec.name);
    if (present !== undefined) {
      if (present.spec.filter === spec.filter && present.spec.ackWaitMs === spec.ackWaitMs) return;
      throw new AppError('stream_mismatch', `queue ${spec.name} of ${spec.stream} exists with other settings`);
    }
    const rival = [...this.#consumers.values()].find((other) => overlaps(other.spec.filter, spec.filter));
    if (this.spec.retention === 'workqueue' && rival !== undefined) {
      throw new AppError('stream_mismatch', `queue ${spec.name} of ${spec.stream} overlaps with ${rival.spec.name}`);
    }
    this.#consumers.set(spec.name, new MemoryConsumer(spec, this, this.#clock));
  }

  consumer(name: string): MemoryConsumer | undefined {
    return this.#consumers.get(name);
  }

  /** Stops all timers. */
  close(): void {
    for (const consumer of this.#consumers.values()) consumer.close();
  }
}
