import { AppError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';

/**
 * Runs `work` with a signal that aborts when `parent` does or when `ms` have passed; then the promise rejects with
 * AppError `timeout`, whether or not `work` listens to its signal.
 */
export function withTimeLimit<T>(
  clock: Clock,
  ms: number,
  parent: AbortSignal,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => {
      controller.abort(parent.reason);
      finish();
      reject(new AppError('aborted', `${what} was given up`));
    };
    const cancel = clock.after(ms, () => {
      const error = new AppError('timeout', `${what} did not answer within ${ms} ms`, { retryable: true });
      controller.abort(error);
      finish();
      reject(error);
    });
    const finish = () => {
      cancel();
      parent.removeEventListener('abort', onAbort);
    };
    parent.addEventListener('abort', onAbort, { once: true });
    work(controller.signal).then(
      (value) => {
        finish();
        resolve(value);
      },
      (error: unknown) => {
        finish();
        reject(error);
      },
    );
    if (parent.aborted) onAbort();
  });
}
