import type { RunCall, RunContext } from '../../src/core/run-state.ts';
import { WINDOW_STEPS } from '../../src/core/run-state.ts';
import { MAX_OPEN_CALLS } from '../../src/core/step-ref.ts';
import type { ChartEventOf, Journalled } from './context.ts';

/**
 * How the calls of one decision move the run. The chart asks `callsAre` after every event: which of the places where a
 * step can stand is right for these calls. One answer at a time, so the chart has one arrow for each.
 */

export type CallsAre =
  | 'calling'
  /** At least one of the open calls is being made again. */
  | 'retrying'
  | 'delegating'
  | 'approval'
  | 'person'
  | 'child'
  /** All calls are settled: the step ends. */
  | 'spent'
  /** So as `spent`, and the last words before it were that a person takes over. */
  | 'handed_over'
  | 'held_failed'
  | 'held'
  | 'failed'
  | 'done';

/** The chart asks once for each arrow; a context never changes, so the last answer is kept. */
let last: { context: RunContext; are: CallsAre } | null = null;

export function callsAre(context: RunContext): CallsAre {
  if (last?.context !== context) last = { context, are: judge(context) };
  return last.are;
}

function judge(context: RunContext): CallsAre {
  const has = (...wanted: RunCall['status'][]) => context.calls.some((call) => wanted.includes(call.status));
  if (has('ready', 'started')) return context.calls.some(isRetried) ? 'retrying' : 'calling';
  if (has('child_ready') || context.calls.some(hasToBeTold)) return 'delegating';
  if (has('approval')) return 'approval';
  if (has('person')) return 'person';
  if (has('child', 'stopping', 'stopped')) return 'child';
  const failed = stepFailed(context);
  if (failed && context.failing + 1 >= context.limits.failing_steps)
    return isHandedOver(context) ? 'handed_over' : 'spent';
  if (context.hold !== null) return failed ? 'held_failed' : 'held';
  return failed ? 'failed' : 'done';
}

function isHandedOver({ fallback }: RunContext): boolean {
  const link = fallback?.at(-1);
  return link?.kind === 'tool' && link.to === 'person';
}

/** A member of a team that has to go and does not know. */
export function hasToBeTold(call: RunCall): boolean {
  return call.status === 'stopping' && call.told === undefined;
}

function isRetried(call: RunCall): boolean {
  return call.attempt !== undefined && (call.status === 'ready' || call.status === 'started');
}

/** Whether the success of call `c` ends its step well: the arrow that nearly every step takes. */
export function completesStep(context: RunContext, c: string): boolean {
  if (context.hold !== null) return false;
  for (const call of context.calls) {
    const right = call.c === c ? call.status === 'ready' || call.status === 'started' : call.status === 'done';
    if (!right) return false;
  }
  return context.calls.length > 0;
}

/** A step fails when one of its calls did (RUN-7). */
export function stepFailed(context: RunContext): boolean {
  return context.calls.some((call) => call.status === 'failed' || call.status === 'refused');
}

/** The account of a step whose calls are all settled: counted, remembered in the window, its backoff set. */
export function endStep(context: RunContext, at: number, calls = context.calls): Partial<RunContext> {
  const failing = stepFailed(context) ? context.failing + 1 : 0;
  return {
    window: remember(context, context.decision ?? 0, outcomesOf(calls), calls).window,
    steps: context.steps + 1,
    failing,
    not_before: failing === 0 ? context.not_before : at + backoff(context, failing),
    think_phase: 'deciding',
    calls: [],
    decision: null,
  };
}

/**
 * The success that ends its step well, in one go: nearly every step takes this arrow, so it is written out. The other
 * calls of the step are done (`completesStep`).
 */
export function finishStep(context: RunContext, event: ChartEventOf<'call_done'>): Partial<RunContext> {
  const outcomes: number[] = [];
  let planStep: string | undefined;
  let open = context.open;
  let taint = context.taint;
  for (const call of context.calls) {
    if (call.c === event.c) {
      if (call.untrusted === true) taint ??= { tool: call.tool, c: call.c };
      planStep = call.plan_step;
      open = withoutOpen(context, call);
    }
    if (call.edited !== undefined && !outcomes.includes(call.edited)) outcomes.push(call.edited);
    const outcome = call.c === event.c ? event.n : (call.outcome ?? event.n);
    if (!outcomes.includes(outcome)) outcomes.push(outcome);
  }
  const update: Partial<RunContext> = {
    tool_ms: context.tool_ms + event.ms,
    last_result: { entry: event.n, c: event.c },
    window: remember(context, context.decision ?? 0, outcomes, context.calls).window,
    steps: context.steps + 1,
    failing: 0,
    calls: [],
    decision: null,
  };
  if (open !== context.open) update.open = open;
  if (taint !== undefined && taint !== context.taint) update.taint = taint;
  const { plan } = context;
  if (plan !== null && planStep !== undefined) {
    update.plan = { ...plan, done: { ...plan.done, [planStep]: [event.n, event.c] } };
  }
  return update;
}

/** The n-th failing step in a row waits `2^n` times the base (RUN-7); doubling stops at 2^20. */
export function backoff(context: RunContext, failing: number): number {
  return context.backoff_ms * 2 ** Math.min(failing, 20);
}

