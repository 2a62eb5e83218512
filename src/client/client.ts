import type { z } from 'zod';
import { type DecisionTrace, TracePage } from '../core/decision-trace.ts';
import type { ASK_VERBS } from '../core/door-wire.ts';
import { AppError } from '../core/errors.ts';
import { RunResult } from '../core/result.ts';
import { StatusEvent } from '../core/status.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Task } from '../core/task.ts';
import type { Clock } from '../ports/clock.ts';
import { Accepted, Continued } from './answers.ts';
import { ask, type ClientBus } from './ask.ts';
import { wholeTrace } from './pages.ts';
import { nodeTimers } from './timers.ts';
import { type ResultOptions, readResult } from './wait-result.ts';
import { type RunUpdate, statusIn, type WatchOptions, type WatchSource, watchRun } from './watch.ts';

/**
 * The submitter's client: hands in tasks, follows its own runs, reads their results. It needs no more rights than a
 * submitter has: `tasks.*`, `ask.<user>.*`, and to hear `evt.*.<user>.*`.
 */

export interface ClientOptions {
  bus: ClientBus;
  subjects: Subjects;
  user: string;
  /** Timers; real ones by default. */
  clock?: Pick<Clock, 'after'>;
  /** How long `submit` waits for a node's word, milliseconds; default 30,000. */
  acceptMs?: number;
}

/** How a run goes on. Two orders with one `key` are one run. */
export type ContinueOptions = Omit<z.input<(typeof ASK_VERBS)['continue']>, 'v' | 'run'>;

export interface Submitted {
  run: string;
  /** Sequence of the task in the task stream. */
  seq: number;
  /** Where the run stands: a task whose `key` was used before may have ended long ago. */
  status: StatusEvent;
}

export interface Client {
  /**
   * Stores a task and waits until a node has accepted it. Throws AppError: the one that a node refused it with
   * (`invalid_task`, `unknown_agent`, ..., with the `field`), or `not_accepted_yet` when no node said a word in time;
   * the task is stored then.
   */
  submit(task: z.input<typeof Task>, agent: string): Promise<Submitted>;
  /**
   * What happens to a run until its end: each finished step once and in order, also those from before the watching
   * began; where it stands; what it waits for; at last its result. Goes on over lost connections and dead nodes.
   * Throws AppError `unknown_run`, `no_node` (only at its start).
   */
  watch(run: string, options?: WatchOptions): AsyncIterable<RunUpdate>;
  /** Throws AppError `not_ended` (unless told to wait), `unknown_run`, `no_node`, `aborted`. */
  result(run: string, options?: ResultOptions): Promise<RunResult>;
  /** Resolves when the order is stored; throws AppError `already_ended`, `unknown_run`, `no_node`. */
  cancel(run: string, why?: string): Promise<Accepted>;
  /**
   * Lets a run that ended short of its answer go on as a new one, with the agent's limits or those given. Throws AppError
   * `not_ended`, `already_completed`, `not_allowed`, `outcome_unknown`, `invalid_request`, `unknown_run`, `no_node`.
   */
  continue(run: string, how?: ContinueOptions): Promise<Continued>;
  /** Where the run stands now. */
  status(run: string): Promise<StatusEvent>;
  /** Why the run did what it did, step by step, without secrets; also while it works. */
  trace(run: string): Promise<DecisionTrace>;
}

const ACCEPT_MS = 30_000;

export function createClient(options: ClientOptions): Client {
  const { bus, subjects, user } = options;
  const clock = options.clock ?? nodeTimers;
  const doors = <S extends z.ZodType>(verb: string, body: unknown, answer: S) =>
    ask(bus, subjects.ask(user, verb), body, answer);
  const status = (run: string) => doors('status', { run }, StatusEvent);
  const source = (run: string, options: WatchOptions = {}): WatchSource => ({
    ...options,
    bus,
    clock,
    events: subjects.anyEvent(run, user),
    status: () => status(run),
    trace: (at) => doors('trace', { run, ...at }, TracePage),
    result: () => doors('result', { run }, RunResult),
  });
  return {
    submit: (task, agent) => submit({ ...options, clock, acceptMs: options.acceptMs ?? ACCEPT_MS }, task, agent),
    status,
    watch: (run, how) => watchRun(source(run, how)),
    result: (run, { wait = false, ...how } = {}) => readResult(run, source(run, how), wait),
    cancel: (run, why = '') => doors('cancel', { run, why }, Accepted),
    continue: (run, how = {}) => doors('continue', { run, ...how }, Continued),
    trace: (run) => wholeTrace((at) => doors('trace', { run, ...at }, TracePage)),
  };
}

async function submit(options: Required<ClientOptions>, task: z.input<typeof Task>, agent: string): Promise<Submitted> {
  const { bus, subjects, user, clock, acceptMs } = options;
  const heard = new Map<number, StatusEvent>();
  let wake: () => void = () => {};
  const late = new AbortController();
  const cancelTimer = clock.after(acceptMs, () => {
    late.abort();
    wake();
  });
  // Before publishing: a node may be faster than the acknowledgement.
  const subscription = bus.subscribe(subjects.event(agent, user, '*'), ({ data }) => {
    const event = statusIn(data);
    if (event?.task_seq === undefined) return;
    heard.set(event.task_seq, event);
    wake();
  });
  try {
    await bus.flush();
    const stored = bus.publish(subjects.task(agent, user), JSON.stringify(task), { signal: late.signal });
    const { seq } = await stored.catch((thrown: unknown) => {
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
  const { code, message, retryable, field } = error ?? { code: 'invalid_task', message: `task ${run} was refused` };
  return new AppError(code, message, {
    retryable: retryable ?? false,
    ...(field === undefined ? {} : { field }),
  });
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
