import type { Msg } from '@nats-io/transport-node';
import type { Delivery, StoredMessage } from '../../ports/bus.ts';
import { fromWire, headersOf } from './headers.ts';
import type { Link } from './link.ts';

/** What the reply subject of a delivered message says about it. */
export interface DeliveryFacts {
  stream: string;
  deliveries: number;
  seq: number;
  /** Which one it is of those that the consumer has handed out, from 1. */
  order: number;
  /** Epoch milliseconds. */
  at: number;
  /** Messages that wait behind this one. */
  pending: number;
}

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<deliveries>.<seq>.<consumer seq>.<time, ns>.<pending>`; newer servers put a domain
 * and an account before the stream, and may add tokens at the end.
 */
export function parseAckSubject(subject: string): DeliveryFacts {
  const tokens = subject.split('.');
  const at = tokens.length >= 11 ? 4 : 2;
  const [stream = '', , deliveries, seq, order, time = '', pending] = tokens.slice(at);
  return {
    stream,
    deliveries: Number(deliveries),
    seq: Number(seq),
    order: Number(order),
    at: Number(time.slice(0, -6)),
    pending: Number(pending),
  };
}

export function toStored(msg: Msg, facts: DeliveryFacts): StoredMessage {
  return {
    subject: msg.subject,
    seq: facts.seq,
    at: facts.at,
    data: msg.string(),
    bytes: () => msg.data,
    headers: fromWire(headersOf(msg)),
  };
}

export function toDelivery(msg: Msg, created: string, link: Link): Delivery {
  const ackSubject = msg.reply ?? '';
  const facts = parseAckSubject(ackSubject);
  let settled = false;
  function settle(word: string): void {
    if (settled) return;
    settled = true;
    link.sendOrKeep(ackSubject, word);
  }
  return {
    ...toStored(msg, facts),
    stream: facts.stream,
    created,
    deliveries: facts.deliveries,
    behind: facts.pending,
    ack: () => settle('+ACK'),
    nak: (delayMs) => settle(nakWord(delayMs)),
    working() {
      if (!settled) link.send(ackSubject, '+WPI');
    },
  };
}

export function nakWord(delayMs: number): string {
  return delayMs > 0 ? `-NAK {"delay": ${Math.ceil(delayMs) * 1_000_000}}` : '-NAK';
}
