import { AppError, fromInfo, toAppError } from '../../core/errors.ts';
import type { QueueSpec, StreamSpec } from '../../core/streams.ts';
import type {
  Backlog,
  Bus,
  Follower,
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
import { Link } from './link.ts';
import type { Answer, MemoryBroker, Subscriber } from './memory-broker.ts';
import { MemoryFollow } from './memory-follow.ts';
import { MemoryQueue } from './memory-queue.ts';
import { PendingWork } from './pending-work.ts';

/** One node's bus on a shared `MemoryBroker`. */
export class MemoryBus implements Bus {
  readonly node: string;
  readonly #broker: MemoryBroker;
  readonly #link: Link;
  readonly #inbox: string;
  readonly #work = new PendingWork();
  readonly #subscribers = new Set<Subscriber>();
  readonly #queues = new Set<MemoryQueue>();
  readonly #follows = new Set<MemoryFollow>();

  /**
   * @param node name that `intercept` and the labels of `carry` show
   * @param inboxPrefix first tokens of the subjects where it receives answers
   */
  constructor(broker: MemoryBroker, node = 'node', inboxPrefix = '_INBOX') {
    this.#broker = broker;
    this.#inbox = `${inboxPrefix}.${node}`;
    this.node = node;
    this.#link = new Link(broker, node);
  }

  get connected(): boolean {
    return this.#link.connected && !this.#work.over;
  }

  /** Cuts the connection: what is under way, both ways, waits for `heal`; leases run out meanwhile. */
  cut(): void {
    this.#link.cut();
  }

  heal(): void {
    this.#link.heal();
  }

  /**
   * The process dies: what it sent still arrives, nothing reaches it any more, its operations never settle and its
   * deliveries stay un-acked until their ack wait has passed.
   */
  crash(): void {
    this.#work.crash();
    this.#leave();
  }

  close(): Promise<void> {
    this.#work.close();
    this.#leave();
    return Promise.resolve();
  }

  ensureStream(spec: StreamSpec): Promise<void> {
    return this.#ask('change', spec.name, () => this.#broker.ensureStream(spec));
  }

  ensureQueue(spec: QueueSpec): Promise<void> {
    return this.#ask('change', spec.stream, () => this.#broker.ensureQueue(spec));
  }

  publish(subject: string, data: string, options: PublishOptions = {}): Promise<PubAck> {
    return this.#work.run(options.signal, async (wanted) => {
      const headers = { ...options.headers };
      this.#checkSize(subject, data, headers);
      const store = (): PubAck => this.#broker.publish(subject, data, headers);
      return await this.#link.exchange({ kind: 'publish', subject, data }, store, wanted);
    });
  }

  emit(subject: string, data: string): void {
    if (this.#work.over || Buffer.byteLength(data) > this.#broker.maxBytes) return;
    this.#link.send('up', { kind: 'emit', subject, data }, () => this.#broker.emit(subject, data));
  }

  request(subject: string, data: string, options: RequestOptions): Promise<Reply> {
    return this.#work.run(options.signal, (wanted) => this.#request(subject, data, options, wanted));
  }

  gather(subject: string, data: string, options: RequestOptions): Promise<Reply[]> {
    return this.#work.run(options.signal, (wanted) => this.#gather(subject, data, options, wanted));
  }

  serve(subject: string, handler: ServeHandler, options: ServeOptions = {}): Subscription {
    const below = options.replyUnder === undefined ? '' : `${options.replyUnder}.`;
    const subscriber: Subscriber = {
      filter: subject,
      queue: options.queue,
      deliver: (request, reply, to) => {
        if (!to.startsWith(below)) return;
        this.#link.send('down', { kind: 'deliver', subject: request.subject, data: request.data }, () => {
          if (!this.#work.over) void this.#handle(request, handler, reply);
        });
      },
    };
    if (!this.#work.over) {
      this.#subscribers.add(subscriber);
      this.#broker.subscribe(subscriber);
    }
    return {
      stop: () => {
        this.#subscribers.delete(subscriber);
        this.#broker.unsubscribe(subscriber);
        return Promise.resolve();
      },
    };
  }

  subscribe(subject: string, handler: (message: IncomingRequest) => void): Subscription {
    return this.serve(subject, (message) => {
      handler(message);
      return Promise.resolve(null);
    });
  }

  last(stream: string, subject: string): Promise<StoredMessage | null> {
    return this.#ask('read', stream, () => this.#broker.read(stream, null, (it) => it.last(subject)));
  }

  bySequence(stream: string, sequence: number): Promise<StoredMessage | null> {
    return this.#ask('read', stream, () => this.#broker.read(stream, null, (it) => it.get(sequence)));
  }

  async *scan(stream: string, filter: string, options: ScanOptions = {}): AsyncIterable<StoredMessage> {
    yield* await this.#ask('read', stream, () => this.#broker.read(stream, [], (it) => it.scan(filter, options)));
  }

  follow(stream: string, filter: string, fromSequence: number, follower: Follower): Subscription {
    const following = { stream, filter, fromSequence, follower };
    const follow = new MemoryFollow(this.#broker, this.#link, this.#work, following);
    this.#follows.add(follow);
    return follow;
  }

  remove(stream: string, { seq, subject, data }: Stored): Promise<boolean> {
    return this.#ask('change', stream, () => {
      const found = this.#broker.read(stream, null, (it) => it.get(seq));
      if (found === null) return true;
      if (found.subject !== subject || found.data !== data) return false;
      this.#broker.stream(stream).remove(seq);
      return true;
    });
  }

  trim(stream: string, before: number): Promise<void> {
    return this.#ask('change', stream, () => this.#broker.read(stream, undefined, (it) => it.trim(before)));
  }

  async queue(spec: QueueSpec): Promise<Queue> {
    await this.#ask('read', spec.stream, () => this.#broker.consumer(spec));
    const queue = new MemoryQueue(spec, this.#broker, this.#link, this.#work);
    this.#queues.add(queue);
    return queue;
  }

  queues(stream: string): Promise<string[]> {
    return this.#ask('read', stream, () => this.#broker.read(stream, [], (it) => it.consumerNames()));
  }

  removeQueue(stream: string, name: string): Promise<void> {
    return this.#ask('change', stream, () => this.#broker.read(stream, undefined, (it) => it.removeConsumer(name)));
  }

  backlog(spec: QueueSpec): Promise<Backlog> {
    return this.#ask('read', spec.stream, () => this.#broker.consumer(spec).backlog());
  }

  flush(): Promise<void> {
    return this.#ask('read', '', () => undefined);
  }

  #ask<T>(kind: 'read' | 'change', subject: string, effect: () => T): Promise<T> {
    return this.#work.run(undefined, (wanted) => this.#link.exchange({ kind, subject }, effect, wanted));
  }

  #request(subject: string, data: string, options: RequestOptions, wanted: () => boolean): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const headers = { ...options.headers };
      this.#checkSize(subject, data, headers);
      const cancel = this.#broker.clock.after(options.timeoutMs, () => {
        reject(new AppError('timeout', `no answer on ${subject} within ${options.timeoutMs} ms`, { retryable: true }));
      });
      options.signal?.addEventListener('abort', cancel, { once: true });
      const answer = (said: Answer): void => {
        this.#link.send('down', { kind: 'reply', subject }, () => {
          cancel();
          if (said instanceof AppError) reject(said);
          else resolve(said);
        });
      };
      this.#link.send('up', { kind: 'request', subject, data }, () => {
        const listeners = this.#broker.listeners(subject);
        for (const listener of listeners)
          listener.deliver({ subject, data, headers: { ...headers } }, answer, this.#inbox);
        if (listeners.length > 0 || !wanted()) return;
        answer(new AppError('no_responders', `nobody serves ${subject}`, { retryable: true }));
      });
    });
  }

  #gather(subject: string, data: string, options: RequestOptions, wanted: () => boolean): Promise<Reply[]> {
    return new Promise((resolve) => {
      const headers = { ...options.headers };
      this.#checkSize(subject, data, headers);
      const replies: Reply[] = [];
      const cancel = this.#broker.clock.after(options.timeoutMs, () => resolve(replies));
      options.signal?.addEventListener('abort', cancel, { once: true });
      const answer = (said: Answer): void => {
        this.#link.send('down', { kind: 'reply', subject }, () => {
          if (!(said instanceof AppError)) replies.push(said);
        });
      };
      this.#link.send('up', { kind: 'request', subject, data }, () => {
        const listeners = this.#broker.listeners(subject);
        for (const listener of listeners)
          listener.deliver({ subject, data, headers: { ...headers } }, answer, this.#inbox);
        if (listeners.length > 0 || !wanted()) return;
        cancel();
        resolve([]);
      });
    });
  }

  async #handle(
    request: IncomingRequest,
    handler: ServeHandler,
    reply: ((answer: Answer) => void) | null,
  ): Promise<void> {
    let answer: Answer | null;
    try {
      const data = await handler(request);
      this.#checkSize(request.subject, data ?? '', {});
      answer = data === null ? null : { data, headers: {} };
    } catch (thrown) {
      // As over a wire: only what the error says about itself arrives.
      answer = fromInfo(toAppError(thrown).toInfo());
    }
    if (answer === null || reply === null || this.#work.over) return;
    const said = answer;
    this.#link.send('up', { kind: 'reply', subject: request.subject }, () => reply(said));
  }

  #leave(): void {
    for (const subscriber of this.#subscribers) this.#broker.unsubscribe(subscriber);
    for (const queue of this.#queues) queue.leave();
    for (const follow of this.#follows) follow.leave();
    this.#subscribers.clear();
    this.#queues.clear();
    this.#follows.clear();
  }

  #checkSize(subject: string, data: string, headers: Record<string, string>): void {
    const texts = Object.entries(headers).flat();
    const bytes = [data, ...texts].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    if (bytes <= this.#broker.maxBytes) return;
    throw new AppError('too_large', `${subject}: ${bytes} bytes; the server takes ${this.#broker.maxBytes}`);
  }
}
