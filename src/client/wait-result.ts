import { AppError } from '../core/errors.ts';
import type { RunResult } from '../core/result.ts';
import type { StatusEvent } from '../core/status.ts';
import type { Clock } from '../ports/clock.ts';

export interface ResultOptions {
  run: string;
  clock: Pick<Clock, 'after'>;
  signal: AbortSignal | undefined;
  read: () => Promise<RunResult>;
  /** Ends with the run; null when the end is not to be waited for. */
  watch: (() => AsyncIterable<StatusEvent>) | null;
}

/** Between the journal's last entry and the stored result, milliseconds. */
const AGAIN_MS = 100;

/** The result of a run. Throws AppError `not_ended`, or `aborted` when the signal aborts the wait. */
export async function resultWhenEnded({ run, clock, signal, read, watch }: ResultOptions): Promise<RunResult> {
  for (;;) {
    try {
      return await read();
    } catch (thrown) {
      if (watch === null || !(thrown instanceof AppError && thrown.code === 'not_ended')) throw thrown;
    }
    for await (const _status of watch()) {
      // Only the end counts, and it ends the loop.
    }
    if (signal?.aborted === true)
      throw new AppError('aborted', `the wait for run ${run} was given up; the run goes on`);
    await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
  }
}
