import { applyLimits, type LimitOverrides, type Limits } from '../core/limits.ts';
import type { RunCall, RunContext } from '../core/run-state.ts';
import type { LimitVerdict } from './limits.ts';

/**
 * The limits of a run that another one starts (SUP-8): its agent's, lowered by whoever asks for it, and never more than
 * its parent has left. What is left of tokens and money, beside what those at work may still use, is divided by those of
 * the step that are to be started: so together they cannot pass it.
 */

/** It gets its limits now, or when the others have stopped. */
const TO_BE_STARTED: readonly RunCall['status'][] = ['child_ready', 'stopped'];

/** Shortest time that a run may be given, milliseconds: less than that it ends at its first look at the clock. */
const SHORTEST_MS = 100;

export interface ShareInput {
  /** What the agent of the new run allows. */
  agent: Limits;
  asked: LimitOverrides | undefined;
  /** The run that starts it. */
  context: RunContext;
  /** The limits of those of its step that are at work: what they have used of them is not known before they end. */
  held: readonly Pick<Limits, 'tokens' | 'cost_usd'>[];
  now: number;
}

/** The limits, or which of the parent's leaves nothing. */
export function shareOf({ agent, asked, context, held, now }: ShareInput): Limits | NonNullable<LimitVerdict> {
  const { limits } = context;
  const parts = Math.max(1, context.calls.filter((call) => TO_BE_STARTED.includes(call.status)).length);
  const heldTokens = held.reduce((sum, one) => sum + one.tokens, 0);
  const heldCost = held.reduce((sum, one) => sum + one.cost_usd, 0);
  const tokens = Math.floor((limits.tokens - context.input_tokens - context.output_tokens - heldTokens) / parts);
  if (tokens < 1) return { code: 'token_limit', detail: 'nothing is left of the tokens of the run that delegates' };
  const cost_usd = Math.max(0, limits.cost_usd - context.cost_usd - heldCost) / parts;
  const left = context.deadline_at === null ? limits.wall_ms : context.deadline_at - now;
  const own = applyLimits(agent, asked);
  return {
    ...own,
    tokens: Math.min(own.tokens, tokens),
    cost_usd: Math.min(own.cost_usd, cost_usd),
    wall_ms: Math.min(own.wall_ms, Math.max(SHORTEST_MS, Math.floor(left))),
    depth: Math.min(own.depth, limits.depth),
  };
}
