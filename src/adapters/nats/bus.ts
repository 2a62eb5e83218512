import { type AppError, toAppError } from '../../core/errors.ts';
import type { QueueSpec, StreamSpec } from '../../core/streams.ts';
import type {
  Backlog,
  Bus,
  IncomingRequest,
  PubAck,
  PublishOptions,
  Queue,
  Reply,
  RequestOptions,
  ScanOptions,
  ServeHandler,
  ServeOptions,
  Stored,
  StoredMessage,
  Subscription,
} from '../../ports/bus.ts';
import type { Log } from '../../ports/telemetry.ts';
import { JetStreamApi } from './api.ts';
import { Append } from './append.ts';
import { measureOffset } from './clock-offset.ts';
import { toWire } from './headers.ts';
import type { Link } from './link.ts';
import { NatsQueue } from './queue.ts';
import { Reader } from './read.ts';
import { closedError, ReplyMux } from './reply-mux.ts';
import { Gathering, Request } from './request.ts';
import { Scanner } from './scan.ts';
import { serve } from './service.ts';
import { StreamStore } from './streams.ts';

export interface NatsBusOptions {
  link: Link;
  log: Log;
  /** Subject below which this bus gets everything that is meant for it alone. */
  inbox: string;
  timeoutMs: number;
  /** Of streams that are made. */
  replicas: number;
}

/** The Bus over one NATS connection. */
export class NatsBus implements Bus {
  readonly #link: Link;
  readonly #log: Log;
  readonly #mux: ReplyMux;
  readonly #streams: StreamStore;
  readonly #reader: Reader;
  readonly #scanner: Scanner;
  readonly #nextReply: () => string;

  constructor({ link, log, inbox, timeoutMs, replicas }: NatsBusOptions) {
    let pulls = 0;
    this.#nextReply = () => `${inbox}.pull.${(++pulls).toString(36)}`;
    this.#link = link;
    this.#log = log;
    this.#mux = new ReplyMux({ link, log, inbox, timeoutMs });
    const api = new JetStreamApi(link, this.#mux, timeoutMs);
    this.#streams = new StreamStore({ api, link, log, replicas });
    this.#reader = new Reader(api, this.#streams);
    this.#scanner = new Scanner({
      api,
      link,
      log,
      reader: this.#reader,
      streams: this.#streams,
      nextReply: this.#nextReply,
    });
  }

  get connected(): boolean {
    return this.#link.connected;
  }

  /** Version of the server, as it names it. */
  get serverVersion(): string {
    return this.#link.nc.info?.version ?? 'unknown';
  }

  /** Largest message that the server takes, bytes. */
  get maxPayload(): number {
    return this.#link.nc.info?.max_payload ?? 0;
  }

  /** Resolves when replies can come in. Throws AppError `forbidden` when the user may not listen on the inbox. */
  ready(): Promise<void> {
    return this.#mux.ready();
  }

  ensureStream(spec: StreamSpec): Promise<void> {
    return this.#streams.ensureStream(spec);
  }

  ensureQueue(spec: QueueSpec): Promise<void> {
    return this.#streams.ensureQueue(spec);
  }

  // The hot path: no async function, no timer, no listener for each message.
  publish(subject: string, data: string, options?: PublishOptions): Promise<PubAck> {
    return new Promise((resolve, reject) => {
      const headers = toWire(options?.headers);
      const payload = this.#link.encode(subject, data, headers);
      this.#mux.start(new Append(subject, payload, headers, options?.signal, resolve, reject));
    });
  }

  emit(subject: string, data: string): void {
    try {
      this.#link.send(subject, this.#link.encode(subject, data, undefined));
    } catch (error) {
      this.#log.warn('nats.not_sent', { subject, error: (error as AppError).message });
    }
  }

  request(subject: string, data: string, options: RequestOptions): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const headers = toWire(options.headers);
      const payload = this.#link.encode(subject, data, headers);
      this.#mux.start(new Request(subject, payload, headers, options.signal, resolve, reject), options.timeoutMs);
    });
  }

  gather(subject: string, data: string, options: RequestOptions): Promise<Reply[]> {
    return new Promise((resolve, reject) => {
      const headers = toWire(options.headers);
      const payload = this.#link.encode(subject, data, headers);
      this.#mux.start(new Gathering(subject, payload, headers, options.signal, resolve, reject), options.timeoutMs);
    });
  }

  serve(subject: string, handler: ServeHandler, options?: ServeOptions): Subscription {
    return serve(this.#link, this.#log, subject, handler, options);
  }

  subscribe(subject: string, handler: (message: IncomingRequest) => void): Subscription {
    const hear = (message: IncomingRequest): Promise<null> => {
      try {
        handler(message);
      } catch (thrown) {
        // Thrown on, it would be sent to the reply subject, where a publisher waits for its stream.
        this.#log.error('nats.handler_failed', { subject: message.subject, error: toAppError(thrown).message });
      }
      return Promise.resolve(null);
    };
    return serve(this.#link, this.#log, subject, hear);
  }

  /** What differs from the settings that the stream should have; null when there is no such stream. Changes nothing. */
  streamFaults(spec: StreamSpec): Promise<string[] | null> {
    return this.#streams.faultsOf(spec);
  }

  last(stream: string, subject: string, options?: { authoritative?: boolean }): Promise<StoredMessage | null> {
    return this.#reader.last(stream, subject, options?.authoritative ?? false);
  }

  bySequence(stream: string, sequence: number): Promise<StoredMessage | null> {
    return this.#reader.bySequence(stream, sequence);
  }

  scan(stream: string, filter: string, options?: ScanOptions): AsyncIterable<StoredMessage> {
    return this.#scanner.scan(stream, filter, options);
  }

  remove(stream: string, message: Stored): Promise<boolean> {
    return this.#reader.remove(stream, message);
  }

  queue(spec: QueueSpec): Promise<Queue> {
    const options = { link: this.#link, log: this.#log, streams: this.#streams, spec, nextReply: this.#nextReply };
    return Promise.resolve(new NatsQueue(options));
  }

  queues(stream: string): Promise<string[]> {
    return this.#streams.queues(stream);
  }

  removeQueue(stream: string, name: string): Promise<void> {
    return this.#streams.removeQueue(stream, name);
  }

  async backlog(spec: QueueSpec): Promise<Backlog> {
    const progress = await this.#streams.progress(spec);
    if (progress.messages === 0) return { ...progress, oldestAt: null };
    const oldest = await this.#reader.fromLeader(spec.stream, {
      seq: progress.handedOut + 1,
      next_by_subj: spec.filter,
    });
    return { ...progress, oldestAt: oldest?.at ?? null };
  }

  async flush(): Promise<void> {
    if (this.#link.closed) throw closedError();
    await this.#link.flush().catch((thrown: unknown) => {
      throw this.#link.closed ? closedError() : toAppError(thrown, 'unavailable');
    });
  }

  /** Milliseconds to add to this process's wall clock to get the server's: see `measureOffset`. */
  serverTimeOffset(stream: string, subject: string): Promise<number> {
    return measureOffset(this, stream, subject);
  }

  close(): Promise<void> {
    return this.#link.close();
  }
}
