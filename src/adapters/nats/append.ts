import type { Msg, MsgHdrs } from '@nats-io/transport-node';
import { AppError } from '../../core/errors.ts';
import type { PubAck } from '../../ports/bus.ts';
import { faultIn, isNoResponders, isTransient, parseJson } from './faults.ts';
import { Exchange } from './reply-mux.ts';

/** What the server writes for nearly every message; anything else is read with more care. */
const ACK = /^\{"stream": ?"([^"\\]+)", ?"seq": ?(\d+)[,}]/;

const STORE_FAILED = 10077;
const WRONG_LAST_SEQUENCE = 10071;
const MESSAGE_TOO_LARGE = 10054;

/**
 * A message on its way into a stream: sent until the stream answers. Sending the same bytes again is harmless where a
 * subject is written once; elsewhere a lost acknowledgement may leave the message twice in the stream.
 */
export class Append extends Exchange {
  readonly persistent = true;
  readonly #resolve: (ack: PubAck) => void;
  readonly #reject: (error: AppError) => void;

  constructor(
    subject: string,
    payload: Uint8Array,
    headers: MsgHdrs | undefined,
    signal: AbortSignal | undefined,
    resolve: (ack: PubAck) => void,
    reject: (error: AppError) => void,
  ) {
    super(subject, payload, headers, signal);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  fail(error: AppError): void {
    this.#reject(error);
  }

  take(msg: Msg): 'done' | 'retry' | 'ignore' {
    const text = msg.string();
    const ack = ACK.exec(text);
    if (ack !== null) {
      this.#resolve({ stream: ack[1] as string, seq: Number(ack[2]) });
      return 'done';
    }
    if (isNoResponders(msg)) return 'retry';
    const fault = faultIn(parseJson(text));
    // Not from a stream: somebody else listens on the subject and answered first.
    if (fault === null) return 'ignore';
    const { err_code: code, description } = fault;
    // The same code stands for a full disk or a store that is closing: those pass, a taken subject does not.
    if (code === WRONG_LAST_SEQUENCE || (code === STORE_FAILED && description.includes('per subject'))) {
      this.#reject(new AppError('taken', `${this.subject} holds a message already (${description})`));
      return 'done';
    }
    if (isTransient(fault) || code === STORE_FAILED) return 'retry';
    const tooLarge = code === MESSAGE_TOO_LARGE;
    this.#reject(
      new AppError(tooLarge ? 'too_large' : 'unavailable', `${this.subject}: the stream refused it: ${description}`),
    );
    return 'done';
  }
}
