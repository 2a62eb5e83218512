import { AppError } from '../../core/errors.ts';

/**
 * Most bytes that are parsed at once, a reply or one event of a streamed one: hostile JSON of this size holds up the
 * event loop for about 0.3 s.
 */
const MAX_PARSED_BYTES = 2 * 1024 * 1024;
/** Most bytes of all events of a streamed reply. */
const MAX_STREAM_BYTES = 32 * 1024 * 1024;

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

export type Fetch = typeof globalThis.fetch;

/**
 * A fetch for talking to a provider: a redirect is not followed, as keys and the conversation would go to an address
 * that nobody configured, and a reply has a bound.
 */
export function boundedFetch(fetch: Fetch): Fetch {
  return async (input, init) => {
    const response = await fetch(input, { ...init, redirect: 'manual' });
    if (response.body === null) return response;
    const { status, statusText, headers } = response;
    const isStream = headers.get('content-type')?.startsWith('text/event-stream') === true;
    const limits = isStream ? [limit(MAX_STREAM_BYTES), eventLimit()] : [limit(MAX_PARSED_BYTES)];
    const body = limits.reduce((source, one) => source.pipeThrough(one), response.body);
    return new Response(body, { status, statusText, headers });
  };
}

function limit(maxBytes: number): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.byteLength;
      if (bytes <= maxBytes) controller.enqueue(chunk);
      else controller.error(tooLarge('the reply', maxBytes));
    },
  });
}

/** An event ends at an empty line, however many lines of data it has. */
function eventLimit(): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  let lineIsEmpty = true;
  return new TransformStream({
    transform(chunk, controller) {
      for (const byte of chunk) {
        bytes++;
        if (byte === LINE_FEED) {
          if (lineIsEmpty) bytes = 0;
          lineIsEmpty = true;
        } else if (byte !== CARRIAGE_RETURN) lineIsEmpty = false;
        if (bytes > MAX_PARSED_BYTES) {
          controller.error(tooLarge('one event of the reply', MAX_PARSED_BYTES));
          return;
        }
      }
      controller.enqueue(chunk);
    },
  });
}

function tooLarge(what: string, maxBytes: number): AppError {
  return new AppError('bad_reply', `${what} of the provider has more than ${maxBytes} bytes`, { retryable: true });
}
