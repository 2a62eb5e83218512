import { AppError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';

/**
 * Runs `work`; when `ms` have passed its controller is aborted and the promise rejects with AppError `timeout`, whether
 * or not `work` listens to its signal.
 */
export function withTimeLimit<T>(
  clock: Clock,
  ms: number,
  controller: AbortController,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = clock.after(ms, () => {
      const error = new AppError('timeout', `${what} did not answer within ${ms} ms`, { retryable: true });
      controller.abort(error);
      reject(error);
    });
    work().then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}

/** The reason of an abort that is not a fault: the run does not want the work any more. */
export const NOT_WANTED = new AppError('aborted', 'the run does not want this any more');

/** Whether work was given up, rather than having run out of time. */
export function isNotWanted(signal: AbortSignal): boolean {
  return signal.aborted && signal.reason === NOT_WANTED;
}
