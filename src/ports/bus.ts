import type { QueueSpec, StreamSpec } from '../core/streams.ts';

/**
 * What the runtime needs of the message bus. The NATS adapter is the real one; the in-memory adapter runs the same
 * contract (test/contracts/bus.ts) and lets tests decide when leases expire and messages arrive.
 *
 * Failures are AppErrors: `taken` (a write-once subject was written before), `no_responders`, `timeout`, `too_large`
 * (never sent), `aborted` (the caller's signal), `closed` (the bus was closed), `forbidden` (the user's permissions),
 * `invalid` (a subject or header that cannot be sent), `unavailable`. A stream that is not there holds no messages for
 * readers; publishing to it waits for it.
 */
export interface Bus {
  /** Creates the stream, or checks that the one that is there will do. Throws AppError `stream_mismatch`. */
  ensureStream(spec: StreamSpec): Promise<void>;
  ensureQueue(spec: QueueSpec): Promise<void>;

  /**
   * Stores a message; resolves when the stream has acknowledged it. While the server is away the identical message is
   * sent again until it answers, the bus is closed, or the signal aborts: so after a lost acknowledgement a
   * write-once subject answers `taken` for one's own message; who must know reads it back.
   */
  publish(subject: string, data: string, options?: PublishOptions): Promise<PubAck>;

  /** Fire and forget, to whoever listens; a stream on the subject stores it, unconfirmed. */
  emit(subject: string, data: string): void;

  request(subject: string, data: string, options: RequestOptions): Promise<Reply>;

  /** Asks everybody who listens: what they answer until the time is over, errors left out; at once none when nobody does. */
  gather(subject: string, data: string, options: RequestOptions): Promise<Reply[]>;

  /** Answers requests. A handler's AppError is sent back with the headers of a NATS service error. */
  serve(subject: string, handler: ServeHandler, options?: ServeOptions): Subscription;

  /** Hears every message on the subject from now on, answering none. What was sent while the connection was away is missed. */
  subscribe(subject: string, handler: (message: IncomingRequest) => void): Subscription;

  /** The stored message of a subject; `authoritative` asks the stream's leader, else any replica may answer. */
  last(stream: string, subject: string, options?: { authoritative?: boolean }): Promise<StoredMessage | null>;
  bySequence(stream: string, sequence: number): Promise<StoredMessage | null>;
  /** All messages of a stream that match the filter, oldest first, from a sequence on. */
  scan(stream: string, filter: string, options?: ScanOptions): AsyncIterable<StoredMessage>;
  /**
   * Removes exactly this message, as the stream's leader has it; one that is gone already is fine. False when another
   * one has its sequence, which stays: copies of a stream that differ (a leader that was lost and came back) may give
   * one sequence to two messages.
   */
  remove(stream: string, message: Stored): Promise<boolean>;

  /** Opens a durable consumer that `ensureQueue` made. */
  queue(spec: QueueSpec): Promise<Queue>;

  /** Names of the durable consumers of a stream. */
  queues(stream: string): Promise<string[]>;

  /** Deletes a durable consumer; what it had handed out and was not acked waits again. One that is not there is fine. */
  removeQueue(stream: string, name: string): Promise<void>;

  /** What waits in a queue that was handed to nobody yet. Throws AppError `unavailable` without such a queue. */
  backlog(spec: QueueSpec): Promise<Backlog>;

  /** Resolves when the server has confirmed everything sent before. */
  flush(): Promise<void>;
  readonly connected: boolean;
  close(): Promise<void>;
}

export interface PublishOptions {
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export interface PubAck {
  stream: string;
  seq: number;
}

export interface RequestOptions {
  timeoutMs: number;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export interface ServeOptions {
  /** Of those who serve the subject under one name, one gets each request. */
  queue?: string;
  /**
   * Only requests whose reply subject lies below this are handled: who may publish here, and nowhere else, could name
   * any subject to be answered on, with the rights of whoever serves.
   */
  replyUnder?: string;
}

export interface Reply {
  data: string;
  headers: Record<string, string>;
}

export interface IncomingRequest {
  subject: string;
  data: string;
  headers: Record<string, string>;
}

/** Resolves with the reply, or null to leave the request unanswered. */
export type ServeHandler = (request: IncomingRequest) => Promise<string | null>;

export interface Subscription {
  stop(): Promise<void>;
}

export interface StoredMessage {
  subject: string;
  seq: number;
  /** Epoch milliseconds on the server. */
  at: number;
  data: string;
  /** The body as it came, for what is not UTF-8. */
  bytes(): Uint8Array;
  headers: Record<string, string>;
}

export interface ScanOptions {
  fromSequence?: number;
  /** Only the newest message of each subject. */
  lastPerSubject?: boolean;
}

/** What tells a stored message from every other. */
export type Stored = Pick<StoredMessage, 'seq' | 'subject' | 'data'>;

/** One message handed to this process; it is ours until acked, nakked, or silent for the queue's ack wait. */
export interface Delivery extends StoredMessage {
  stream: string;
  /** When the stream was created: tells incarnations of the stream apart. */
  created: string;
  /** 1 for the first time. May count a delivery that never arrived: an upper bound, not a count of attempts. */
  deliveries: number;
  /** Messages of the queue that were handed to nobody yet; those that come again are not counted. */
  behind: number;
  ack(): void;
  nak(delayMs: number): void;
  /** Sign of life: starts the ack wait anew. */
  working(): void;
}

export interface Backlog {
  messages: number;
  /** When the oldest of them was stored, epoch milliseconds; null without one. */
  oldestAt: number | null;
  /** Sequence of the last message that was handed to somebody for the first time; 0 before that. */
  handedOut: number;
  /** Messages that were handed out and not acked. */
  inWork: number;
  /** How often a message was handed out, again or for the first time, since the queue is there. */
  deliveries: number;
  /** Pulls that wait for messages. */
  asking: number;
}

export interface Queue {
  /**
   * Asks for up to `max` messages and hands each to `onDelivery` as it comes; resolves once that many came or
   * `waitMs` has passed. Messages that arrive after an abort are nakked.
   */
  pull(max: number, waitMs: number, onDelivery: (delivery: Delivery) => void, signal: AbortSignal): Promise<void>;
}
