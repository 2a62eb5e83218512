import { setTimeout as delay } from 'node:timers/promises';
import {
  type MsgHdrs,
  type NatsConnection,
  PermissionViolationError,
  type PublishOptions,
} from '@nats-io/transport-node';
import { AppError } from '../../core/errors.ts';
import type { Log } from '../../ports/telemetry.ts';

/**
 * The one connection of a bus and what everybody needs to know about it: is the server there, how large may a message
 * be. The client library reconnects for ever; what was on its way at that moment is lost without a word, so those who
 * wait for something listen here. `connected` may lag behind the socket for a moment; nobody relies on more.
 */
export interface LinkListener {
  /** The connection is gone: replies to what was sent will not come. */
  onDown?(): void;
  /** It is there again, subscriptions included. */
  onUp?(): void;
  onClosed?(): void;
  /** The server refused a publish to the subject. */
  onForbidden?(subject: string): void;
}

/** A message that leaves at the end of this turn of the event loop. */
export interface Outgoing {
  subject: string;
  payload: string | Uint8Array;
  options: PublishOptions;
  /** The connection refused it. */
  onError(error: unknown): void;
}

/** Acknowledgements that wait for a reconnect; more than that are left to redelivery. */
const MAX_KEPT = 10_000;
/** Longest delay of a timer, milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** Patience with the server when closing, milliseconds. */
const CLOSE_MS = 2_000;

export class Link {
  readonly nc: NatsConnection;
  readonly #log: Log;
  readonly #listeners = new Set<LinkListener>();
  #kept: [string, string][] = [];
  #outbox: Outgoing[] = [];
  #connected: boolean = true;
  #closed: boolean = false;
  #maxPayload: number;

  constructor(nc: NatsConnection, log: Log) {
    this.nc = nc;
    this.#log = log;
    this.#maxPayload = nc.info?.max_payload ?? 1024 * 1024;
    void this.#watch();
  }

  get connected(): boolean {
    return this.#connected && !this.#closed;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Returns the function that ends listening. */
  listen(listener: LinkListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Bytes of a text, refused when the server would cut the connection over it. Throws AppError `too_large`. */
  encode(subject: string, data: string, headers: MsgHdrs | undefined): Uint8Array {
    // From Buffer's pool: an array of its own for each small message would keep the garbage collector busy.
    const bytes = Buffer.from(data, 'utf8');
    const size = headers === undefined ? bytes.length : bytes.length + Buffer.byteLength(String(headers));
    if (size > this.#maxPayload) {
      throw new AppError(
        'too_large',
        `message to ${subject}: ${size} bytes, the server takes at most ${this.#maxPayload}: send less, or raise max_payload`,
      );
    }
    return bytes;
  }

  /**
   * Hands a message to the connection at the end of the turn, with all others of that turn: one write to the socket
   * for all of them instead of one each. Their order is kept.
   */
  post(message: Outgoing): void {
    if (this.#outbox.length === 0) process.nextTick(() => this.#empty());
    this.#outbox.push(message);
  }

  #empty(): void {
    const messages = this.#outbox;
    this.#outbox = [];
    for (const { subject, payload, options, onError } of messages) {
      try {
        this.nc.publish(subject, payload, options);
      } catch (error) {
        onError(error);
      }
    }
  }

  /** Resolves when the server has taken everything that was posted before. */
  async flush(): Promise<void> {
    this.#empty();
    await this.nc.flush();
  }

  /** Fire and forget, without keeping anything; false when it could not be sent. */
  send(subject: string, data: string | Uint8Array, headers?: MsgHdrs): boolean {
    if (!this.connected) return false;
    const onError = (error: unknown) => this.#log.warn('nats.not_sent', { subject, error: String(error) });
    this.post({ subject, payload: data, options: headers === undefined ? {} : { headers }, onError });
    return true;
  }

  /** Like `send`, but kept until the connection is back: for acknowledgements, which stay valid. */
  sendOrKeep(subject: string, data: string): void {
    if (!this.send(subject, data) && !this.#closed && this.#kept.length < MAX_KEPT) this.#kept.push([subject, data]);
  }

  /** Resolves when the connection is there, the bus closed, the time over, or the signal aborted. */
  whenConnected(ms: number, signal: AbortSignal): Promise<void> {
    if (this.connected || this.#closed || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        stop();
        resolve();
      };
      const stop = this.listen({ onUp: done, onClosed: done });
      // A longer delay than a timer keeps would fire at once.
      const timer = setTimeout(done, Math.min(ms, MAX_TIMER_MS));
      signal.addEventListener('abort', done);
    });
  }

  /** From here on everything is refused with `closed`; the connection itself ends once its buffer is written. */
  async close(): Promise<void> {
    if (this.#closed) return;
    const wasConnected = this.#connected;
    this.#empty();
    this.#closed = true;
    this.#tell('onClosed');
    // Draining writes what was sent last; a server that is gone must not make us wait for it.
    if (wasConnected) {
      const patience = new AbortController();
      const tooLong = delay(CLOSE_MS, undefined, { signal: patience.signal }).catch(() => undefined);
      await Promise.race([this.nc.drain().catch(() => undefined), tooLong]);
      patience.abort();
    }
    await this.nc.close();
  }

  async #watch(): Promise<void> {
    let lostAt = 0;
    for await (const status of this.nc.status()) {
      if (this.#closed) continue;
      if (status.type === 'disconnect' && this.#connected) {
        this.#connected = false;
        lostAt = performance.now();
        this.#log.warn('nats.disconnected', {
          server: status.server,
          meaning:
            'publishes wait and are sent again, requests fail; what this process holds runs on until its lease ends',
        });
        this.#tell('onDown');
      } else if (status.type === 'reconnect') {
        this.#up(performance.now() - lostAt, status.server);
      } else if (status.type === 'error') {
        this.#log.error('nats.error', { error: status.error.message });
        if (status.error instanceof PermissionViolationError && status.error.operation === 'publish') {
          for (const listener of this.#listeners) listener.onForbidden?.(status.error.subject);
        }
      }
    }
    if (this.#closed) return;
    this.#closed = true;
    this.#log.error('nats.closed', { meaning: 'the client gave up: this process must connect anew' });
    this.#tell('onClosed');
  }

  #up(ms: number, server: string): void {
    this.#connected = true;
    this.#maxPayload = this.nc.info?.max_payload ?? this.#maxPayload;
    this.#log.info('nats.reconnected', {
      server,
      away_ms: Math.round(ms),
      meaning: 'publishes that waited are sent again now',
    });
    const kept = this.#kept;
    this.#kept = [];
    for (const [subject, data] of kept) this.send(subject, data);
    this.#tell('onUp');
  }

  #tell(event: 'onDown' | 'onUp' | 'onClosed'): void {
    for (const listener of [...this.#listeners]) listener[event]?.();
  }
}
