import { setTimeout as delay } from 'node:timers/promises';
import { toAppError } from '../../core/errors.ts';
import type { Follower, Subscription } from '../../ports/bus.ts';
import { parseAckSubject, toStored } from './delivery.ts';
import { PullChannel } from './pull.ts';
import { dropConsumer, openConsumer, type ScannerOptions } from './scan.ts';

/**
 * Follows a stream by a consumer of its own, without acknowledgements. Whatever is wrong with that consumer (the
 * connection broke, its server is gone, it left one out) another takes its place, which begins behind the last message
 * that came.
 */

const BATCH = 256;
/** A server that died without a word is noticed after this long, milliseconds. */
const WAIT_MS = 2_000;
const PAUSE_MS = 250;

interface Following {
  stream: string;
  filter: string;
  fromSequence: number;
  follower: Follower;
}

export function follow(options: ScannerOptions, { stream, filter, fromSequence, follower }: Following): Subscription {
  const { api, link, log, streams } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let next = fromSequence;
  let created: string | null = null;
  let opened = 0;

  /** Hands on what one consumer gives, until it ends. */
  const drain = async (consumer: string): Promise<void> => {
    const channel = new PullChannel(link, log, options.nextReply());
    let handed = 0;
    try {
      for (;;) {
        let inOrder = true;
        const end = await channel.pull(
          { stream, consumer, max: BATCH, waitMs: WAIT_MS },
          {
            signal,
            onMessage(msg) {
              const facts = parseAckSubject(msg.reply ?? '');
              inOrder &&= facts.order === ++handed;
              if (!inOrder || signal.aborted || facts.seq < next) return;
              next = facts.seq + 1;
              follower.onMessage(toStored(msg, facts));
            },
          },
        );
        if (!inOrder || (end !== 'full' && end !== 'over')) return;
      }
    } finally {
      channel.close();
      dropConsumer(api, stream, consumer);
    }
  };

  const once = async (): Promise<void> => {
    await link.whenConnected(Number.MAX_SAFE_INTEGER, signal);
    if (signal.aborted || link.closed) return;
    const facts = await streams.facts(stream);
    if (facts === null) return;
    const last = await streams.lastSequence(stream);
    if (last === null) return streams.forget(stream);
    // A server that lost its disk may have lost only the end of the stream.
    const isOther = created !== null && (created !== facts.created || last < next - 1);
    if (isOther) next = 1;
    const start = { deliver_policy: 'by_start_sequence', opt_start_seq: next };
    const consumer = await openConsumer(api, stream, filter, start);
    if (consumer === null) {
      streams.forget(stream);
      return;
    }
    created = facts.created;
    if (++opened > 1) follower.onBreak?.(isOther ? 'stream_lost' : 'interrupted');
    await drain(consumer.name);
    // What took the consumer away may have taken the stream as well.
    streams.forget(stream);
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted && !link.closed) {
      await once().catch((thrown: unknown) => {
        const { code, message } = toAppError(thrown);
        if (code !== 'closed') log.warn('nats.follow_failed', { stream, code, message, consequence: 'tried again' });
      });
      if (link.connected && !signal.aborted) await delay(PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  };
  const done = run();
  return {
    stop() {
      stopping.abort();
      return done;
    },
  };
}
