import type { Msg, MsgHdrs } from '@nats-io/transport-node';
import { z } from 'zod';
import { AppError, describeFaults } from '../../core/errors.ts';
import type { StoredMessage } from '../../ports/bus.ts';
import { type Fault, faultIn, isNoResponders, isTransient, parseJson } from './faults.ts';
import { fromWire, headersOf, parseBlock } from './headers.ts';
import type { Link } from './link.ts';
import { Exchange, type ReplyMux } from './reply-mux.ts';

/**
 * The JetStream API as requests over the shared reply subscription. Every call here may be repeated without harm, so
 * it is, until JetStream answers or patience ends. Subjects of the API that do not exist stay silent: only a late
 * answer says so.
 */
export type Answer<T> = { ok: true; value: T } | { ok: false; fault: Fault };

/** Attempts' worth of time that a call may take altogether. */
const PATIENCE = 6;
const NOTHING = new Uint8Array();

export class JetStreamApi {
  readonly #link: Link;
  readonly #mux: ReplyMux;
  readonly #timeoutMs: number;

  constructor(link: Link, mux: ReplyMux, timeoutMs: number) {
    this.#link = link;
    this.#mux = mux;
    this.#timeoutMs = timeoutMs;
  }

  /** Throws AppError `unavailable` when JetStream does not answer, or answers what nobody understands. */
  async call<T>(verb: string, body: unknown, schema: z.ZodType<T>): Promise<Answer<T>> {
    const subject = `$JS.API.${verb}`;
    const payload = body === null ? NOTHING : this.#link.encode(subject, JSON.stringify(body), undefined);
    const answer = await new Promise<unknown>((resolve, reject) => {
      this.#mux.start(new ApiCall(subject, payload, resolve, reject), this.#timeoutMs * PATIENCE);
    });
    const fault = faultIn(answer);
    if (fault !== null) return { ok: false, fault };
    const parsed = schema.safeParse(answer);
    if (!parsed.success) {
      throw new AppError('unavailable', `${subject}: ${describeFaults(parsed.error, 'answer').message}`);
    }
    return { ok: true, value: parsed.data };
  }

  /** A direct get, which any replica may answer. Throws AppError `timeout` when the stream has none to offer. */
  direct(stream: string, query: string | { seq: number } | { last_by_subj: string }): Promise<StoredMessage | null> {
    const base = `$JS.API.DIRECT.GET.${stream}`;
    // The form with the subject inside lets permissions speak about it; wildcards are safe only in a body.
    const subject = typeof query === 'string' ? `${base}.${query}` : base;
    const payload = typeof query === 'string' ? NOTHING : this.#link.encode(subject, JSON.stringify(query), undefined);
    return new Promise((resolve, reject) => {
      this.#mux.start(new DirectGet(subject, payload, resolve, reject), this.#timeoutMs);
    });
  }
}

/** The value of an answer; a fault becomes AppError `unavailable`. */
export function need<T>(answer: Answer<T>, what: string): T {
  if (answer.ok) return answer.value;
  throw new AppError('unavailable', `${what}: ${answer.fault.description} (${answer.fault.err_code})`);
}

/** A stored message as the leader's answer holds it. */
export const StoredAnswer = z.object({
  message: z.object({
    subject: z.string(),
    seq: z.int(),
    time: z.string(),
    data: z.string().default(''),
    hdrs: z.string().optional(),
  }),
});

export function fromAnswer({ message }: z.infer<typeof StoredAnswer>): StoredMessage {
  const body = Buffer.from(message.data, 'base64');
  return {
    subject: message.subject,
    seq: message.seq,
    at: Date.parse(message.time),
    data: body.toString(),
    bytes: () => body,
    headers: message.hdrs === undefined ? {} : parseBlock(Buffer.from(message.hdrs, 'base64').toString()),
  };
}

class ApiCall extends Exchange {
  readonly persistent = true;
  readonly #resolve: (answer: unknown) => void;
  readonly #reject: (error: AppError) => void;

  constructor(
    subject: string,
    payload: Uint8Array,
    resolve: (answer: unknown) => void,
    reject: (error: AppError) => void,
  ) {
    super(subject, payload, undefined, undefined);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  fail(error: AppError): void {
    this.#reject(error);
  }

  take(msg: Msg): 'done' | 'retry' {
    if (isNoResponders(msg)) return 'retry';
    const answer = parseJson(msg.string());
    const fault = faultIn(answer);
    if (fault !== null && isTransient(fault)) return 'retry';
    this.#resolve(answer);
    return 'done';
  }
}

/** Headers that a direct get adds; what the publisher set under the same name does not count. */
const ADDED = new Set(['Nats-Stream', 'Nats-Subject', 'Nats-Sequence', 'Nats-Time-Stamp', 'Nats-Num-Pending']);

class DirectGet extends Exchange {
  readonly persistent = false;
  readonly #resolve: (message: StoredMessage | null) => void;
  readonly #reject: (error: AppError) => void;

  constructor(
    subject: string,
    payload: Uint8Array,
    resolve: (message: StoredMessage | null) => void,
    reject: (error: AppError) => void,
  ) {
    super(subject, payload, undefined, undefined);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  fail(error: AppError): void {
    this.#reject(error);
  }

  take(msg: Msg): 'done' {
    const headers = headersOf(msg);
    if (headers?.code === 404) this.#resolve(null);
    else if (headers?.code === 0) this.#resolve(fromDirect(headers, msg));
    else {
      // Headers that cannot be read hide the server's own: the leader answers in another form.
      this.#reject(
        new AppError('unavailable', `${this.subject}: ${headers?.status ?? 'unreadable'}`, { retryable: true }),
      );
    }
    return 'done';
  }
}

function fromDirect(headers: MsgHdrs, msg: Msg): StoredMessage {
  return {
    subject: headers.last('Nats-Subject'),
    seq: Number(headers.last('Nats-Sequence')),
    at: Date.parse(headers.last('Nats-Time-Stamp')),
    data: msg.string(),
    bytes: () => msg.data,
    headers: fromWire(headers, ADDED),
  };
}
