import { AppError } from '../../core/errors.ts';
import type { QueueSpec, StreamSpec } from '../../core/streams.ts';
import type { ScanOptions, StoredMessage } from '../../ports/bus.ts';
import type { Clock } from '../../ports/clock.ts';
import { MemoryConsumer } from './memory-consumer.ts';
import { matches, overlaps } from './subject-match.ts';

/** One stream: what it stores, and the durable consumers that read it. Every call takes effect at once. */
export class MemoryStream {
  readonly spec: StreamSpec;
  /** ISO 8601 to the nanosecond, unlike that of any other stream: tells incarnations apart. */
  readonly created: string;
  readonly #clock: Clock;
  readonly #messages = new Map<number, StoredMessage>();
  readonly #bySubject = new Map<string, Set<number>>();
  readonly #consumers = new Map<string, MemoryConsumer>();
  #lastSeq = 0;

  /** @param ordinal how many streams the broker made before */
  constructor(spec: StreamSpec, clock: Clock, ordinal: number) {
    this.spec = structuredClone(spec);
    this.#clock = clock;
    const nanoseconds = String(ordinal % 1_000_000).padStart(6, '0');
    this.created = new Date(clock.now()).toISOString().replace('Z', `${nanoseconds}Z`);
  }

  get size(): number {
    return this.#messages.size;
  }

  get end(): number {
    return this.#lastSeq;
  }

  covers(subject: string): boolean {
    return this.spec.subjects.some((filter) => matches(filter, subject));
  }

  /** Throws AppError `taken` where the stream keeps the first message of a subject and has one. */
  append(subject: string, data: string, headers: Record<string, string>): number {
    this.#expire();
    const had = this.#bySubject.get(subject) ?? new Set();
    if (this.spec.perSubject === 'first' && had.size > 0) {
      throw new AppError('taken', `subject ${subject} was written before: read it to see by whom`);
    }
    if (this.spec.perSubject === 'last') for (const seq of had) this.remove(seq);
    const seq = ++this.#lastSeq;
    const bytes = (): Uint8Array => new TextEncoder().encode(data);
    this.#messages.set(seq, { subject, seq, at: this.#clock.now(), data, bytes, headers: { ...headers } });
    const seqs = this.#bySubject.get(subject) ?? new Set();
    this.#bySubject.set(subject, seqs.add(seq));
    for (const consumer of this.#consumers.values()) consumer.pump();
    return seq;
  }

  get(seq: number): StoredMessage | null {
    this.#expire();
    const message = this.#messages.get(seq);
    return message === undefined ? null : { ...message, headers: { ...message.headers } };
  }

  /** The newest message that a subject, or a filter, finds. */
  last(filter: string): StoredMessage | null {
    this.#expire();
    const exact = this.#bySubject.get(filter);
    const sets =
      exact === undefined ? [...this.#bySubject].filter(([s]) => matches(filter, s)).map(([, seqs]) => seqs) : [exact];
    return this.get(Math.max(-1, ...sets.map((seqs) => [...seqs].at(-1) ?? -1)));
  }

  scan(filter: string, options: ScanOptions): StoredMessage[] {
    this.#expire();
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

  /** Removes all below a sequence. */
  trim(before: number): void {
    for (const seq of this.#messages.keys()) if (seq < before) this.remove(seq);
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

  /** Throws AppError `stream_mismatch` for one of that name with another filter, or an overlap in a work queue. */
  addConsumer(spec: QueueSpec): void {
    const present = this.#consumers.get(spec.name);
    if (present !== undefined) {
      if (present.filter !== spec.filter) {
        throw new AppError('stream_mismatch', `queue ${spec.name} of ${spec.stream} exists with another filter`);
      }
      present.ackWaitMs = spec.ackWaitMs;
      return;
    }
    const rival = [...this.#consumers.values()].find((other) => overlaps(other.filter, spec.filter));
    if (this.spec.retention === 'workqueue' && rival !== undefined) {
      throw new AppError('stream_mismatch', `queue ${spec.name} of ${spec.stream} overlaps with ${rival.name}`);
    }
    this.#consumers.set(spec.name, new MemoryConsumer(spec, this, this.#clock));
  }

  consumerNames(): string[] {
    return [...this.#consumers.keys()];
  }

  removeConsumer(name: string): void {
    this.#consumers.get(name)?.close();
    this.#consumers.delete(name);
  }

  consumer(name: string): MemoryConsumer | undefined {
    return this.#consumers.get(name);
  }

  /** Drops what is too old; the oldest come first. */
  #expire(): void {
    const { maxAgeMs } = this.spec;
    if (maxAgeMs === undefined) return;
    for (const { seq, at } of this.#messages.values()) {
      if (at + maxAgeMs > this.#clock.now()) return;
      this.remove(seq);
    }
  }

  /** Stops all timers. */
  close(): void {
    for (const consumer of this.#consumers.values()) consumer.close();
  }
}
