import { AppError, fromInfo } from '../core/errors.ts';
import type { StatusEvent } from '../core/status.ts';
import { readStatus } from '../core/status.ts';
import type { Clock } from '../ports/clock.ts';
import type { ClientBus } from './ask.ts';

/** Stores a task and waits for the word of the node that takes it. */

export interface Submitted {
  run: string;
  /** Sequence of the task in the task stream. */
  seq: number;
  /** Where the run stands: a task whose `key` was used before may have ended long ago. */
  status: StatusEvent;
}

/** How long a node may take to take a task, milliseconds. */
export const ACCEPT_MS = 30_000;

export interface AcceptanceOptions {
  bus: ClientBus;
  clock: Pick<Clock, 'after'>;
  acceptMs: number;
  /** Subject on which the node's word comes, wildcards allowed. */
  events: string;
}

/** @param store stores the task; resolves with its sequence, gives up when the signal aborts */
export async function accepted(
  { bus, clock, acceptMs, events }: AcceptanceOptions,
  store: (signal: AbortSignal) => Promise<number>,
): Promise<Submitted> {
  const heard = new Map<number, StatusEvent>();
  let wake: () => void = () => {};
  const late = new AbortController();
  const cancelTimer = clock.after(acceptMs, () => {
    late.abort();
    wake();
  });
  // Before publishing: a node may be faster than the acknowledgement.
  const subscription = bus.subscribe(events, ({ data }) => {
    const event = readStatus(data);
    if (event?.task_seq === undefined) return;
    heard.set(event.task_seq, event);
    wake();
  });
  try {
    await bus.flush();
    const seq = await store(late.signal).catch((thrown: unknown) => {
      throw late.signal.aborted ? notStored(acceptMs, thrown) : thrown;
    });
    while (!heard.has(seq) && !late.signal.aborted) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const status = heard.get(seq);
    if (status === undefined) throw notAcceptedYet(seq, acceptMs);
    if (status.state === 'rejected') throw refused(status);
    return { run: status.run, seq, status };
  } finally {
    cancelTimer();
    await subscription.stop();
  }
}

function refused({ error, run }: StatusEvent): AppError {
  return fromInfo(error ?? { code: 'invalid_task', message: `task ${run} was refused`, retryable: false });
}

function notAcceptedYet(seq: number, ms: number): AppError {
  const text =
    `the task is stored (number ${seq}), but no node took it within ${ms / 1_000} s. It starts as soon as a node runs: ` +
    'do not submit it again; list the runs (proctor ps) to find it';
  return new AppError('not_accepted_yet', text, { retryable: false });
}

function notStored(ms: number, cause: unknown): AppError {
  const text =
    `no stream confirmed the task within ${ms / 1_000} s: is a node running? It may have been stored all the same; ` +
    'with a `key` in the task it can be submitted again safely';
  return new AppError('not_stored', text, { retryable: true, cause });
}
