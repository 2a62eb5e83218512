import type { CallRequest } from '../core/decision.ts';
import type { PlannedCall } from '../core/events.ts';
import { sameJson } from '../core/json.ts';
import type { EffectScope } from './effects.ts';
import { argumentsOf, readerAt } from './steps.ts';

/**
 * A call that was given up may have taken effect: its worker was lost, or too slow to say so. A model that asks for the
 * same tool with the same arguments after that means the same effect, so the new call goes out under the old one's key:
 * with a handler that honours the key it happens once, however often it is decided.
 */
export async function underOldKeys(
  { context, read, deps }: EffectScope,
  requests: CallRequest[],
  planned: PlannedCall[],
): Promise<PlannedCall[]> {
  const open = [...context.open];
  const calls: PlannedCall[] = [];
  for (const [i, call] of planned.entries()) {
    const args = requests[i]?.args ?? {};
    let key: string | undefined;
    for (const [at, earlier] of open.entries()) {
      if (earlier.tool !== call.tool || !call.idempotent || call.refused !== undefined) continue;
      const asked = await argumentsOf(earlier, readerAt(earlier.from, read, deps.journal, context));
      if (!sameJson(asked, args)) continue;
      key = earlier.key;
      // Two calls of one decision are two effects.
      open.splice(at, 1);
      break;
    }
    calls.push(key === undefined ? call : { ...call, key });
  }
  return calls;
}
