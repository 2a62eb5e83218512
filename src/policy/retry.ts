import { clip, type ErrorInfo } from '../core/errors.ts';
import type { RetryClass } from '../core/events.ts';

/**
 * What is made again after a passing failure, and when (TOOL-6). Pure: the verdict is journalled before anything acts on
 * it, chance is an input, so a replay waits as the run did. Each class counts its own retries; what is in no class is an
 * observation for whoever decides.
 */

interface Rule {
  retries: number;
  /** Wait before the n-th retry, in units of the base. */
  wait: (n: number) => number;
}

const exponential = (n: number) => 2 ** (n - 1);

const CALLS: Record<RetryClass, Rule> = {
  rate_limit: { retries: 5, wait: exponential },
  timeout: { retries: 3, wait: (n) => n },
  auth_error: { retries: 1, wait: () => 0 },
  tool_crash: { retries: 2, wait: () => 1 },
};
const THINKS: Rule = { retries: 3, wait: exponential };
/** An empty bucket or a full cap of ours makes a run wait, not fail (TOOL-8, TOOL-13), unless it never has room for the call. */
const OURS: ReadonlySet<string> = new Set(['rate_limited', 'cap_reached']);
const NO_ROOM: Rule = { retries: Number.POSITIVE_INFINITY, wait: () => 0 };

const CLASS_OF: Readonly<Record<string, RetryClass>> = {
  rate_limit: 'rate_limit',
  busy: 'rate_limit',
  timeout: 'timeout',
  auth_error: 'auth_error',
  worker_lost: 'tool_crash',
  tool_crash: 'tool_crash',
  result_lost: 'tool_crash',
  aborted: 'tool_crash',
  unavailable: 'tool_crash',
  ledger_unavailable: 'tool_crash',
  // Nothing was done, and the worker may be starting again.
  no_worker: 'tool_crash',
  too_late: 'tool_crash',
  unknown_tool: 'tool_crash',
};
const PASSING_FOR_A_MODEL: ReadonlySet<string> = new Set([
  'rate_limit',
  ...OURS,
  'circuit_open',
  'ledger_unavailable',
  'timeout',
  'model_unavailable',
]);
/** Nobody carries the tool out now: it is down, rather than failing. */
const DOWN: ReadonlySet<string> = new Set([
  'timeout',
  'worker_lost',
  'unavailable',
  'no_worker',
  'too_late',
  'unknown_tool',
]);

export interface Again {
  /** Which retry of its class this is, from 1. */
  attempt: number;
  wait_ms: number;
}

interface Chance {
  /** Unit of all waits, milliseconds; the jitter is up to one of it. */
  baseMs: number;
  /** In [0, 1). */
  random: number;
}

export type CallVerdict =
  | ({ verdict: 'again'; class: RetryClass } & Again)
  | { verdict: 'failed'; error: ErrorInfo }
  /** Nobody knows whether it took effect, and it must not be repeated without a person's word. */
  | { verdict: 'unknown' };

export interface FailedCall extends Chance {
  tool: string;
  error: ErrorInfo;
  /** May be made again although it may have taken effect. */
  idempotent: boolean;
  /** The failure leaves open whether it took effect. */
  effectUnknown: boolean;
  /** The tool that can stand in for it. */
  instead?: string | undefined;
  /** Retries made so far, by class. */
  tried: Partial<Record<RetryClass, number | undefined>>;
}

export function afterFailedCall(failed: FailedCall): CallVerdict {
  const { tool, error, tried } = failed;
  // The worker's own record says so: the same key cannot be tried again.
  if (error.code === 'outcome_unknown') return { verdict: 'unknown' };
  if (failed.effectUnknown && !failed.idempotent) return { verdict: 'unknown' };
  const cls = CLASS_OF[error.code];
  if (cls === undefined) return { verdict: 'failed', error };
  const made = tried[cls] ?? 0;
  const again = nextTry(CALLS[cls], made, error, failed);
  if (again !== null) return { verdict: 'again', class: cls, ...again };
  const fault = DOWN.has(error.code)
    ? toolDown(tool, made, error, failed.instead)
    : retriesExceeded(`tool ${tool}`, cls, made, error);
  return { verdict: 'failed', error: fault };
}

export interface FailedThink extends Chance {
  model: string;
  error: ErrorInfo;
  /** Retries made so far of this model call. */
  tried: number;
}

export type ThinkVerdict = ({ verdict: 'again' } & Again) | { verdict: 'failed'; error: ErrorInfo };

export function afterFailedThink(failed: FailedThink): ThinkVerdict {
  const { model, error, tried } = failed;
  const isOurs = OURS.has(error.code);
  if (!PASSING_FOR_A_MODEL.has(error.code) || (isOurs && !error.retryable)) return { verdict: 'failed', error };
  const again = nextTry(isOurs ? NO_ROOM : THINKS, tried, error, failed);
  if (again !== null) return { verdict: 'again', ...again };
  return { verdict: 'failed', error: retriesExceeded(`model ${model}`, error.code, tried, error) };
}

function nextTry(rule: Rule, made: number, error: ErrorInfo, { baseMs, random }: Chance): Again | null {
  if (made >= rule.retries) return null;
  const attempt = made + 1;
  const wait = Math.max(baseMs * rule.wait(attempt), error.retry_after_ms ?? 0);
  return { attempt, wait_ms: Math.round(wait + baseMs * random) };
}

function retriesExceeded(what: string, cls: string, retries: number, error: ErrorInfo): ErrorInfo {
  const text = `${what} failed ${retries + 1} times (${retries} retries, class ${cls}), at last with ${error.code}: ${error.message}`;
  return { ...error, code: 'max_retries_exceeded', message: clip(text, 2_048) };
}

/** What a model can go on with (DEG-3). */
function toolDown(tool: string, retries: number, error: ErrorInfo, instead: string | undefined): ErrorInfo {
  const text = `tool ${tool} is unavailable: ${retries + 1} tries failed, at last with ${error.code}: ${error.message}`;
  return { ...error, code: 'unavailable', message: clip(text, 2_048), suggestion: suggestionFor(tool, instead) };
}

/** What to do without a tool. @param instead the tool that can stand in for it */
export function suggestionFor(tool: string, instead: string | undefined): string {
  const other = instead === undefined ? 'use another tool' : `use ${instead} instead`;
  return `Do not wait for ${tool}: ${other}, go on without its result and say so in the answer, or ask a person.`;
}
