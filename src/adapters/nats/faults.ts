import type { Msg } from '@nats-io/transport-node';
import { z } from 'zod';
import { headersOf } from './headers.ts';

/** An error as the JetStream API writes it: `code` is like HTTP's, `err_code` names the cause. */
export const Fault = z.object({
  code: z.number(),
  err_code: z.number().default(0),
  description: z.string().default(''),
});
export type Fault = z.infer<typeof Fault>;

const Faulty = z.object({ error: Fault });

export const CONSUMER_NOT_FOUND = 10014;
export const NO_MESSAGE = 10037;
export const SEQUENCE_NOT_FOUND = 10043;
export const DELETE_FAILED = 10057;
export const STREAM_EXISTS = 10058;
export const STREAM_NOT_FOUND = 10059;

const JETSTREAM_UNAVAILABLE = 10008;

/** JSON text as a value; undefined when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The fault that an answer of the API holds, or null. */
export function faultIn(answer: unknown): Fault | null {
  if (typeof answer !== 'object' || answer === null || !('error' in answer)) return null;
  const parsed = Faulty.safeParse(answer);
  return parsed.success ? parsed.data.error : null;
}

/** Passes by itself: no leader now, the server starts or stops, "JetStream not enabled" while it comes up. */
export function isTransient(fault: Fault): boolean {
  return fault.code === 503 || fault.err_code === JETSTREAM_UNAVAILABLE;
}

/** The server's own reply that nobody listens on the subject. */
export function isNoResponders(msg: Msg): boolean {
  return msg.data.length === 0 && headersOf(msg)?.code === 503;
}
