import { AppError } from '../../core/errors.ts';
import type { QueueSpec, StreamSpec } from '../../core/streams.ts';
import type { IncomingRequest, PubAck, Reply } from '../../ports/bus.ts';
import type { Clock } from '../../ports/clock.ts';
import type { MemoryConsumer } from './memory-consumer.ts';
import { MemoryStream } from './memory-stream.ts';
import { matches, overlaps } from './subject-match.ts';

/**
 * The server of the in-memory bus: several `MemoryBus` on one broker are several nodes. Time is the clock it is given,
 * and a test decides what the network does: `intercept` chooses a fault for each operation, `carry` decides when a
 * message that is under way arrives (fast-check: `carry = (label) => s.schedule(Promise.resolve(), label)`).
 */

export type OperationKind =
  | 'publish'
  | 'emit'
  | 'request'
  | 'reply'
  | 'read'
  | 'change'
  | 'pull'
  | 'deliver'
  | 'ack'
  | 'nak'
  | 'working';

/** One message between a node and the broker. */
export interface Operation {
  /** The name that the bus was made with. */
  node: string;
  kind: OperationKind;
  /** The subject; for reads and changes the stream. */
  subject: string;
  /** 1 for the first sending. */
  attempt: number;
  data?: string;
}

/**
 * `ok`: arrives and is answered. `lost`: never arrives. `lost_ack`: takes effect, the answer is lost; for what has no
 * answer the same as `ok`. `delay`: is held in the network until `release`, and the sender takes it for lost.
 * What expects an answer is sent again after `resendMs`, except requests: those time out.
 */
export type Fault = 'ok' | 'lost' | 'lost_ack' | 'delay';

export interface MemoryBrokerOptions {
  clock: Clock;
  /** Resolves when the labelled message may arrive; default: at once. One connection keeps its order in each direction. */
  carry?: (label: string) => Promise<void>;
  /** Largest message, bytes; default 1 MiB. */
  maxBytes?: number;
  /** Wait before a sender sends again what was not answered, milliseconds; default 1,000. */
  resendMs?: number;
}

/** What a service answers: a reply, or the error that its handler threw. */
export type Answer = Reply | AppError;

/** A core subscription. `reply` is null when nobody asked for an answer; `to` is where the answer would go. */
export interface Subscriber {
  filter: string;
  queue: string | undefined;
  deliver(request: IncomingRequest, reply: ((answer: Answer) => void) | null, to: string): void;
}

/** Told whenever a stream holds something new. */
export interface StreamFollower {
  stream: string;
  pump(): void;
}

/** A message that `delay` holds back. */
export interface HeldMessage {
  operation: Operation;
  arrive: () => void;
}

export class MemoryBroker {
  readonly clock: Clock;
  readonly maxBytes: number;
  readonly resendMs: number;
  carry: (label: string) => Promise<void>;
  intercept: (operation: Operation) => Fault = () => 'ok';
  /** What `delay` holds back, oldest first. */
  readonly held: HeldMessage[] = [];
  readonly #streams = new Map<string, MemoryStream>();
  readonly #subscribers = new Set<Subscriber>();
  readonly #followers = new Set<StreamFollower>();
  #turn = 0;

  constructor(options: MemoryBrokerOptions) {
    this.clock = options.clock;
    this.maxBytes = options.maxBytes ?? 1024 * 1024;
    this.resendMs = options.resendMs ?? 1_000;
    this.carry = options.carry ?? (() => Promise.resolve());
  }

  /** Lets the oldest `count` held messages arrive; default all. */
  release(count = this.held.length): void {
    for (const message of this.held.splice(0, count)) message.arrive();
  }

  /** Throws AppError `stream_mismatch` when one that is there differs, or covers some of the same subjects. */
  ensureStream(spec: StreamSpec): void {
    const present = this.#streams.get(spec.name);
    if (present !== undefined) {
      if (sameStream(present.spec, spec)) return;
      throw new AppError('stream_mismatch', `stream ${spec.name} exists with other settings: delete it or rename`);
    }
    for (const other of this.#streams.values()) {
      if (spec.subjects.some((a) => other.spec.subjects.some((b) => overlaps(a, b)))) {
        throw new AppError('stream_mismatch', `stream ${spec.name} covers subjects of ${other.spec.name}`);
      }
    }
    this.#streams.set(spec.name, new MemoryStream(spec, this.clock, this.#streams.size));
  }

