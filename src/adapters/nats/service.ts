import { headers as emptyHeaders, type Msg } from '@nats-io/transport-node';
import { AppError, clip, toAppError } from '../../core/errors.ts';
import type { ServeHandler, ServeOptions, Subscription } from '../../ports/bus.ts';
import type { Log } from '../../ports/telemetry.ts';
import { fromWire, headersOf } from './headers.ts';
import type { Link } from './link.ts';
import { ERROR_CODE_HEADER, ERROR_HEADER } from './request.ts';

/** Numbers for clients that know only HTTP's (ADR-32); whoever needs more reads the body. */
const NUMBERS: Record<string, number> = {
  bad_request: 400,
  invalid: 400,
  invalid_arguments: 400,
  invalid_request: 400,
  invalid_task: 400,
  auth_error: 403,
  forbidden: 403,
  not_found: 404,
  taken: 409,
  outcome_unknown: 409,
  too_large: 413,
  busy: 429,
  rate_limit: 429,
  aborted: 499,
  timeout: 504,
  too_late: 504,
};

/** Answers requests on a subject; requests are handled at the same time, none waits for another. */
export function serve(
  link: Link,
  log: Log,
  subject: string,
  handler: ServeHandler,
  options: ServeOptions = {},
): Subscription {
  const { queue, replyUnder } = options;
  const below = replyUnder === undefined ? '' : `${replyUnder}.`;
  if (link.closed) return { stop: () => Promise.resolve() };
  const subscription = link.nc.subscribe(subject, {
    ...(queue === undefined ? {} : { queue }),
    callback: (error, msg) => {
      if (error === null) {
        if ((msg.reply ?? '').startsWith(below)) void answer(link, log, handler, msg);
        else log.warn('nats.reply_refused', { subject: msg.subject, reply: msg.reply, expected: `${below}>` });
      } else log.error('nats.serve_failed', { subject, error: error.message, meaning: 'nobody hears requests here' });
    },
  });
  return {
    async stop() {
      if (subscription.isClosed()) return;
      // Rejects when the connection ends meanwhile, and then it has stopped as well.
      await subscription.drain().catch(() => undefined);
    },
  };
}

async function answer(link: Link, log: Log, handler: ServeHandler, msg: Msg): Promise<void> {
  const to = msg.reply ?? '';
  try {
    const data = await handler({ subject: msg.subject, data: msg.string(), headers: fromWire(headersOf(msg)) });
    if (data !== null && to !== '') link.send(to, link.encode(to, data, undefined));
  } catch (thrown) {
    const error = toAppError(thrown);
    if (!(thrown instanceof AppError)) log.error('nats.handler_failed', { subject: msg.subject, error: error.message });
    if (to !== '') sendError(link, to, error);
  }
}

function sendError(link: Link, to: string, error: AppError): void {
  const headers = emptyHeaders();
  headers.append(ERROR_HEADER, clip(error.message.replace(/[^\x20-\x7e]+/g, ' '), 256) || error.code);
  headers.append(ERROR_CODE_HEADER, String(NUMBERS[error.code] ?? (error.retryable ? 503 : 500)));
  link.send(to, JSON.stringify(error.toInfo()), headers);
}
