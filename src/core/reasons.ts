import { z } from 'zod';

/** Why a run that completed did so. `queued_for_human` is an end of the agent, not yet of the work (APPR-6). */
export const COMPLETION_CODES = ['completed', 'queued_for_human'] as const;

/** Why a run failed (RUN-8). */
export const FAILURE_CODES = [
  'max_steps',
  'timeout',
  'max_retries',
  'budget_exceeded',
  'token_limit',
  'tool_call_limit',
  'loop_detected',
  'killed',
  'cancelled',
  'approval_denied',
  'approval_timeout',
  'no_model',
  'crash_limit',
  'invalid_task',
  'outcome_unknown',
  'error',
] as const;

export const FailureCode = z.enum(FAILURE_CODES);
export type FailureCode = z.infer<typeof FailureCode>;

export const ReasonCode = z.enum([...COMPLETION_CODES, ...FAILURE_CODES]);
export type ReasonCode = z.infer<typeof ReasonCode>;

export const Outcome = z.enum(['success', 'failure', 'timeout', 'cancelled']);
export type Outcome = z.infer<typeof Outcome>;

export function outcomeOf(code: ReasonCode): Outcome {
  if (code === 'completed' || code === 'queued_for_human') return 'success';
  if (code === 'timeout' || code === 'approval_timeout') return 'timeout';
  if (code === 'cancelled' || code === 'killed') return 'cancelled';
  return 'failure';
}
