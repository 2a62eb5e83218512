import { z } from 'zod';
import { ErrorInfo } from './errors.ts';
import { RunId } from './events.ts';
import { Json } from './json.ts';
import { Outcome, ReasonCode } from './reasons.ts';
import { ObservedStatus, type StepSummary } from './result.ts';

/**
 * The decision trace of a run (OBS-4), version 1: why it did what it did, step by step, derived from its journal and
 * free of secrets. One record a decision. A decision that asks for several calls at once is still one record: `action`
 * then names no tool, and `calls` has an entry for each with its own arguments and observation. What happened to the
 * run between decisions (claims by nodes, pauses, orders, limits) stands in `events`, in the same order of entries.
 */

const Timestamp = z.iso.datetime();

export const TraceCall = z.strictObject({
  c: z.string(),
  tool: z.string(),
  plan_step: z.string().optional(),
  /** Absent when the step has one call: then they are those of the action. */
  args: Json.optional(),
  /** How often it was made; 0 when a gate refused it. */
  attempts: z.int().min(0),
  observation: z.strictObject({
    /** `unknown` when nobody knows whether it took effect. */
    status: ObservedStatus,
    duration_ms: z.number(),
    /** The first characters of the result, or of the error. */
    preview: z.string().max(512),
    /** The tool was not called: the result of an equal call, fetched then. */
    cached_at: Timestamp.optional(),
  }),
  /** The run that a delegation started. */
  child_run: z.string().optional(),
  error: ErrorInfo.optional(),
});
export type TraceCall = z.infer<typeof TraceCall>;

export const TraceStep = z.strictObject({
  step: z.int().min(1),
  /** Journal entry of the decision. */
  entry: z.int().min(0),
  timestamp: Timestamp,
  agent_id: z.string(),
  session_id: z.string().nullable(),
  model: z.string(),
  /** What the model said before it acted. */
  thought: z.string().nullable(),
  action: z.strictObject({
    /** The decision's action, or `error` when the model gave none. */
    type: z.string().max(32),
    /** Tool, `agent:<name>` or `person`; null without a call and with several. */
    tool: z.string().nullable(),
    args: Json,
    /** Of the plan's step that is carried out; the thought otherwise. */
    reasoning: z.string().nullable(),
  }),
  /** All calls together: the worst status; the time from the decision to the last outcome when there are several. */
  observation: z.strictObject({ status: ObservedStatus, duration_ms: z.number() }),
  calls: z.array(TraceCall).max(64),
  /** How long the model took, milliseconds, and how often it was asked: all that counts into the cost. */
  think_ms: z.number(),
  think_attempts: z.int().min(1),
  cost: z.strictObject({
    input_tokens: z.int(),
    output_tokens: z.int(),
    /** USD. */
    estimated_cost: z.number(),
  }),
  /** `POSSIBLE_LOOP` and other codes with their figures, retries, takeovers by other nodes, unknown outcomes. */
  warnings: z.array(z.string()),
  error: ErrorInfo.nullable(),
});
export type TraceStep = z.infer<typeof TraceStep>;

export const TraceEvent = z.strictObject({
  timestamp: Timestamp,
  entry: z.int().min(0),
  /** The step that was the last to begin before it; 0 before the first. */
  after_step: z.int().min(0),
  /** Type of the journalled event: `claimed`, `parked`, `pause`, `cancel`, `limit`, ... */
  type: z.string().max(32),
  node: z.string().optional(),
  by: z.string().optional(),
  text: z.string().max(1024),
});
export type TraceEvent = z.infer<typeof TraceEvent>;

const Head = {
  v: z.literal(1),
  run: RunId,
  agent_id: z.string(),
  agent_version: z.string(),
  user: z.string(),
  session_id: z.string().nullable(),
  accepted_at: Timestamp,
};

const Totals = {
  /** Finished steps. */
  steps: z.int(),
  tool_calls: z.int(),
  input_tokens: z.int(),
  output_tokens: z.int(),
  /** USD. */
  estimated_cost: z.number(),
  think_ms: z.number(),
  tool_ms: z.number(),
  /** From acceptance to the end, or to the last entry. */
  duration_ms: z.number(),
};

const TraceOutcome = z.strictObject({
  /** State of the chart, dotted. */
  state: z.string(),
  status: z.enum(['running', 'completed', 'failed']),
  code: ReasonCode.nullable(),
  outcome: Outcome.nullable(),
  ended_at: Timestamp.nullable(),
  error: ErrorInfo.nullable(),
});

/** One page of a trace, as nodes answer it; `next` begins the page after it. */
export const TracePage = z.object({
  head: z.object({ ...Head, totals: z.object(Totals), outcome: TraceOutcome }),
  steps: z.array(TraceStep),
  events: z.array(TraceEvent),
  next: z.strictObject({ from: z.int(), step: z.int() }).nullable(),
});
export type TracePage = z.infer<typeof TracePage>;

export const DecisionTrace = z.strictObject({
  ...Head,
  steps: z.array(TraceStep),
  events: z.array(TraceEvent),
  totals: z.strictObject({
    ...Totals,
    /** Calls of tools and models that were made again. */
    retries: z.int(),
    /** How often a node took the run: 1 when nothing went wrong and it never waited long. */
    claims: z.int(),
  }),
  outcome: TraceOutcome,
});
export type DecisionTrace = z.infer<typeof DecisionTrace>;

/** The whole trace from all its pages, in order. Throws a RangeError without any. */
export function joinTrace(pages: TracePage[]): DecisionTrace {
  const last = pages.at(-1);
  if (last === undefined) throw new RangeError('a trace has at least one page');
  const { totals, outcome, ...head } = last.head;
  const steps = pages.flatMap((page) => page.steps);
  const events = pages.flatMap((page) => page.events);
  const attempts = steps.flatMap((step) => [step.think_attempts, ...step.calls.map((call) => call.attempts)]);
  const retries = attempts.reduce((sum, made) => sum + Math.max(0, made - 1), 0);
  const claims = events.filter((event) => event.type === 'claimed').length;
  return { ...head, steps, events, totals: { ...totals, retries, claims }, outcome };
}

const SUMMARY_TEXT = 200;

/** A step of the trace as results and status events show it. */
export function summaryOf(step: TraceStep): StepSummary {
  const short = (text: string) => (text.length <= SUMMARY_TEXT ? text : `${text.slice(0, SUMMARY_TEXT - 1)}…`);
  return {
    step: step.step,
    entry: step.entry,
    at: Date.parse(step.timestamp),
    action: step.action.type,
    ...(step.thought === null ? {} : { reasoning: short(step.thought) }),
    calls: step.calls.map(({ c, tool, observation }) => ({
      c,
      tool,
      status: observation.status,
      ms: observation.duration_ms,
      preview: short(observation.preview),
    })),
    ...(step.action.type === 'error' && step.error !== null ? { error: step.error } : {}),
  };
}
