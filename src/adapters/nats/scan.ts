import { z } from 'zod';
import type { ScanOptions, StoredMessage } from '../../ports/bus.ts';
import type { Log } from '../../ports/telemetry.ts';
import { type JetStreamApi, need } from './api.ts';
import { parseAckSubject, toStored } from './delivery.ts';
import { STREAM_NOT_FOUND } from './faults.ts';
import type { Link } from './link.ts';
import { PullChannel } from './pull.ts';
import type { Reader } from './read.ts';
import { closedError } from './reply-mux.ts';
import type { StreamStore } from './streams.ts';

/**
 * Reads many messages of a stream in order. A work queue bears no second consumer, so there each message is asked of
 * the leader in turn; elsewhere a short-lived consumer without acknowledgements hands them out in batches. When such a
 * batch breaks off, a new consumer goes on behind the last message that came.
 */
const BATCH = 256;
const INACTIVE_NS = 30_000_000_000;
const CreatedConsumer = z.object({ name: z.string(), num_pending: z.int() });
export type PassingConsumer = z.infer<typeof CreatedConsumer>;

export interface ScannerOptions {
  api: JetStreamApi;
  link: Link;
  log: Log;
  reader: Reader;
  streams: StreamStore;
  /** A fresh subject for the batches of a scan. */
  nextReply(): string;
}

export class Scanner {
  readonly #options: ScannerOptions;

  constructor(options: ScannerOptions) {
    this.#options = options;
  }

  async *scan(stream: string, filter: string, options: ScanOptions = {}): AsyncGenerator<StoredMessage> {
    const facts = await this.#options.streams.facts(stream);
    if (facts === null) return;
    const from = options.fromSequence ?? 1;
    const newestOnly = options.lastPerSubject ?? false;
    if (facts.retention !== 'workqueue') yield* this.#byConsumer(stream, filter, from, newestOnly);
    else if (!newestOnly) yield* this.#oneByOne(stream, filter, from);
    else {
      const newest = new Map<string, StoredMessage>();
      for await (const message of this.#oneByOne(stream, filter, 1)) {
        newest.delete(message.subject);
        newest.set(message.subject, message);
      }
      for (const message of newest.values()) if (message.seq >= from) yield message;
    }
  }

  async *#oneByOne(stream: string, filter: string, from: number): AsyncGenerator<StoredMessage> {
    for (let seq = from; ; seq++) {
      const message = await this.#options.reader.fromLeader(stream, { seq, next_by_subj: filter });
      if (message === null) return;
      yield message;
      seq = message.seq;
    }
  }

  async *#byConsumer(stream: string, filter: string, from: number, newestOnly: boolean): AsyncGenerator<StoredMessage> {
    const { link } = this.#options;
    let next = from;
    for (;;) {
      const consumer = await this.#open(stream, filter, next, newestOnly);
      if (consumer === null) return;
      const drained = yield* this.#drain(stream, consumer, next, (seq) => {
        next = seq + 1;
      });
      if (drained) return;
      await link.whenConnected(Number.MAX_SAFE_INTEGER, new AbortController().signal);
      if (link.closed) throw closedError();
    }
  }

  /** Yields what the consumer has; false when it broke off before the end. */
  async *#drain(
    stream: string,
    consumer: PassingConsumer,
    from: number,
    seen: (seq: number) => void,
  ): AsyncGenerator<StoredMessage, boolean> {
    const { api, link, log, nextReply } = this.#options;
    const channel = new PullChannel(link, log, nextReply());
    try {
      // What is published while we read is not waited for, or a scan beside a writer might never end.
      for (let left = consumer.num_pending; left > 0; ) {
        const batch: StoredMessage[] = [];
        const max = Math.min(BATCH, left);
        const end = await channel.pull(
          { stream, consumer: consumer.name, max, waitMs: 0 },
          {
            signal: new AbortController().signal,
            onMessage: (msg) => batch.push(toStored(msg, parseAckSubject(msg.reply ?? ''))),
          },
        );
        for (const message of batch) {
          seen(message.seq);
          if (message.seq >= from) yield message;
        }
        left -= batch.length;
        if (end === 'over') return true;
        if (end !== 'full') return false;
      }
      return true;
    } finally {
      channel.close();
      dropConsumer(api, stream, consumer.name);
    }
  }

  #open(stream: string, filter: string, from: number, newestOnly: boolean): Promise<PassingConsumer | null> {
    const start = newestOnly
      ? { deliver_policy: 'last_per_subject' }
      : { deliver_policy: 'by_start_sequence', opt_start_seq: from };
    return openConsumer(this.#options.api, stream, filter, start);
  }
}

/** A consumer without acknowledgements, which goes by itself when nobody asks it any more; null without the stream. */
export async function openConsumer(
  api: JetStreamApi,
  stream: string,
  filter: string,
  start: { deliver_policy: string; opt_start_seq?: number },
): Promise<PassingConsumer | null> {
  const config = {
    ...start,
    filter_subject: filter,
    ack_policy: 'none',
    replay_policy: 'instant',
    mem_storage: true,
    inactive_threshold: INACTIVE_NS,
  };
  const answer = await api.call(`CONSUMER.CREATE.${stream}`, { stream_name: stream, config }, CreatedConsumer);
  if (!answer.ok && answer.fault.err_code === STREAM_NOT_FOUND) return null;
  return need(answer, `reading stream ${stream}`);
}

/** It would go by itself after a while. */
export function dropConsumer(api: JetStreamApi, stream: string, name: string): void {
  api.call(`CONSUMER.DELETE.${stream}.${name}`, null, z.unknown()).catch(() => undefined);
}