  ensureQueue(spec: QueueSpec): void {
    this.stream(spec.stream).addConsumer(spec);
  }

  /** Throws AppError `unavailable` when there is none. */
  stream(name: string): MemoryStream {
    const stream = this.#streams.get(name);
    if (stream === undefined) throw new AppError('unavailable', `no stream ${name}: ensure it first`);
    return stream;
  }

  /** Reads a stream; of one that is not there, `none`. */
  read<T>(name: string, none: T, how: (stream: MemoryStream) => T): T {
    const stream = this.#streams.get(name);
    return stream === undefined ? none : how(stream);
  }

  consumer(spec: QueueSpec): MemoryConsumer {
    const consumer = this.stream(spec.stream).consumer(spec.name);
    if (consumer === undefined) throw new AppError('unavailable', `no queue ${spec.name}: ensure it first`);
    return consumer;
  }

  /** Stores a message and hands it to whoever listens. Throws AppError `taken`, or `unavailable` without a stream. */
  publish(subject: string, data: string, headers: Record<string, string>): PubAck {
    this.#fanOut(subject, data, headers);
    const stream = this.#streamOf(subject);
    if (stream === undefined) throw new AppError('unavailable', `no stream covers ${subject}: ensure one first`);
    const seq = stream.append(subject, data, headers);
    this.#pump(stream.spec.name);
    return { stream: stream.spec.name, seq };
  }

  emit(subject: string, data: string): void {
    this.#fanOut(subject, data, {});
    try {
      const stream = this.#streamOf(subject);
      stream?.append(subject, data, {});
      if (stream !== undefined) this.#pump(stream.spec.name);
    } catch {
      // Nobody waits for the answer.
    }
  }

  /** Those who get a message: every plain subscriber, and one of each queue group in turn. */
  listeners(subject: string): Subscriber[] {
    const groups = new Map<string, Subscriber[]>();
    const chosen: Subscriber[] = [];
    for (const subscriber of this.#subscribers) {
      if (!matches(subscriber.filter, subject)) continue;
      if (subscriber.queue === undefined) chosen.push(subscriber);
      else groups.set(subscriber.queue, [...(groups.get(subscriber.queue) ?? []), subscriber]);
    }
    this.#turn++;
    for (const members of groups.values()) {
      const member = members[this.#turn % members.length];
      if (member !== undefined) chosen.push(member);
    }
    return chosen;
  }

  subscribe(subscriber: Subscriber): void {
    this.#subscribers.add(subscriber);
  }

  unsubscribe(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
  }

  follow(follower: StreamFollower): void {
    this.#followers.add(follower);
    follower.pump();
  }

  unfollow(follower: StreamFollower): void {
    this.#followers.delete(follower);
  }

  /** Stops all timers on the clock. */
  close(): void {
    for (const stream of this.#streams.values()) stream.close();
  }

  #pump(stream: string): void {
    for (const follower of this.#followers) if (follower.stream === stream) follower.pump();
  }

  #streamOf(subject: string): MemoryStream | undefined {
    for (const stream of this.#streams.values()) if (stream.covers(subject)) return stream;
    return undefined;
  }

  #fanOut(subject: string, data: string, headers: Record<string, string>): void {
    for (const subscriber of this.listeners(subject))
      subscriber.deliver({ subject, data, headers: { ...headers } }, null, '');
  }
}

function sameStream(a: StreamSpec, b: StreamSpec): boolean {
  return (
    a.retention === b.retention &&
    a.perSubject === b.perSubject &&
    a.storage === b.storage &&
    a.maxAgeMs === b.maxAgeMs &&
    a.subjects.length === b.subjects.length &&
    a.subjects.every((subject) => b.subjects.includes(subject))
  );
}
