import type { RunEvent, RunEventOf } from '../core/events.ts';
import { parseCallId } from '../core/ids.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import { redactText } from '../core/redact.ts';
import type { StepRef } from '../core/step-ref.ts';
import type { Observation } from '../ports/model.ts';
import type { Attributes, FinishedSpan } from '../ports/telemetry.ts';
import { callEvents, runEvents } from './span-events.ts';
import type { SpanIds } from './span-ids.ts';
import { type EntryReader, readStep } from './steps.ts';

/**
 * The spans of one step, made from the journal entries between its decision and its last outcome: whoever folds the
 * last of them can tell the whole step, whichever nodes made it.
 */

/** Entries of one step that are looked at; a step that was paused and resumed more often tells less of it. */
const MOST_ENTRIES = 1_000;

/** A step that is over, with what is needed to tell of it. */
export interface TracedStep {
  ref: StepRef;
  /** 1 for the first. */
  step: number;
  /** Entry of the plan that it carries out; null without one. */
  plan: number | null;
}

/** One step as figures and spans show it. Moments are epoch milliseconds. */
export interface StepFacts extends TracedStep {
  start: number;
  end: number;
  /** The model calls of the step, the last one first: the ones before it failed and were made again. */
  thoughts: [Thought, ...Thought[]];
  calls: CallFacts[];
  entries: JournalEntry[];
  status: Observation['status'];
  /** Code of the first failure. */
  fault: { code: string; message: string } | null;
}

/** A model call as its entry tells it. */
export interface Thought {
  entry: number;
  at: number;
  event: RunEventOf<'decided'> | RunEventOf<'think_failed'> | RunEventOf<'think_retry' | 'using_fallback'>;
}

export interface CallFacts {
  c: string;
  tool: string;
  status: Observation['status'];
  start: number;
  end: number;
  error: { code: string; message: string } | null;
}

/** @param openUntil when the run ended before the step was over */
export async function stepFacts(traced: TracedStep, read: EntryReader, openUntil?: number): Promise<StepFacts | null> {
  const { ref } = traced;
  const whole = await readStep(ref, read);
  const last = Math.min(Math.max(ref.entry, ...ref.outcomes), ref.entry + MOST_ENTRIES);
  const numbers = Array.from({ length: last - ref.entry + 1 }, (_, i) => ref.entry + i);
  const entries = await Promise.all(numbers.map(read));
  const first = entries[0];
  const event = first?.events.find((one) => one.type === 'decided' || one.type === 'think_failed');
  if (whole === null || first === undefined || event === undefined) return null;
  const retried = await retriedBefore(ref.entry, read);
  const began = retried.at(-1) ?? { at: first.at, event };
  const end = openUntil ?? Math.max(...entries.map((entry) => entry.at));
  const calls = whole.observations.map((seen) => callFacts(seen, entries, end));
  const failed = calls.find((call) => call.error !== null);
  return {
    ...traced,
    start: began.at - began.event.ms,
    end,
    thoughts: [{ entry: first.n, at: first.at, event }, ...retried],
    calls,
    entries,
    status: event.type === 'think_failed' ? 'error' : (calls.find((call) => call.status !== 'ok')?.status ?? 'ok'),
    fault: event.type === 'think_failed' ? event.error : (failed?.error ?? null),
  };
}

/** What can stand between a model call that failed and the next one of the same step. */
const BETWEEN_TRIES: ReadonlySet<RunEvent['type']> = new Set([
  'timer',
  'claimed',
  'parked',
  'handed_over',
  'pause',
  'drain',
  'resume',
]);

/** The model calls that were made again before the one in `entry`, newest first. */
async function retriedBefore(entry: number, read: EntryReader): Promise<Thought[]> {
  const found: Thought[] = [];
  for (let n = entry - 1; n > 0 && entry - n <= MOST_ENTRIES; n--) {
    const { at, events } = await read(n);
    const event = events.find(
      (one): one is RunEventOf<'think_retry' | 'using_fallback'> =>
        one.type === 'think_retry' || (one.type === 'using_fallback' && one.kind === 'model'),
    );
    if (event !== undefined) found.push({ entry: n, at, event });
    else if (!events.every((one) => BETWEEN_TRIES.has(one.type))) break;
  }
  return found;
}

function callFacts(seen: Observation, entries: JournalEntry[], end: number): CallFacts {
  const { c, status, error = null } = seen;
  // Models invent names, and anything may stand in them.
  const tool = redactText(seen.tool);
  const decided = entries[0]?.at ?? end;
  if (status === 'refused' && !entries.some((entry, i) => i > 0 && entry.events.some((event) => isOf(c, event)))) {
    return { c, tool, status, error, start: decided, end: decided };
  }
  let start: number | null = null;
  let over = decided;
  for (const { at, events } of entries) {
    for (const event of events) {
      if (!isOf(c, event)) continue;
      // The first attempt began so long before it was told of.
      if ('ms' in event) start ??= at - event.ms;
      if (event.type === 'call_started' || event.type === 'delegated') start ??= at;
      over = at;
    }
  }
  return { c, tool, status, error, start: Math.max(decided, start ?? decided), end: status === 'unknown' ? end : over };
}

