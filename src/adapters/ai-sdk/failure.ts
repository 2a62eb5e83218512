import {
  APICallError,
  EmptyResponseBodyError,
  InvalidResponseDataError,
  JSONParseError,
  NoOutputGeneratedError,
  TypeValidationError,
} from 'ai';
import { AppError, clip } from '../../core/errors.ts';
import { REDACTED, redactText } from '../../core/redact.ts';
import { ENDED_EARLY, EndedEarly } from './ask.ts';
import { type Headers, retryAfterMs } from './retry-after.ts';
import type { Target } from './target.ts';

/**
 * What went wrong with a provider, as one of our codes. Providers echo keys and headers, so their words are quoted
 * without secrets, an error of theirs is never kept as a cause, and a refused key is reported in our words alone.
 */

/** Characters of a provider's words that are quoted, and that are looked through for secrets before. */
const MAX_QUOTE = 600;
const MAX_WORDS = 64 * 1024;
const RETRYABLE = new Set(['rate_limit', 'model_unavailable', 'bad_reply']);
const NO_REPLY = 'answered with something that is no reply of a model';

export interface FailureContext {
  target: Target;
  /** Epoch ms. */
  now: number;
  signal: AbortSignal;
}

export function failureOf(thrown: unknown, context: FailureContext): AppError {
  const { signal, target } = context;
  if (signal.aborted) {
    return signal.reason instanceof AppError
      ? signal.reason
      : new AppError('aborted', 'the run no longer waits for this reply');
  }
  const own = causesOf(thrown).find((cause) => cause instanceof AppError);
  if (own !== undefined) return own;
  const say: Say = (code, text, words, retryAfterMs) =>
    new AppError(code, sentence(target, text, words), { retryable: RETRYABLE.has(code), retryAfterMs });
  if (APICallError.isInstance(thrown)) return ofResponse(thrown, context, say);
  if (thrown instanceof EndedEarly || NoOutputGeneratedError.isInstance(thrown)) {
    return say('model_unavailable', ENDED_EARLY);
  }
  if (EmptyResponseBodyError.isInstance(thrown)) return say('model_unavailable', 'answered with an empty body');
  if (isUnreadable(thrown) || InvalidResponseDataError.isInstance(thrown)) {
    return say('bad_reply', NO_REPLY);
  }
  const said = saidIn(thrown);
  if (said !== null) return ofKind(said, say);
  return say('model_error', 'could not be asked', thrown instanceof Error ? thrown.message : String(thrown));
}

type Say = (code: string, text: string, words?: string, retryAfterMs?: number) => AppError;

function ofResponse(error: APICallError, { target, now }: FailureContext, say: Say): AppError {
  const { statusCode: status, responseBody = '' } = error;
  const headers: Headers = error.responseHeaders ?? {};
  const said = saidIn(jsonIn(responseBody)) ?? { message: '', kinds: [] };
  const words = said.message || withoutMarkup(responseBody);
  const later = retryAfterMs(headers, now);
  if (status === undefined) return say('model_unavailable', 'cannot be reached', networkWords(error));
  if (status < 300) return ofBrokenReply(error, say);
  // The SDK's own finding about the first event of a stream, which it reports as a status of 500.
  if (responseBody.startsWith('{"name":"AI_')) return say('bad_reply', NO_REPLY);
  if (status < 400)
    return say('model_error', `redirects to another address (${status}), which is not followed: correct the base URL`);
  if (status === 401) return say('auth_error', `refuses the key (${status}): ${keyAdvice(target)}`);
  if (status === 403 && !isQuota(said))
    return say('auth_error', `forbids the request (${status}): ${keyAdvice(target)}`, words);
  if (status === 404) return say('no_model', `does not know this model or address (${status})`, words);
  if (status === 402 || isQuota(said))
    return say('quota_exceeded', `says that the account has no credit left (${status})`, words);
  if (status === 429) return say('rate_limit', `limits the rate of requests (${status})`, words, later);
  if (status === 413 || (status < 500 && isOverflow(said, words))) {
    return say('context_overflow', `cannot take a prompt of this size (${status})`, words);
  }
  if (status >= 500 || [408, 409, 425].includes(status)) {
    return say('model_unavailable', `is not available now (${status})`, words, later);
  }
  return say('model_error', `refuses the request (${status})`, words);
}

