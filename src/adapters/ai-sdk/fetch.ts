import { AppError } from '../../core/errors.ts';

/** Largest reply that is read, bytes. */
const MAX_REPLY_BYTES = 32 * 1024 * 1024;

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
    return new Response(response.body.pipeThrough(limit(MAX_REPLY_BYTES)), { status, statusText, headers });
  };
}

function limit(maxBytes: number): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.byteLength;
      if (bytes <= maxBytes) controller.enqueue(chunk);
      else controller.error(tooLarge(maxBytes));
    },
  });
}

function tooLarge(maxBytes: number): AppError {
  return new AppError('bad_reply', `the provider's reply has more than ${maxBytes} bytes`, { retryable: true });
}
