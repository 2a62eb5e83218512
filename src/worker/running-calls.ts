import { encodeBeat } from '../core/beat-wire.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { WireCall } from '../core/tool-wire.ts';
import type { Clock } from '../ports/clock.ts';

/**
 * The calls of one tool that are running on this worker, by idempotency key. A second request with the same key (the
 * caller sent it again after a lost reply) joins the call that is running: the effect happens once.
 */
export class RunningCalls {
  readonly #clock: Clock;
  readonly #calls = new Map<string, RunningCall>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The outcome of the running call with this key, or of `start`, whose signal aborts at the latest deadline asked for. */
  join(call: WireCall, start: (running: CallHandle) => Promise<string>): Promise<string> {
    const known = this.#calls.get(call.idempotencyKey);
    if (known !== undefined) {
      if (call.beat !== undefined && known.beats.size < MAX_LISTENERS) known.beats.add(call.beat);
      known.deadline = Math.max(known.deadline, call.deadline);
      // Told to stop, it may still end well; otherwise whoever asks again wants it done.
      if (known.controller.signal.aborted) return known.outcome.catch(() => this.join(call, start));
      return known.outcome;
    }
    const controller = new AbortController();
    const running: RunningCall = {
      run: call.run,
      c: call.c,
      agent: call.agent,
      user: call.user,
      deadline: call.deadline,
      controller,
      beats: new Set(call.beat === undefined ? [] : [call.beat]),
      progress: undefined,
      outcome: NEVER,
    };
    const disarm = this.#watch(running);
    const handle: CallHandle = {
      signal: controller.signal,
      progress: (fraction, text) => {
        running.progress = { fraction: Math.min(1, Math.max(0, fraction || 0)), text };
      },
    };
    running.outcome = start(handle)
      .catch((thrown: unknown) => {
        // Whatever an aborted handler says, its effect is open.
        throw controller.signal.aborted ? abortReason(controller.signal) : toAppError(thrown, 'tool_error');
      })
      .finally(() => {
        disarm();
        this.#calls.delete(call.idempotencyKey);
      });
    this.#calls.set(call.idempotencyKey, running);
    return running.outcome;
  }

  /** Aborts a call that the caller no longer wants. */
  cancel(run: string, c: string): void {
    for (const call of this.#calls.values()) {
      if (call.run !== run || call.c !== c) continue;
      call.controller.abort(new AppError('aborted', 'the caller cancelled the call while the tool was running'));
    }
  }

  /** Aborts the calls for which there is a reason. */
  abortWhere(reasonFor: (call: Pick<WireCall, 'run' | 'agent' | 'user'>) => AppError | null): void {
    for (const call of this.#calls.values()) {
      const reason = reasonFor(call);
      // What it did so far is open, whatever the reason.
      if (reason !== null) call.controller.abort(new AppError('aborted', reason.message));
    }
  }

  /** Shows everybody who waits for a running call that it is in work. */
  beat(send: (address: string, data: string) => void): void {
    for (const call of this.#calls.values()) {
      const data = encodeBeat(call.progress);
      for (const address of call.beats) send(address, data);
    }
  }

  /** Resolves when every running call has ended or passed its deadline. */
  async idle(): Promise<void> {
    await Promise.all([...this.#calls.values()].map((call) => this.#over(call)));
  }

  #over(call: RunningCall): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(call.deadline - this.#clock.now(), resolve);
      const end = (): void => {
        cancel();
        resolve();
      };
      call.outcome.then(end, end);
    });
  }

  #watch(call: RunningCall): () => void {
    const { signal } = call.controller;
    let cancel = (): void => undefined;
    const check = (): void => {
      const left = call.deadline - this.#clock.now();
      if (left > 0) cancel = this.#clock.after(left, check);
      else if (!signal.aborted) {
        call.controller.abort(
          new AppError('timeout', 'the tool was still running at the deadline', { retryable: true }),
        );
      }
    };
    cancel = this.#clock.after(call.deadline - this.#clock.now(), check);
    return () => cancel();
  }
}

/** What a call in work can do besides answering. */
export interface CallHandle {
  /** Aborts at the latest deadline asked for, or when the caller has given up. */
  signal: AbortSignal;
  /** Goes out with the next sign of life. */
  progress(fraction: number, text?: string): void;
}

/** Callers of one call that hear its signs of life. */
const MAX_LISTENERS = 16;

interface RunningCall {
  run: string;
  c: string;
  agent: string;
  user: string;
  /** Epoch milliseconds. */
  deadline: number;
  controller: AbortController;
  beats: Set<string>;
  progress: { fraction: number; text: string | undefined } | undefined;
  outcome: Promise<string>;
}

const NEVER = new Promise<string>(() => undefined);

function abortReason(signal: AbortSignal): AppError {
  return toAppError(signal.reason, 'aborted');
}
