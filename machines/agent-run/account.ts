import { degradedBy, type FallbackLink } from '../../src/core/fallback.ts';
import type { RunCall, RunContext } from '../../src/core/run-state.ts';
import { callsAre, remember } from './calls.ts';
import { type ChartEventOf, plannedCalls } from './context.ts';
import { freshTeam } from './team.ts';

/** Bookkeeping of model calls: what they cost counts whether they helped or not (RUN-3). */

const MAX_TOOL_NAMES = 256;
const MAX_LINKS = 16;
const NO_CALLS: RunCall[] = [];

function usage(
  context: RunContext,
  event: ChartEventOf<'decided' | 'think_failed' | 'think_retry' | 'using_fallback'>,
): Partial<RunContext> {
  return {
    thinks: context.thinks + 1,
    think_retries: 0,
    input_tokens: context.input_tokens + event.usage.input_tokens,
    output_tokens: context.output_tokens + event.usage.output_tokens,
    cost_usd: context.cost_usd + event.usage.cost_usd,
    think_ms: context.think_ms + event.ms,
  };
}

/** A decision that asks for calls: they become the step in progress. */
export function beginStep(context: RunContext, event: ChartEventOf<'decided'>): Partial<RunContext> {
  const calls = plannedCalls(event);
  const made = event.decision.action === 'tool_call' ? calls.filter((call) => call.status !== 'refused') : NO_CALLS;
  const update = usage(context, event);
  update.decision = event.n;
  update.calls = calls;
  if (made.length > 0) {
    update.tool_calls = context.tool_calls + made.length;
    update.tools_used = withNames(context.tools_used, made);
  }
  if (event.decision.action === 'delegate') {
    update.children = context.children + calls.filter((call) => call.status !== 'refused').length;
    Object.assign(update, freshTeam(context));
  }
  return update;
}

/** Mostly the tools are known already, and the list stays as it is. */
function withNames(known: string[], calls: RunCall[]): string[] {
  const fresh = calls.filter((call) => !known.includes(call.tool)).map((call) => call.tool);
  return fresh.length === 0 ? known : [...new Set([...known, ...fresh])].slice(0, MAX_TOOL_NAMES);
}

/** A decision without calls is a step of its own. */
export function thoughtStep(context: RunContext, event: ChartEventOf<'decided'>): Partial<RunContext> {
  const plan = event.decision.action === 'plan' ? event.decision.plan : null;
  return {
    ...usage(context, event),
    ...remember(context, event.n, []),
    steps: context.steps + 1,
    ...(plan === null ? {} : { plan: { entry: event.n, size: plan.steps.length, done: {} } }),
  };
}

/** The final answer; still a draft when the agent reviews its answers. */
export function answerStep(context: RunContext, event: ChartEventOf<'decided'>): Partial<RunContext> {
  return {
    ...thoughtStep(context, event),
    answer: event.n,
    degraded: context.failing > 0 ? 'answered although the last step failed' : degradedBy(context.agent, context),
  };
}

export function failedThink(context: RunContext, event: ChartEventOf<'think_failed'>): Partial<RunContext> {
  return {
    ...usage(context, event),
    ...remember(context, event.n, []),
    steps: context.steps + 1,
    failing: context.failing + 1,
  };
}

/** On with less: the same question to another model, a last answer, the answer of before, a person. */
export function fellBack(context: RunContext, event: ChartEventOf<'using_fallback'>): Partial<RunContext> {
  const { kind, error, link } = event;
  const { to } = link;
  const fallback: FallbackLink[] = [
    ...(context.fallback ?? []),
    {
      kind,
      to,
      error,
      ...('model' in link ? { model: link.model } : {}),
      ...('queue' in link ? { queue: link.queue } : {}),
    },
  ].slice(-MAX_LINKS);
  // What ends for its calls or its time asked no model for it.
  const asked = kind === 'tool' || kind === 'time' ? {} : usage(context, event);
  const update: Partial<RunContext> = { ...asked, fallback };
  if (to === 'plain') Object.assign(update, { planning: false, review: false });
  if (to !== 'cached') return update;
  return { ...update, answer: event.n, degraded: degradedBy(context.agent, { fallback }) };
}

/** The same model call once more, later: what it used counts, but it is no step yet (TOOL-6). */
export function retriedThink(context: RunContext, event: ChartEventOf<'think_retry'>): Partial<RunContext> {
  return { ...usage(context, event), think_retries: context.think_retries + 1, not_before: event.not_before };
}

/** The run's clock stands still while it waits for a person or an operator (RUN-6). */
export function stopClock(context: RunContext, at: number): Partial<RunContext> {
  return context.clock_stopped_at === null ? { clock_stopped_at: at } : {};
}

export function startClock(context: RunContext, at: number): Partial<RunContext> {
  if (context.clock_stopped_at === null) return {};
  const stood = Math.max(0, at - context.clock_stopped_at);
  return { clock_stopped_at: null, deadline_at: context.deadline_at === null ? null : context.deadline_at + stood };
}

/** Percent from the plan (RUN-9): the steps that are done, half a step for what is under way; null without a plan. */
export function progressOf(context: RunContext): number | null {
  if (context.end?.code === 'completed') return 100;
  if (context.plan === null) return null;
  const under = context.calls.length > 0 && callsAre(context) !== 'done' ? 0.5 : 0;
  const done = Math.min(Object.keys(context.plan.done).length + under, context.plan.size);
  return Math.min(99, Math.floor((done / context.plan.size) * 100));
}
