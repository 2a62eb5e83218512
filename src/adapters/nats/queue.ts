import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../../core/errors.ts';
import type { QueueSpec } from '../../core/streams.ts';
import type { Delivery, Queue } from '../../ports/bus.ts';
import type { Log } from '../../ports/telemetry.ts';
import { nakWord, toDelivery } from './delivery.ts';
import type { Link } from './link.ts';
import { PullChannel } from './pull.ts';
import { closedError } from './reply-mux.ts';
import type { StreamStore } from './streams.ts';

/**
 * A durable consumer as a Queue. Whatever happens to the server meanwhile, a pull takes its time and ends; only a
 * consumer that is not there any more, or a closed bus, is an error.
 */
export interface QueueOptions {
  link: Link;
  log: Log;
  streams: StreamStore;
  spec: QueueSpec;
  /** A fresh subject for the answers to pulls. */
  nextReply(): string;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;

export class NatsQueue implements Queue {
  readonly #options: QueueOptions;
  /** Those that no pull uses now. */
  readonly #channels: PullChannel[] = [];

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  async pull(
    max: number,
    waitMs: number,
    onDelivery: (delivery: Delivery) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const channel = this.#channels.pop() ?? this.#newChannel();
    try {
      await this.#pull(channel, max, waitMs, onDelivery, signal);
    } finally {
      this.#channels.push(channel);
    }
  }

  #newChannel(): PullChannel {
    const { link, log, nextReply } = this.#options;
    return new PullChannel(link, log, nextReply());
  }

  async #pull(
    channel: PullChannel,
    max: number,
    waitMs: number,
    onDelivery: (delivery: Delivery) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { link, streams, spec } = this.#options;
    // One signal may end any number of pulls; Node would warn of a leak at the eleventh.
    setMaxListeners(0, signal);
    const until = performance.now() + waitMs;
    let left = max;
    for (let pause = FIRST_PAUSE_MS; left > 0 && !signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      await link.whenConnected(remaining(until), signal);
      if (link.closed) throw closedError();
      if (!link.connected || signal.aborted) return;
      // Asked anew after each reconnect: the store behind the server may be another one.
      const facts = await streams.facts(spec.stream);
      if (facts === null) throw gone(spec);
      const request = { stream: spec.stream, consumer: spec.name, max: left, waitMs: remaining(until) };
      const end = await channel.pull(request, {
        signal,
        onMessage(msg) {
          left -= 1;
          onDelivery(toDelivery(msg, facts.created, link));
        },
        onStray(msg) {
          if (msg.reply !== undefined) link.send(msg.reply, nakWord(0));
        },
      });
      if (end === 'closed') throw closedError();
      if (end === 'gone' || (end === 'silent' && !(await streams.hasQueue(spec)))) {
        streams.forget(spec.stream);
        throw gone(spec);
      }
      if (end !== 'refused' && end !== 'lost') return;
      if (remaining(until) === 0) return;
      if (end === 'refused')
        await delay(Math.min(pause, remaining(until)), undefined, { signal }).catch(() => undefined);
    }
  }
}

function remaining(until: number): number {
  return Math.max(0, Math.round(until - performance.now()));
}

function gone(spec: QueueSpec): AppError {
  return new AppError(
    'unavailable',
    `stream ${spec.stream} has no consumer ${spec.name} any more: it was deleted, or the store is another one; ensure it again`,
    { retryable: true },
  );
}
