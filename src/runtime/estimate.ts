import type { RunEventOf } from '../core/events.ts';
import { modelOf } from '../core/fallback.ts';
import type { Amount } from '../core/ledger-wire.ts';
import type { RunContext } from '../core/run-state.ts';
import { estimateOf, isPriced, type Spender as SpenderOf } from '../policy/quotas.ts';
import type { Log } from '../ports/telemetry.ts';
import type { NodeDeps } from './deps.ts';

/** A run as its spending is reckoned. */
export interface Spender {
  deps: NodeDeps;
  accepted: RunEventOf<'accepted'>;
  log: Log;
}

/** Whose accounts it spends from. */
export function spenderOf({ user, agent, ancestors, run }: RunEventOf<'accepted'>): SpenderOf {
  return { user, agent: agent.name, root: ancestors[0] ?? run };
}

/** Whether the next model call of a run costs money. Throws AppError `unknown_price`. */
export function isPaid({ deps, accepted }: Spender, context: RunContext): boolean {
  return isPriced(deps.price(modelOf(accepted.agent, context)));
}

/** What the next model call of a run may use: tokens also where they are free. Throws AppError `unknown_price`. */
export function estimateFor({ deps, accepted }: Spender, context: RunContext, maxOutputTokens: number): Amount {
  return estimateOf(deps.price(modelOf(accepted.agent, context)), {
    chars: charsOf(accepted),
    inputTokens: context.input_tokens,
    // Waits at a gate count as thoughts, and used nothing. Too few rather than too many: the estimate grows by it.
    calls: context.steps,
    maxOutputTokens,
  });
}

const chars = new WeakMap<RunEventOf<'accepted'>, number>();

/** Characters of what a run's models are told first: the same all its life. */
function charsOf(accepted: RunEventOf<'accepted'>): number {
  const { agent, task } = accepted;
  const known = chars.get(accepted) ?? (agent.instructions ?? '').length + JSON.stringify(task).length;
  chars.set(accepted, known);
  return known;
}