export function remember(
  context: RunContext,
  entry: number,
  outcomes: number[],
  calls: readonly RunCall[] = [],
): Pick<RunContext, 'window'> {
  const from = context.window.length < WINDOW_STEPS ? 0 : 1;
  const perishable = calls.some((call) => call.perishable === true);
  const step = perishable ? { entry, outcomes, perishable: true as const } : { entry, outcomes };
  return { window: [...context.window.slice(from), step] };
}

function outcomesOf(calls: RunCall[]): number[] {
  const entries: number[] = [];
  for (const { edited, outcome } of calls) {
    for (const entry of [edited, outcome]) if (entry !== undefined && !entries.includes(entry)) entries.push(entry);
  }
  return entries;
}

/** Replaces the call `c` if it stands in one of the given states; the context otherwise stays as it is. */
export function withCall(
  context: RunContext,
  c: string,
  from: RunCall['status'][],
  change: (call: RunCall) => Partial<RunCall>,
): Partial<RunContext> {
  if (!isCall(context, c, from)) return {};
  return { calls: context.calls.map((call) => (call.c === c ? { ...call, ...change(call) } : call)) };
}

export function isCall(context: RunContext, c: string, from: RunCall['status'][]): boolean {
  return context.calls.some((call) => call.c === c && from.includes(call.status));
}

/** A result arrived: the call is done, its tool counts as used, its plan step as carried out. */
export function callSucceeded(context: RunContext, event: Journalled<{ c: string }>, ms: number): Partial<RunContext> {
  const call = context.calls.find((one) => one.c === event.c);
  if (call === undefined) return {};
  const { plan } = context;
  return {
    ...withCall(context, event.c, [call.status], () => ({ status: 'done', outcome: event.n })),
    tool_ms: context.tool_ms + ms,
    last_result: { entry: event.n, c: event.c },
    open: withoutOpen(context, call),
    ...taintedBy(context, call),
    ...(plan === null || call.plan_step === undefined
      ? {}
      : { plan: { ...plan, done: { ...plan.done, [call.plan_step]: [event.n, event.c] } } }),
  };
}

/** The first words from outside are remembered for good. */
function taintedBy(context: RunContext, call: RunCall): Pick<RunContext, 'taint'> {
  return call.untrusted === true && context.taint === undefined ? { taint: { tool: call.tool, c: call.c } } : {};
}

/** The same over all attempts of one call, and of those that ask for the same after it. */
export function idempotencyKey(run: string, call: Pick<RunCall, 'c' | 'key'>): string {
  return call.key ?? `${run}:${call.c}`;
}

/** It is known what became of the call. */
function withoutOpen(context: RunContext, call: RunCall): RunContext['open'] {
  if (context.open.length === 0) return context.open;
  const key = idempotencyKey(context.run, call);
  return context.open.filter((one) => one.key !== key);
}

/** The call was given up; what it may have done is not forgotten. */
function withOpen(context: RunContext, call: RunCall): RunContext['open'] {
  const key = idempotencyKey(context.run, call);
  const edited = call.edited === undefined ? {} : { edited: call.edited };
  return [...withoutOpen(context, call), { c: call.c, tool: call.tool, key, ...edited }].slice(-MAX_OPEN_CALLS);
}

/** The call is made again later; one that was started is journalled as started anew. */
export function callRetried(context: RunContext, event: ChartEventOf<'call_retry'>): Partial<RunContext> {
  const { c, ms, not_before, class: cls, effect_open } = event;
  const calls = context.calls.map((call): RunCall => {
    if (call.c !== c) return call;
    const { started: _nothingWasDone, ...rest } = call;
    const tried = { ...call.tried, [cls]: (call.tried?.[cls] ?? 0) + 1 };
    const again = {
      ...rest,
      status: 'ready' as const,
      attempt: (call.attempt ?? 0) + 1,
      tried,
      retry: cls,
      not_before,
    };
    return effect_open === undefined ? again : { ...again, effect_open };
  });
  return { calls, tool_ms: context.tool_ms + ms };
}

export function callFailed(
  context: RunContext,
  event: Journalled<{ c: string; effect_open?: true | undefined }>,
  ms: number,
): Partial<RunContext> {
  const call = context.calls.find((one) => one.c === event.c);
  const open = call?.idempotent === true && (event.effect_open ?? call.effect_open) === true;
  return {
    ...(open ? { open: withOpen(context, call) } : {}),
    // Errors are words from outside as well; one that nobody approved was never made.
    ...(call === undefined || call.status === 'approval' ? {} : taintedBy(context, call)),
    ...withCall(
      context,
      event.c,
      ['ready', 'started', 'person', 'approval', 'child', 'child_ready', 'stopping'],
      () => ({
        status: 'failed',
        outcome: event.n,
      }),
    ),
    tool_ms: context.tool_ms + ms,
  };
}

/** What a person said of a call that waited for one. */
export function resolveCall(context: RunContext, event: ChartEventOf<'resolved'>): Partial<RunContext> {
  const unknown = context.unknown.filter((c) => c !== event.c);
  if (event.verdict === 'done') return { ...callSucceeded(context, event, 0), unknown };
  if (event.verdict === 'fail') return { ...callFailed(context, event, 0), unknown };
  return {
    unknown,
    calls: context.calls.map((call) => {
      if (call.c !== event.c) return call;
      const { started: _forgotten, tried: _over, retry: _before, not_before: _past, ...rest } = call;
      // An idempotent call comes here when its own key was refused: only another one can do what the person wants.
      const key = call.idempotent ? { key: `${context.run}:${call.c}:${event.n}` } : {};
      return { ...rest, ...key, status: 'ready' };
    }),
  };
}
