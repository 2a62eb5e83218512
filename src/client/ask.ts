import type { z } from 'zod';
import { AppError } from '../core/errors.ts';
import type { Bus } from '../ports/bus.ts';
import { parseAnswer } from './answers.ts';

/** What a client needs of a bus: requests and events, no stream. */
export type ClientBus = Pick<Bus, 'publish' | 'request' | 'subscribe' | 'flush'>;

/** How long a node may take for an answer, milliseconds. */
export const ANSWER_MS = 5_000;

/**
 * One request to whichever node answers first. Throws what the node threw, AppError `no_node` when none answers, and
 * `bad_answer`.
 */
export async function ask<S extends z.ZodType>(
  bus: ClientBus,
  subject: string,
  body: unknown,
  answer: S,
): Promise<z.output<S>> {
  const reply = await bus.request(subject, JSON.stringify(body), { timeoutMs: ANSWER_MS }).catch((thrown: unknown) => {
    throw isSilence(thrown) ? noNode(subject, thrown) : thrown;
  });
  return parseAnswer(answer, reply.data, subject);
}

/** Nobody listens, or whoever does said nothing: between accounts a server does not tell which. */
function isSilence(thrown: unknown): boolean {
  return thrown instanceof AppError && (thrown.code === 'no_responders' || thrown.code === 'timeout');
}

function noNode(subject: string, cause: unknown): AppError {
  return new AppError('no_node', `no node answers on ${subject}: start one, or try again when one is back`, {
    retryable: true,
    cause,
  });
}
