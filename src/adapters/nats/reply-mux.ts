import type { Msg, MsgHdrs, Subscription } from '@nats-io/transport-node';
import { AppError, toAppError } from '../../core/errors.ts';
import type { Log } from '../../ports/telemetry.ts';
import type { Link } from './link.ts';

/**
 * All acknowledgements and replies come in over one subscription, and one coarse sweep watches over all that are
 * awaited: the client library's own request costs a timer, a promise race and a stack trace each. A persistent
 * exchange is sent again, the same bytes under the same token, until something answers it; any other ends with the
 * first thing that goes wrong. Time is counted in sweeps, so that a process that was stopped for a minute reads what
 * arrived meanwhile before it calls anything late.
 */
export abstract class Exchange {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: MsgHdrs | undefined;
  readonly signal: AbortSignal | undefined;
  token = '';
  state: 'held' | 'sent' | 'backing_off' = 'held';
  attempts = 0;
  /** Sweep at which it is sent again: the reply is late, or the pause is over. */
  due = Number.POSITIVE_INFINITY;
  /** Sweep at which it ends whatever comes. */
  end = Number.POSITIVE_INFINITY;

  constructor(subject: string, payload: Uint8Array, headers: MsgHdrs | undefined, signal: AbortSignal | undefined) {
    this.subject = subject;
    this.payload = payload;
    this.headers = headers;
    this.signal = signal;
  }

  /** Sent again after a late reply, a lost connection, or a reply that says `retry`. */
  abstract readonly persistent: boolean;
  /** `done` when it settled, `retry` when nobody was ready, `ignore` to go on waiting. */
  abstract take(msg: Msg): 'done' | 'retry' | 'ignore';
  abstract fail(error: AppError): void;
}

const SWEEP_MS = 25;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;
/** Attempts after which waiting is worth a line in the log, and how often at most. */
const LOG_AFTER_ATTEMPTS = 6;
const LOG_EVERY_SWEEPS = 5_000 / SWEEP_MS;

function sweeps(ms: number): number {
  return Math.ceil(ms / SWEEP_MS) + 1;
}

export interface MuxOptions {
  link: Link;
  log: Log;
  /** Subject below which replies come: one token is added. */
  inbox: string;
  /** Patience for one attempt, milliseconds. */
  timeoutMs: number;
}

export class ReplyMux {
  readonly #link: Link;
  readonly #log: Log;
  readonly #inbox: string;
  readonly #attemptSweeps: number;
  readonly #pending = new Map<string, Exchange>();
  readonly #subscription: Subscription;
  #sweeper: NodeJS.Timeout | undefined;
  #now = 0;
  #counter = 0;
  #lastLog = Number.NEGATIVE_INFINITY;
  #broken: AppError | undefined;

