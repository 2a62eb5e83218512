import { z } from 'zod';

export const COMPLETION_CODES = ['completed'] as const;

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
  // An end of the agent's work, not yet of the task: it waits for a person (APPR-6).
  'queued_for_human',
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
  if (code === 'completed') return 'success';
  if (code === 'timeout' || code === 'approval_timeout') return 'timeout';
  if (code === 'cancelled' || code === 'killed') return 'cancelled';
  return 'failure';
}
