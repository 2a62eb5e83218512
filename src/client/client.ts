import type { z } from 'zod';
import { type DecisionTrace, TracePage } from '../core/decision-trace.ts';
import type { ASK_VERBS } from '../core/door-wire.ts';
import type { PersonAnswer } from '../core/human-wire.ts';
import type { Json } from '../core/json.ts';
import { RunResult } from '../core/result.ts';
import { StatusEvent } from '../core/status.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Task } from '../core/task.ts';
import { Why } from '../core/why.ts';
import type { Clock } from '../ports/clock.ts';
import { ACCEPT_MS, accepted, type Submitted } from './acceptance.ts';
import { Accepted, Continued, PersonAnswered, StoredPart } from './answers.ts';
import { ask, type ClientBus } from './ask.ts';
import { readCallResult } from './call-result.ts';
import { wholeTrace } from './pages.ts';
import { nodeTimers } from './timers.ts';
import { traceHeaders } from './trace-context.ts';
import { type ResultOptions, readResult } from './wait-result.ts';
import { type RunUpdate, type WatchOptions, type WatchSource, watchRun } from './watch.ts';

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

export interface Client {
  /**
   * Stores a task and waits until a node has accepted it. Throws AppError: the one that a node refused it with
   * (`invalid_task`, `unknown_agent`, ..., with the `field`), or `not_accepted_yet` when no node said a word in time;
   * the task is stored then. The run joins the OpenTelemetry trace that is active at the call.
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
  /**
   * All that a call brought, up to 32 MB: journals, traces and answers hold no more of a large result than its beginning.
   * Throws AppError `no_result` (not ended, never made), `call_failed`, `unknown_run`, `no_node`.
   */
  callResult(run: string, call: string): Promise<Json>;
  /** Resolves when the order is stored; throws AppError `already_ended`, `unknown_run`, `no_node`. */
  cancel(run: string, why?: string): Promise<Accepted>;
  /**
   * Lets a run that ended short of its answer go on as a new one, with the agent's limits or those given. Throws AppError
   * `not_ended`, `already_completed`, `not_allowed`, `outcome_unknown`, `invalid_request`, `unknown_run`, `no_node`.
   */
  continue(run: string, how?: ContinueOptions): Promise<Continued>;
  /**
   * What a person answered in the place of a run that ended `queued_for_human`; null while nobody has. Throws AppError
   * `not_queued` for a run that ended otherwise, `unknown_run`, `no_node`.
   */
  personAnswer(run: string): Promise<PersonAnswer | null>;
  /** What the run waits for, since when, until when, and who can unblock it. */
  why(run: string): Promise<Why>;
  /** Where the run stands now. */
  status(run: string): Promise<StatusEvent>;
  /** Why the run did what it did, step by step, without secrets; also while it works. */
  trace(run: string): Promise<DecisionTrace>;
}

export function createClient(options: ClientOptions): Client {
  const { bus, subjects, user } = options;
  const clock = options.clock ?? nodeTimers;
  const doors = <S extends z.ZodType>(verb: string, body: unknown, answer: S) =>
    ask(bus, subjects.ask(user, verb), body, answer);
  const waiting = { bus, clock, acceptMs: options.acceptMs ?? ACCEPT_MS };
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
    submit: (task, agent) => {
      const headers = traceHeaders();
      return accepted({ ...waiting, events: subjects.event(agent, user, '*') }, async (signal) => {
        const { seq } = await bus.publish(subjects.task(agent, user), JSON.stringify(task), { signal, headers });
        return seq;
      });
    },
    status,
    watch: (run, how) => watchRun(source(run, how)),
    result: (run, { wait = false, ...how } = {}) => readResult(run, source(run, how), wait),
    callResult: (run, c) => readCallResult((part) => doors('blob', { run, c, part }, StoredPart)),
    cancel: (run, why = '') => doors('cancel', { run, why }, Accepted),
    personAnswer: async (run) => (await doors('person_answer', { run }, PersonAnswered)).answer,
    why: (run) => doors('why', { run }, Why),
    continue: (run, how = {}) => doors('continue', { run, ...how }, Continued),
    trace: (run) => wholeTrace((at) => doors('trace', { run, ...at }, TracePage)),
  };
}
