import { AppError } from '../core/errors.ts';
import type { Cancel, Clock } from '../ports/clock.ts';

const NOT_WANTED = new AppError('aborted', 'the run does not want this any more');

/**
 * One running effect: how it is told to stop. The signal is only made for those who look at it, as most work is over
 * before anybody could.
 */
export class Effort {
  private controller: AbortController | undefined;
  private reason: AppError | undefined;
  private cancel: Cancel | undefined;
  private fail: ((error: AppError) => void) | undefined;
  private off: AppError | undefined;
  /** Scope of the tool or model that it uses; null for other work. */
  readonly uses: string | null;
  /** When it began, epoch milliseconds. */
  readonly since: number;

  constructor(uses: string | null = null, since = 0) {
    this.uses = uses;
    this.since = since;
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.reason !== undefined) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  /** Whether it was given up, rather than having run out of time. */
  get notWanted(): boolean {
    return this.reason === NOT_WANTED;
  }

  /** The run does not want it any more. */
  giveUp(): void {
    this.cancel?.();
    this.stop(NOT_WANTED);
  }

  /** Why a switch ended it; the run still wants it, and will be told. */
  get switchedOff(): AppError | undefined {
    return this.off;
  }

  /** A switch ends it: `within` rejects at once. */
  switchOff(error: AppError): void {
    this.off ??= error;
    this.cancel?.();
    this.stop(error);
    this.fail?.(error);
  }

  private stop(reason: AppError): void {
    this.reason ??= reason;
    this.controller?.abort(reason);
  }

  /**
   * Does `work`, which rejects with AppError `timeout` after `ms`, whether or not it listens to the signal.
   * @param wordsMs how long it may then take to say what it used, milliseconds
   */
  within<T>(clock: Clock, ms: number, what: string, work: () => Promise<T>, wordsMs = 0): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let late: AppError | undefined;
      this.cancel = clock.after(ms, () => {
        const error = new AppError('timeout', `${what} did not answer within ${ms} ms`, { retryable: true });
        late = error;
        this.stop(error);
        if (wordsMs === 0) reject(error);
        else this.cancel = clock.after(wordsMs, () => reject(error));
      });
      this.fail = reject;
      work().then(
        (value) => {
          this.cancel?.();
          resolve(value);
        },
        (thrown: unknown) => {
          this.cancel?.();
          reject(late === undefined ? thrown : withUsageOf(thrown, late));
        },
      );
    });
  }
}

/** It ran out of time, whatever it says; what it used counts. */
function withUsageOf(thrown: unknown, late: AppError): AppError {
  const usage = thrown instanceof AppError ? thrown.usage : undefined;
  return usage === undefined ? late : new AppError(late.code, late.message, { retryable: late.retryable, usage });
}
