import type { Msg, Subscription } from '@nats-io/transport-node';
import type { Log } from '../../ports/telemetry.ts';
import { headersOf } from './headers.ts';
import type { Link } from './link.ts';

/**
 * Pull requests to consumers, one at a time over one subscription, each under a reply subject of its own. Dropping the
 * subscription is what takes a request back, so one that ended otherwise than by the server's word is dropped and made
 * anew; the others serve the next request, as a subscription a pull costs client and server more than the pull.
 *
 * The server says itself when the time is over, after the last message, but not always: up to 2.9.10 it drops a
 * redelivery that falls due in the very moment in which the request expires, without a word; the message then comes
 * after a further ack wait, counted as delivered once more. So a local timer stands behind. Nothing here throws or logs
 * because something is late: a pull ends, and its end says why.
 */

export interface PullRequest {
  stream: string;
  consumer: string;
  max: number;
  /** 0 asks only for what is there now. */
  waitMs: number;
}

/**
 * `full`: as many as asked for. `over`: the server says that no more come. `silent`: it says nothing. `refused`: ask
 * again later. `gone`: the consumer was deleted. `lost`: no connection. `aborted`, `closed`: from this side.
 */
export type PullEnd = 'full' | 'over' | 'silent' | 'refused' | 'gone' | 'lost' | 'aborted' | 'closed';

/** How much longer than asked for the server is waited for. */
const SLACK_MS = 500;
const NANOS = 1_000_000;

export interface PullOptions {
  signal: AbortSignal;
  onMessage(msg: Msg): void;
  /** A message that came after its pull had ended. */
  onStray?(msg: Msg): void;
}

export class PullChannel {
  readonly #link: Link;
  readonly #log: Log;
  /** Subject below which the answers come: one token is added. */
  readonly #reply: string;
  #subscription: Subscription | null = null;
  #pulls = 0;
  #take: (error: Error | null, msg: Msg) => void = () => {};

  constructor(link: Link, log: Log, reply: string) {
    this.#link = link;
    this.#log = log;
    this.#reply = reply;
  }

  close(): void {
    const subscription = this.#subscription;
    this.#subscription = null;
    if (subscription !== null && !subscription.isClosed() && !subscription.isDraining()) subscription.unsubscribe();
  }

  pull(request: PullRequest, { signal, onMessage, onStray }: PullOptions): Promise<PullEnd> {
    const link = this.#link;
    if (signal.aborted) return Promise.resolve('aborted');
    if (link.closed) return Promise.resolve('closed');
    return new Promise((resolve) => {
      let left = request.max;
      let aborted = false;
      let ended = false;
      const subscription = this.#open();
      const reply = `${this.#reply}.${(++this.#pulls).toString(36)}`;
      this.#take = (error, msg) => {
        if (error !== null) finish('refused');
        else take(msg);
      };
      const stop = link.listen({ onDown: () => finish('lost'), onClosed: () => finish('closed') });
      const onAbort = (): void => {
        aborted = true;
        takeBack('aborted');
      };
      const timer = setTimeout(() => takeBack('silent'), request.waitMs + SLACK_MS);
      signal.addEventListener('abort', onAbort);
      const finish = (end: PullEnd): void => {
        if (ended) return;
        ended = true;
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        stop();
        this.#take = (error, msg) => {
          if (error === null && isDelivery(msg)) onStray?.(msg);
        };
        if (end !== 'full' && end !== 'over') this.close();
        resolve(end);
      };

      /** Ends once the server has heard of it: what it sent before still arrives. */
      const takeBack = (end: PullEnd): void => {
        this.#subscription = null;
        const done = (): void => finish(end);
        subscription.drain().then(done, done);
      };
      const body =
        request.waitMs > 0
          ? { batch: request.max, expires: request.waitMs * NANOS }
          : { batch: request.max, no_wait: true };
      try {
        const subject = `$JS.API.CONSUMER.MSG.NEXT.${request.stream}.${request.consumer}`;
        link.nc.publish(subject, JSON.stringify(body), { reply });
      } catch {
        finish('closed');
      }

      function take(msg: Msg): void {
        if (!isDelivery(msg)) {
          // A late word about an earlier request says nothing about this one.
          const end = msg.subject === reply ? statusEnd(msg) : null;
          if (end !== null) finish(aborted ? 'aborted' : end);
        } else if (aborted) onStray?.(msg);
        else {
          left -= 1;
          try {
            onMessage(msg);
          } finally {
            if (left === 0) finish('full');
          }
        }
      }
    });
  }

  #open(): Subscription {
    this.#subscription ??= this.#link.nc.subscribe(`${this.#reply}.*`, {
      callback: (error, msg) => {
        // An exception here would end the connection's read loop.
        try {
          this.#take(error, msg);
        } catch (thrown) {
          this.#log.error('nats.delivery_failed', { subject: msg.subject, error: String(thrown) });
        }
      },
    });
    return this.#subscription;
  }
}

/** What a consumer hands out bears the subject that it was stored under, and where to acknowledge it. */
function isDelivery(msg: Msg): boolean {
  return msg.reply !== undefined && msg.reply !== '';
}

function statusEnd(msg: Msg): PullEnd | null {
  const headers = headersOf(msg);
  if (headers === undefined || headers.code === 100) return null;
  if (headers.code === 404 || headers.code === 408) return 'over';
  return /deleted/i.test(headers.description) ? 'gone' : 'refused';
}
