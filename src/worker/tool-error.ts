import { AppError } from '../core/errors.ts';

/**
 * Codes whose meaning callers know. `rate_limit`, `unavailable`, `timeout`: the same call may work later; `auth_error`:
 * after `refresh`; `tool_error`, `not_found`, `forbidden`: it will not.
 */
export type ToolErrorCode =
  | 'rate_limit'
  | 'auth_error'
  | 'timeout'
  | 'unavailable'
  | 'tool_error'
  | 'not_found'
  | 'forbidden';

const RETRYABLE: ReadonlySet<string> = new Set(['rate_limit', 'auth_error', 'timeout', 'unavailable']);

export interface ToolErrorOptions {
  /** Whether the same call may work later; default what the code says, false for a code of your own. */
  retryable?: boolean;
  /** How long the other side asked to be left alone, milliseconds. */
  retryAfterMs?: number;
  /** Dotted path of the argument that is at fault. */
  field?: string;
  cause?: unknown;
}

/**
 * An error for a handler to throw. After `timeout` and `unavailable` nobody knows whether the tool did its work; every
 * other code says that it did not.
 */
export function toolError(
  code: ToolErrorCode | (string & {}),
  message: string,
  options: ToolErrorOptions = {},
): AppError {
  return new AppError(code, message, { ...options, retryable: options.retryable ?? RETRYABLE.has(code) });
}