/** The status was fine and the body was not. */
function ofBrokenReply(error: APICallError, say: Say): AppError {
  if (isUnreadable(error.cause) && error.responseBody?.trim() !== '') {
    return say('bad_reply', NO_REPLY, error.responseBody);
  }
  const what = isUnreadable(error.cause) ? 'answered with an empty body' : 'broke off its answer';
  return say('model_unavailable', what, networkWords(error));
}

/** An error that came in the middle of a stream, where there is no status. */
function ofKind(said: Said, say: Say): AppError {
  const { kinds, message } = said;
  const is = (shape: RegExp) => kinds.some((kind) => shape.test(kind));
  if (isQuota(said)) return say('quota_exceeded', 'says that the account has no credit left', message);
  if (isOverflow(said, message)) return say('context_overflow', 'cannot take a prompt of this size', message);
  if (is(/rate_limit|^429$/)) return say('rate_limit', 'limits the rate of requests', message);
  if (is(/authentication|permission|invalid_api_key|^40[13]$/)) return say('auth_error', 'refuses the key');
  if (is(/not_found|^404$/)) return say('no_model', 'does not know this model', message);
  if (is(/invalid_request|^400$/)) return say('model_error', 'refuses the request', message);
  return say('model_unavailable', 'broke off its answer', message);
}

interface Said {
  message: string;
  /** What the provider calls this error: its `type`, its `code`. */
  kinds: string[];
}

/** The error object of a provider: `{error: {message, type, code}}`, or what stands inside it. */
function saidIn(value: unknown): Said | null {
  if (typeof value !== 'object' || value === null || value instanceof Error) return null;
  const inner = 'error' in value ? value.error : value;
  if (typeof inner === 'string') return { message: inner, kinds: [] };
  if (typeof inner !== 'object' || inner === null) return null;
  const { message, type, code } = inner as Record<string, unknown>;
  if (typeof message !== 'string' && typeof type !== 'string') return null;
  return {
    message: typeof message === 'string' ? message : '',
    kinds: [type, code].filter((kind) => kind !== undefined).map(String),
  };
}

function isQuota({ kinds, message }: Said): boolean {
  return (
    kinds.some((kind) => /insufficient_quota|billing/.test(kind)) ||
    /credit balance is too low|insufficient balance/i.test(message)
  );
}

function isOverflow({ kinds }: Said, words: string): boolean {
  return (
    kinds.some((kind) => /context_length|exceed_context|request_too_large/.test(kind)) ||
    /maximum context length|context (?:window|length|limit|size)|prompt is too long|input is too long/i.test(words)
  );
}

function isUnreadable(error: unknown): boolean {
  return JSONParseError.isInstance(error) || TypeValidationError.isInstance(error);
}

function keyAdvice({ key, baseUrl }: Target): string {
  const at = new URL(baseUrl).host;
  return key === undefined
    ? `${at} wants a key, name its variable in model_options.api_key_env`
    : `check ${key.variable}, sent to ${at}`;
}

/** `ECONNREFUSED` and its like: the innermost cause says what happened. */
function networkWords(error: unknown): string {
  const words = causesOf(error)
    .filter((cause) => cause instanceof Error)
    .map((cause) =>
      'code' in cause && typeof cause.code === 'string' ? `${cause.code} ${cause.message}` : cause.message,
    );
  return words.at(-1) ?? '';
}

function causesOf(error: unknown): unknown[] {
  const found: unknown[] = [];
  for (let one = error; one !== undefined && one !== null && found.length < 8; one = (one as { cause?: unknown }).cause)
    found.push(one);
  return found;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The text of an error page. */
function withoutMarkup(text: string): string {
  return text
    .slice(0, MAX_WORDS)
    .replace(/<[^<>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}

function sentence(target: Target, text: string, words = ''): string {
  const quoted = words === '' ? '' : `: ${clip(withoutSecrets(words, target), MAX_QUOTE)}`;
  return `the provider of ${target.provider}/${target.modelId} ${text}${quoted}`;
}

/** Before anything is cut: half a key has no shape that could be found any more. */
function withoutSecrets(words: string, { key }: Target): string {
  const some = words.slice(0, MAX_WORDS);
  return redactText(key === undefined ? some : some.replaceAll(key.value, REDACTED));
}
