import { AppError, clip, type ErrorInfo, toAppError } from '../src/core/errors.ts';

/**
 * Why an incarnation ended, in OTP's terms. `normal`, `shutdown` and `shutdown` with a detail are *clean*; everything
 * else, `killed` included, is *abnormal*: a transient child is restarted after it.
 */
export type ExitReason =
  | { readonly type: 'normal' }
  /** `error`: what lies behind it, for people. */
  | { readonly type: 'shutdown'; readonly detail?: string; readonly error?: ErrorInfo }
  | { readonly type: 'killed' }
  | { readonly type: 'error'; readonly error: ErrorInfo };

export const NORMAL: ExitReason = { type: 'normal' };
export const SHUTDOWN: ExitReason = { type: 'shutdown' };
export const KILLED: ExitReason = { type: 'killed' };

export function shutdownWith(detail: string, behind?: ExitReason): ExitReason {
  const error = behind !== undefined && 'error' in behind ? behind.error : undefined;
  return { type: 'shutdown', detail: clip(detail, 512), ...(error === undefined ? {} : { error }) };
}

/** An abnormal reason. `code` is what is compared, `message` is for people. */
export function failure(code: string, message: string = code): ExitReason {
  return { type: 'error', error: new AppError(code, message).toInfo() };
}

/** Whatever was thrown, as an abnormal reason. */
export function failureOf(thrown: unknown, code = 'error'): ExitReason {
  try {
    return { type: 'error', error: toAppError(thrown, code).toInfo() };
  } catch {
    return failure(code, 'a value was thrown that cannot be shown as text');
  }
}

export function isClean(reason: ExitReason): boolean {
  return reason.type === 'normal' || reason.type === 'shutdown';
}

/** One word for logs: `normal`, `shutdown`, `shutdown(detail)`, `killed`, or the error's code. */
export function reasonText(reason: ExitReason): string {
  if (reason.type === 'error') return reason.error.code;
  return reason.type === 'shutdown' && reason.detail !== undefined ? `shutdown(${reason.detail})` : reason.type;
}

const EXIT = Symbol('exit');

/** What an actor's output carries when it ends with a reason of its own instead of `normal`. */
export interface ExitOutput {
  readonly [EXIT]: ExitReason | 'ignore';
}

/** Output of an actor that ends with `reason`. */
export function exitWith(reason: ExitReason): ExitOutput {
  return { [EXIT]: reason };
}

/** Output of an actor, or answer of a start function, that does not want to run: a success without a process. */
export const IGNORE: ExitOutput = { [EXIT]: 'ignore' };

/** The reason in an output, `'ignore'`, or null when the output says nothing about it. */
export function exitOf(output: unknown): ExitReason | 'ignore' | null {
  return typeof output === 'object' && output !== null && EXIT in output ? (output as ExitOutput)[EXIT] : null;
}
