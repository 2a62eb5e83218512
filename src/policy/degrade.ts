import type { AgentDefinition } from '../core/agent.ts';
import type { ErrorInfo } from '../core/errors.ts';
import {
  DEFAULT_TEXTS,
  type FallbackKind,
  type FallbackTexts,
  type FallbackTo,
  isPlain,
  modelOf,
} from '../core/fallback.ts';
import type { Json } from '../core/json.ts';
import type { Limits } from '../core/limits.ts';
import type { ReasonCode } from '../core/reasons.ts';
import type { RunContext } from '../core/run-state.ts';

/** What a run falls back on, and what that means for it (DEG-1, DEG-2, DEG-4). Pure: the verdict is journalled. */

/** Errors that say nothing of the task: another model may do what this one cannot. */
const MODEL_IS_DOWN: ReadonlySet<string> = new Set([
  'max_retries_exceeded',
  'model_unavailable',
  'rate_limit',
  'timeout',
  'circuit_open',
  'rate_limited',
  'cap_reached',
  'no_model',
  'unknown_price',
  'auth_error',
  'quota_exceeded',
  'model_error',
  'bad_reply',
  'killed',
]);

export interface Trouble {
  agent: AgentDefinition;
  context: Pick<RunContext, 'fallback' | 'failing' | 'limits'>;
  kind: FallbackKind;
  error: ErrorInfo;
  /** The answer that the same task had before. */
  cached: { answer: Json; run: string; at: number } | null;
}

/** The next link of the chain; null: there is none, and the run goes on, or ends, as it would without a chain. */
export function nextLink({ agent, context, kind, error, cached }: Trouble): FallbackTo | null {
  const { fallback } = agent;
  if (fallback === undefined) return null;
  if (kind === 'budget' && fallback.plain !== undefined && !isPlain(context)) {
    return { to: 'plain', model: fallback.plain.model ?? modelOf(agent, context) };
  }
  if (kind === 'model') {
    if (!MODEL_IS_DOWN.has(error.code)) return isLast(context, error) ? lastLinks(fallback, null) : null;
    const tried = new Set([agent.model, ...(context.fallback ?? []).flatMap(({ model }) => model ?? [])]);
    const next = fallback.models.find(({ model }) => !tried.has(model));
    if (next !== undefined && !isPlain(context)) return { to: 'model', model: next.model };
    return lastLinks(fallback, cached);
  }
  return lastLinks(fallback, null);
}

function lastLinks(fallback: NonNullable<AgentDefinition['fallback']>, cached: Trouble['cached']): FallbackTo | null {
  if (cached !== null) return { to: 'cached', ...cached };
  return fallback.person === undefined ? null : { to: 'person', queue: fallback.person.queue };
}

/** Whether the run would end with this failure. */
function isLast({ failing, limits }: Trouble['context'], error: ErrorInfo): boolean {
  return !error.retryable || failing + 1 >= limits.failing_steps;
}

/**
 * The limits that hold while something is kept back for a last answer: a step is not begun that would reach into it, were
 * it like those before.
 */
export function limitsNow(
  agent: AgentDefinition,
  context: Pick<RunContext, 'fallback' | 'limits' | 'cost_usd' | 'input_tokens' | 'output_tokens' | 'thinks'>,
): Limits {
  const { limits } = context;
  const plain = agent.fallback?.plain;
  if (plain === undefined || isPlain(context)) return limits;
  const calls = Math.max(1, context.thinks);
  const tokens = (context.input_tokens + context.output_tokens) / calls;
  return {
    ...limits,
    cost_usd: Math.max(0, limits.cost_usd - plain.reserve_usd - context.cost_usd / calls),
    tokens: Math.max(0, limits.tokens - plain.reserve_tokens - tokens),
  };
}

/** What the model is told of its last answer. */
export const PLAIN_NOTICE =
  'The budget of this run is used up: you have no tools any more. Give your final answer now, from what you have seen, and say what is missing in it.';

const TEXT_OF: Partial<Record<ReasonCode, keyof FallbackTexts>> = {
  no_model: 'model',
  timeout: 'time',
  approval_timeout: 'time',
  budget_exceeded: 'budget',
  token_limit: 'budget',
  tool_call_limit: 'budget',
  max_steps: 'budget',
  queued_for_human: 'person',
};

/** What a user is shown who gets no answer; null for an end that somebody wanted. */
export function textFor(agent: AgentDefinition, code: ReasonCode, error: ErrorInfo | undefined): string | null {
  if (code === 'completed' || code === 'cancelled' || code === 'killed') return null;
  const say = (key: keyof FallbackTexts): string => agent.fallback?.texts[key] ?? DEFAULT_TEXTS[key];
  const key = TEXT_OF[code];
  if (key !== undefined) return say(key);
  if (error?.code === 'unavailable') return say('tool');
  return error !== undefined && MODEL_IS_DOWN.has(error.code) ? say('model') : say('everything');
}
