import type { Usage } from '../core/decision.ts';
import type { Limits } from '../core/limits.ts';
import type { FailureCode } from '../core/reasons.ts';
import type { RunContext } from '../core/run-state.ts';

/** A verdict of RUN-5: the code that the run ends with, and the figures behind it. Null lets it go on. */
export type LimitVerdict = { code: FailureCode; detail: string } | null;

/** Asked before each model call: whether the run may take another step. @param limits those of the run, less what is kept back */
export function limitBeforeStep(context: RunContext, limits: Limits = context.limits): LimitVerdict {
  if (context.steps >= limits.steps) {
    return { code: 'max_steps', detail: `${context.steps} of ${limits.steps} allowed steps were made` };
  }
  return overBudget(context, limits, 0, 0);
}

/** Asked with what a model call has used, before its decision is carried out. */
export function limitAfterUsage(context: RunContext, usage: Usage): LimitVerdict {
  const { limits } = context;
  if (usage.output_tokens > limits.output_tokens_per_step) {
    return {
      code: 'token_limit',
      detail: `the step used ${usage.output_tokens} output tokens and ${limits.output_tokens_per_step} are allowed`,
    };
  }
  return overBudget(context, limits, usage.input_tokens + usage.output_tokens, usage.cost_usd);
}

function overBudget(context: RunContext, limits: Limits, moreTokens: number, moreCost: number): LimitVerdict {
  const tokens = context.input_tokens + context.output_tokens + moreTokens;
  if (tokens > limits.tokens) return { code: 'token_limit', detail: `${tokens} tokens used, ${limits.tokens} allowed` };
  const cost = context.cost_usd + moreCost;
  if (cost > limits.cost_usd) {
    return { code: 'budget_exceeded', detail: `${cost.toFixed(4)} USD spent, ${limits.cost_usd} allowed` };
  }
  return null;
}

/** Asked with the number of calls that a decision wants to make. */
export function limitOnCalls(context: RunContext, calls: number): LimitVerdict {
  const total = context.tool_calls + calls;
  if (total <= context.limits.tool_calls) return null;
  return { code: 'tool_call_limit', detail: `${total} tool calls wanted, ${context.limits.tool_calls} allowed` };
}
