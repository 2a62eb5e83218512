import { z } from 'zod';
import { ErrorInfo } from './errors.ts';
import { RunId } from './events.ts';
import { FallbackLink } from './fallback.ts';
import { Json } from './json.ts';
import { Outcome, ReasonCode } from './reasons.ts';

/** What came of a call; `open` while nothing has. */
export const ObservedStatus = z.enum(['ok', 'error', 'refused', 'unknown', 'unavailable', 'open']);
export type ObservedStatus = z.infer<typeof ObservedStatus>;

/** One finished step as results, status events and traces show it; texts are previews. */
export const StepSummary = z.strictObject({
  step: z.int(),
  entry: z.int(),
  at: z.int(),
  action: z.string().max(32),
  reasoning: z.string().max(512).optional(),
  calls: z
    .array(
      z.strictObject({
        c: z.string(),
        tool: z.string(),
        status: ObservedStatus,
        ms: z.number(),
        preview: z.string().max(512),
      }),
    )
    .max(64),
  error: ErrorInfo.optional(),
});
export type StepSummary = z.infer<typeof StepSummary>;

/** How a run ended (RUN-8), written once to `res.<agent>.<user>.<run>`. */
export const RunResult = z.strictObject({
  v: z.literal(1),
  run: RunId,
  agent: z.string(),
  agent_version: z.string(),
  user: z.string(),
  session_id: z.string().optional(),
  /** The run that this one continues. */
  continues: RunId.optional(),
  status: z.enum(['completed', 'failed']),
  outcome: Outcome,
  /** The answer, or null; after a failure what was found so far stands in `partial`. */
  answer: Json,
  partial: Json,
  error: z.strictObject({ reason: z.string(), code: ReasonCode }).nullable(),
  code: ReasonCode,
  degraded: z.string().nullable(),
  /** What a user is shown who gets no answer (DEG-4). */
  notice: z.string().max(1024).optional(),
  /** What the run fell back on, in order, with the error of each link. */
  fallbacks: z.array(FallbackLink).max(16).optional(),
  steps: z.int(),
  step_log: z.array(StepSummary),
  /** Steps that happened but stand only in the trace, because the result would grow too large. */
  steps_omitted: z.int(),
  tools_used: z.array(z.string()),
  tool_calls: z.int(),
  /** Calls that were sent and whose outcome nobody knows. */
  unknown_outcomes: z.array(z.string()),
  input_tokens: z.int(),
  output_tokens: z.int(),
  cost_usd: z.number(),
  started_at: z.int(),
  ended_at: z.int(),
  duration_ms: z.number(),
});
export type RunResult = z.infer<typeof RunResult>;
