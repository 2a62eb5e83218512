import type { ErrorInfo } from '../core/errors.ts';
import type { RunCall } from '../core/run-state.ts';
import { type Fetched, staleFault } from '../policy/freshness.ts';
import type { EffectScope } from './effects.ts';
import { plannedOf } from './steps.ts';
import { windowOf } from './think-input.ts';

/** How old what a run acts on is (TOOL-9): read from its journal, and only when one of its tools says how long it holds. */

/** What the steps that the model still sees have fetched; empty while nothing of it can be too old. */
export async function fetchedOf(scope: EffectScope): Promise<Fetched[]> {
  if (!scope.context.window.some((step) => step.perishable === true)) return [];
  return (await windowOf(scope)).flatMap(({ decision, observations }) =>
    decision.action === 'tool_call'
      ? observations.flatMap(({ status, at, valid_ms }, i): Fetched[] => {
          const asked = decision.calls[i];
          return asked === undefined || status !== 'ok' || at === undefined
            ? []
            : [{ tool: asked.tool, args: asked.args, at, valid_ms }];
        })
      : [],
  );
}

/**
 * Looked at once more right before the call is made, as it may have waited for an approval or for room. A try that may
 * have taken effect is no new action: it is carried through.
 */
export async function staleBefore(scope: EffectScope, call: RunCall): Promise<ErrorInfo | null> {
  if (call.effect_open === true || scope.inherited(call.c)) return null;
  const fetched = await fetchedOf(scope);
  if (fetched.length === 0) return null;
  const planned = await plannedOf(call.c, scope.read);
  return planned === undefined ? null : staleFault(fetched, planned, scope.deps.clock.now());
}