  constructor({ link, log, inbox, timeoutMs }: MuxOptions) {
    this.#link = link;
    this.#log = log;
    this.#inbox = `${inbox}.`;
    this.#attemptSweeps = sweeps(timeoutMs);
    const start = this.#inbox.length;
    this.#subscription = link.nc.subscribe(`${inbox}.*`, {
      callback: (error, msg) => {
        if (error !== null) this.#break(error);
        else this.#take(msg.subject.slice(start), msg);
      },
    });
    link.listen({
      onDown: () => this.#onDown(),
      onUp: () => this.#onUp(),
      onClosed: () => this.#endAll(closedError()),
      onForbidden: (subject) => this.#endAll(forbidden(`publish to ${subject}`), subject),
    });
  }

  /** Resolves when the server has taken the subscription. Throws AppError `forbidden`. */
  async ready(): Promise<void> {
    await this.#link.flush();
    if (this.#broken !== undefined) throw this.#broken;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** @param lifeMs the exchange ends after this long; without it only when it is answered */
  start(exchange: Exchange, lifeMs?: number): void {
    const refusal = this.#refusal(exchange);
    if (refusal !== null) {
      exchange.fail(refusal);
      return;
    }
    this.#counter += 1;
    exchange.token = this.#counter.toString(36);
    if (lifeMs !== undefined) exchange.end = this.#now + sweeps(lifeMs);
    this.#pending.set(exchange.token, exchange);
    // The sweep ends itself once it finds nothing to do: no timer is set and cleared for each message.
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS);
    this.#send(exchange);
  }

  #refusal(exchange: Exchange): AppError | null {
    if (this.#link.closed) return closedError();
    if (this.#broken !== undefined) return this.#broken;
    return exchange.signal?.aborted === true ? aborted(exchange) : null;
  }

  #send(exchange: Exchange): void {
    if (!this.#link.connected) {
      exchange.state = 'held';
      return;
    }
    exchange.attempts += 1;
    exchange.state = 'sent';
    if (exchange.persistent) exchange.due = this.#now + this.#attemptSweeps;
    const reply = this.#inbox + exchange.token;
    this.#link.post({
      subject: exchange.subject,
      payload: exchange.payload,
      options: exchange.headers === undefined ? { reply } : { reply, headers: exchange.headers },
      onError: (thrown) => this.#end(exchange, this.#link.closed ? closedError() : toAppError(thrown, 'invalid')),
    });
  }

  #take(token: string, msg: Msg): void {
    const exchange = this.#pending.get(token);
    if (exchange === undefined) return;
    let verdict: ReturnType<Exchange['take']>;
    try {
      verdict = exchange.take(msg);
    } catch (thrown) {
      // Thrown further it would end the connection's read loop.
      this.#end(exchange, toAppError(thrown, 'unavailable'));
      return;
    }
    if (verdict === 'done') this.#pending.delete(token);
    else if (verdict === 'retry') this.#backOff(exchange, 'nobody is ready');
  }

  #backOff(exchange: Exchange, why: string): void {
    // A late answer to an earlier attempt must not cut the pause short, or send the message out of turn.
    if (exchange.state !== 'sent') return;
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** (exchange.attempts - 1), LONGEST_PAUSE_MS);
    exchange.state = 'backing_off';
    exchange.due = this.#now + sweeps(pause);
    if (exchange.attempts >= LOG_AFTER_ATTEMPTS) this.#note(exchange, why);
  }

  /** Says in the log, once in a while, that something waits for JetStream. */
  #note(exchange: Exchange, why: string): void {
    if (this.#now - this.#lastLog < LOG_EVERY_SWEEPS) return;
    this.#lastLog = this.#now;
    this.#log.warn('nats.waiting', {
      subject: exchange.subject,
      attempts: exchange.attempts,
      waiting: this.#pending.size,
      why,
      meaning: 'JetStream does not answer, or no stream takes this subject; it is tried again',
    });
  }

  #sweep(): void {
    this.#now += 1;
    for (const exchange of this.#pending.values()) {
      if (exchange.signal?.aborted === true) this.#end(exchange, aborted(exchange));
      else if (this.#now >= exchange.end) this.#end(exchange, late(exchange));
      else if (this.#now >= exchange.due && exchange.state !== 'held') {
        if (exchange.state === 'sent') this.#note(exchange, 'no answer in time');
        this.#send(exchange);
      }
    }
    if (this.#pending.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  #onDown(): void {
    for (const exchange of this.#pending.values()) {
      if (exchange.persistent) exchange.state = 'held';
      else if (exchange.state === 'sent') this.#end(exchange, lost(exchange));
    }
  }

  #onUp(): void {
    for (const exchange of this.#pending.values()) if (exchange.state === 'held') this.#send(exchange);
  }

  #break(error: Error): void {
    this.#broken = forbidden(`subscribe to ${this.#subscription.getSubject()} (${error.message})`);
    this.#endAll(this.#broken);
  }

  #endAll(error: AppError, subject?: string): void {
    for (const exchange of this.#pending.values()) {
      if (subject === undefined || exchange.subject === subject) this.#end(exchange, error);
    }
  }

  #end(exchange: Exchange, error: AppError): void {
    this.#pending.delete(exchange.token);
    exchange.fail(error);
  }
}

export function closedError(): AppError {
  return new AppError('closed', 'the connection to NATS was closed');
}

function aborted(exchange: Exchange): AppError {
  return new AppError('aborted', `${exchange.subject}: the caller gave up`, { cause: exchange.signal?.reason });
}

function forbidden(what: string): AppError {
  return new AppError('forbidden', `the NATS user may not ${what}: allow it in the server's configuration`);
}

function lost(exchange: Exchange): AppError {
  return new AppError(
    'unavailable',
    `${exchange.subject}: the connection was lost before a reply came; whether it was received is not known`,
    { retryable: true },
  );
}

function late(exchange: Exchange): AppError {
  if (exchange.attempts === 0) {
    const message = `${exchange.subject}: not connected to NATS all the time; nothing was sent`;
    return new AppError('no_responders', message, { retryable: true });
  }
  if (exchange.persistent) {
    const message = `${exchange.subject}: JetStream does not answer: is it enabled, and has it a leader?`;
    return new AppError('unavailable', message, { retryable: true });
  }
  return new AppError('timeout', `${exchange.subject}: no reply in time`, { retryable: true });
}
