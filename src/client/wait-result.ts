import { AppError } from '../core/errors.ts';
import type { RunResult } from '../core/result.ts';
import { type WatchSource, watchRun } from './watch.ts';

export interface ResultOptions {
  /** Wait for the end; default false: a run that has not ended is an error. */
  wait?: boolean;
  /** Gives up waiting; the run goes on. */
  signal?: AbortSignal;
}

/** The result of a run. Throws AppError `not_ended` unless told to wait, `aborted` when the signal ends the wait. */
export async function readResult(run: string, source: WatchSource, wait: boolean): Promise<RunResult> {
  try {
    return await source.result();
  } catch (thrown) {
    if (!wait || !(thrown instanceof AppError && thrown.code === 'not_ended')) throw thrown;
  }
  for await (const update of watchRun({ ...source, steps: false })) {
    if (update.type === 'ended') return update.result;
  }
  throw new AppError('aborted', `the wait for run ${run} was given up; the run goes on`);
}