function isOf(c: string, event: RunEvent): boolean {
  return 'c' in event && event.c === c;
}

export function stepSpans(facts: StepFacts, ids: SpanIds, accepted: RunEventOf<'accepted'>): FinishedSpan[] {
  const { thoughts, calls, entries, ref, step, plan } = facts;
  const [{ event: thought }] = thoughts;
  const id = ids.step(ref.entry);
  const tools = [...new Set(calls.map((call) => call.tool))].join(',');
  const base = { 'agent.execution_id': accepted.run, 'agent.step': step };
  const over: FinishedSpan = {
    ...span('agent.step', ids.trace, id, plan === null ? ids.root : ids.plan(plan), facts.start, facts.end),
    attributes: {
      ...base,
      'action.type': thought.type === 'decided' ? thought.decision.action : 'error',
      ...(tools === '' ? {} : { 'action.tool': tools.slice(0, 256) }),
      'action.duration_ms': facts.end - facts.start,
      'observation.status': facts.status,
    },
    events: entries.slice(1).flatMap((entry) => runEvents(entry)),
    ...failure(facts.fault),
  };
  return [
    over,
    ...thoughts.map((one) => modelSpan(one, id, ids, accepted, base)),
    ...calls.map((call) => callSpan(call, { step: id, entries }, ids, accepted, base)),
  ];
}

function modelSpan(
  { entry, at, event }: Thought,
  step: string,
  ids: SpanIds,
  accepted: RunEventOf<'accepted'>,
  base: Attributes,
): FinishedSpan {
  const { usage, model } = event;
  const asked = event.type === 'decided' ? accepted.agent.model : event.model;
  return {
    ...span(`chat ${asked}`, ids.trace, ids.model(entry), step, at - event.ms, at),
    kind: 'client',
    attributes: {
      ...base,
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': providerOf(asked),
      'gen_ai.request.model': asked,
      'gen_ai.response.model': model,
      'gen_ai.usage.input_tokens': usage.input_tokens,
      'gen_ai.usage.output_tokens': usage.output_tokens,
      ...(usage.cached_input_tokens === undefined
        ? {}
        : { 'gen_ai.usage.cache_read.input_tokens': usage.cached_input_tokens }),
      'gen_ai.agent.name': accepted.agent.name,
      'agent.cost_usd': usage.cost_usd,
    },
    ...('error' in event ? failure(event.error) : {}),
  };
}

function callSpan(
  call: CallFacts,
  { step, entries }: { step: string; entries: JournalEntry[] },
  ids: SpanIds,
  accepted: RunEventOf<'accepted'>,
  base: Attributes,
): FinishedSpan {
  const { name, operation } = kindOf(call, accepted);
  const waited = entries[0]?.events.find((event) => event.type === 'decided')?.calls?.[parseCallId(call.c).index];
  const waits =
    waited?.approval_until === undefined
      ? []
      : [
          {
            name: 'approval_asked',
            at: entries[0]?.at ?? call.start,
            attributes: { 'agent.until': waited.approval_until },
          },
        ];
  return {
    ...span(name, ids.trace, ids.call(call.c), step, call.start, call.end),
    kind: 'client',
    attributes: {
      ...base,
      ...operation,
      'gen_ai.tool.call.id': call.c,
      'action.tool': call.tool,
      'action.duration_ms': call.end - call.start,
      'observation.status': call.status,
    },
    events: [...waits, ...callEvents(call.c, entries)],
    ...failure(call.error),
  };
}

function kindOf({ tool }: CallFacts, accepted: RunEventOf<'accepted'>): { name: string; operation: Attributes } {
  if (tool.startsWith('agent:')) {
    const name = tool.slice('agent:'.length);
    return {
      name: `invoke_agent ${name}`,
      operation: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': name },
    };
  }
  const operation = {
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': tool,
    'gen_ai.tool.type': 'function',
    'gen_ai.agent.name': accepted.agent.name,
  };
  return { name: `execute_tool ${tool}`, operation };
}

/** The provider stands before the slash; an agent without one decides by itself. */
function providerOf(model: string): string {
  return model.includes('/') ? model.slice(0, model.indexOf('/')) : 'proctor';
}

/** The bare span, in time: never shorter than nothing. */
export function span(
  name: string,
  trace: string,
  id: string,
  parent: string | null,
  start: number,
  end: number,
): FinishedSpan {
  return {
    name,
    kind: 'internal',
    trace,
    span: id,
    parent,
    start,
    end: Math.max(start, end),
    attributes: {},
    events: [],
  };
}

export function failure(error: { code: string; message: string } | null): Pick<FinishedSpan, 'error'> {
  return error === null ? {} : { error: { type: error.code, message: redactText(error.message).slice(0, 512) } };
}
