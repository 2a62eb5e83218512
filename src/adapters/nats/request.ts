import type { Msg, MsgHdrs } from '@nats-io/transport-node';
import { AppError, ErrorInfo, fromInfo } from '../../core/errors.ts';
import type { Reply } from '../../ports/bus.ts';
import { isNoResponders, parseJson } from './faults.ts';
import { fromWire, headersOf } from './headers.ts';
import { Exchange } from './reply-mux.ts';

/** Headers of a NATS service error (ADR-32): a text, and a number that generic clients understand. */
export const ERROR_HEADER = 'Nats-Service-Error';
export const ERROR_CODE_HEADER = 'Nats-Service-Error-Code';

/** A request that is sent once. */
export class Request extends Exchange {
  readonly persistent = false;
  readonly #resolve: (reply: Reply) => void;
  readonly #reject: (error: AppError) => void;

  constructor(
    subject: string,
    payload: Uint8Array,
    headers: MsgHdrs | undefined,
    signal: AbortSignal | undefined,
    resolve: (reply: Reply) => void,
    reject: (error: AppError) => void,
  ) {
    super(subject, payload, headers, signal);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  fail(error: AppError): void {
    this.#reject(error);
  }

  take(msg: Msg): 'done' {
    if (isNoResponders(msg)) {
      this.#reject(new AppError('no_responders', `nobody listens on ${this.subject}`, { retryable: true }));
      return 'done';
    }
    const headers = headersOf(msg);
    // As it came: the client's own decoder leaves a byte order mark out.
    const data = Buffer.from(msg.data.buffer, msg.data.byteOffset, msg.data.byteLength).toString();
    if (headers?.has(ERROR_HEADER) === true || headers?.has(ERROR_CODE_HEADER) === true) {
      this.#reject(toError(data, headers.get(ERROR_HEADER), headers.get(ERROR_CODE_HEADER)));
    } else this.#resolve({ data, headers: fromWire(headers) });
    return 'done';
  }
}

/** A request to everybody: it ends with its time. */
export class Gathering extends Exchange {
  readonly persistent = false;
  readonly #replies: Reply[] = [];
  readonly #resolve: (replies: Reply[]) => void;
  readonly #reject: (error: AppError) => void;

  constructor(
    subject: string,
    payload: Uint8Array,
    headers: MsgHdrs | undefined,
    signal: AbortSignal | undefined,
    resolve: (replies: Reply[]) => void,
    reject: (error: AppError) => void,
  ) {
    super(subject, payload, headers, signal);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  fail(error: AppError): void {
    if (error.code === 'timeout') this.#resolve(this.#replies);
    else this.#reject(error);
  }

  take(msg: Msg): 'done' | 'ignore' {
    if (isNoResponders(msg)) {
      this.#resolve([]);
      return 'done';
    }
    const headers = headersOf(msg);
    const failed = headers?.has(ERROR_HEADER) === true || headers?.has(ERROR_CODE_HEADER) === true;
    if (!failed) this.#replies.push({ data: msg.string(), headers: fromWire(headers) });
    return 'ignore';
  }
}

/** What the numbers of services that say no more mean (ADR-32). */
const NAMES: Record<string, string> = {
  400: 'bad_request',
  403: 'forbidden',
  404: 'not_found',
  429: 'rate_limit',
  503: 'unavailable',
  504: 'timeout',
};
const PASSING: ReadonlySet<string> = new Set(['rate_limit', 'unavailable', 'timeout']);

/** The error of a Proctor service stands in the body; others say only what their headers hold. */
function toError(body: string, text: string, code: string): AppError {
  const info = ErrorInfo.safeParse(parseJson(body));
  if (!info.success) {
    const named = NAMES[code] ?? 'error';
    return new AppError(named, text === '' ? `service error ${code}` : text, { retryable: PASSING.has(named) });
  }
  return fromInfo(info.data);
}
