import type { Msg } from '@nats-io/transport-node';
import type { Log } from '../../ports/telemetry.ts';
import { headersOf } from './headers.ts';
import type { Link } from './link.ts';

/**
 * One pull request to a consumer, over a subscription of its own: dropping that subscription is what takes the request
 * back. The server says itself when the time is over, after the last message, but not always: up to 2.9.10 it drops a
 * redelivery that falls due in the very moment in which the request expires, without a word; the message then comes
 * after a further ack wait, counted as delivered once more. So a local timer stands behind. Nothing here throws or logs because something is late: a pull ends, and its end says why.
 */
export interface PullRequest {
  stream: string;
  consumer: string;
  max: number;
  /** 0 asks only for what is there now. */
  waitMs: number;
  /** Reply subject, used for this pull only. */
  reply: string;
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
  link: Link;
  log: Log;
  signal: AbortSignal;
  onMessage(msg: Msg): void;
  /** A message that came after the pull was aborted. */
  onStray?(msg: Msg): void;
}

export function pullOnce(request: PullRequest, options: PullOptions): Promise<PullEnd> {
  const { link, signal } = options;
  if (signal.aborted) return Promise.resolve('aborted');
  if (link.closed) return Promise.resolve('closed');
  return new Promise((resolve) => {
    let left = request.max;
    let aborted = false;
    const subscription = link.nc.subscribe(request.reply, {
      callback: (error, msg) => {
        if (error !== null) return finish('refused');
        // An exception here would end the connection's read loop.
        try {
          take(msg);
        } catch (thrown) {
          options.log.error('nats.delivery_failed', { subject: msg.subject, error: String(thrown) });
        }
      },
    });
    const stop = link.listen({ onDown: () => finish('lost'), onClosed: () => finish('closed') });
    const timer = setTimeout(() => takeBack('silent'), request.waitMs + SLACK_MS);
    signal.addEventListener('abort', onAbort);
    const body =
      request.waitMs > 0
        ? { batch: request.max, expires: request.waitMs * NANOS }
        : { batch: request.max, no_wait: true };
    try {
      const subject = `$JS.API.CONSUMER.MSG.NEXT.${request.stream}.${request.consumer}`;
      link.nc.publish(subject, JSON.stringify(body), { reply: request.reply });
    } catch {
      finish('closed');
    }

    function take(msg: Msg): void {
      if (msg.reply === '' || msg.reply === undefined) {
        const end = statusEnd(msg);
        if (end !== null) finish(aborted ? 'aborted' : end);
      } else if (aborted) options.onStray?.(msg);
      else {
        left -= 1;
        try {
          options.onMessage(msg);
        } finally {
          if (left === 0) finish('full');
        }
      }
    }

    function onAbort(): void {
      aborted = true;
      takeBack('aborted');
    }

    /** Resolves once the server has heard of it: what it sent before still arrives. */
    function takeBack(end: PullEnd): void {
      const done = (): void => finish(end);
      subscription.drain().then(done, done);
    }

    function finish(end: PullEnd): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      stop();
      if (!subscription.isClosed() && !subscription.isDraining()) subscription.unsubscribe();
      resolve(end);
    }
  });
}

function statusEnd(msg: Msg): PullEnd | null {
  const headers = headersOf(msg);
  if (headers === undefined || headers.code === 100) return null;
  if (headers.code === 404 || headers.code === 408) return 'over';
  return /deleted/i.test(headers.description) ? 'gone' : 'refused';
}
