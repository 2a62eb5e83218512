import type { Decision } from '../core/decision.ts';
import type { PlannedCall, RunEvent } from '../core/events.ts';
import { DEFAULT_LOOP_SETTINGS, LOOP_RUNGS, type LoopSettings, type LoopVerdict } from '../core/loops.ts';
import { judgeDelegation, linkOf } from '../policy/loops/delegation.ts';
import { askedIn, LOOP_REFUSAL } from '../policy/loops/detector.ts';
import { continuesLoop, judgeLoops, wordsOfLoop } from '../policy/loops/verdict.ts';
import { APPROVAL_MS } from '../policy/tool-gate.ts';
import type { EffectScope } from './effects.ts';

/** What loop detection does to a run, at each model call: the runtime asks, the agent has no say (SUP-4). */

/** Asked before a model call: what the steps so far say. */
export function loopBeforeStep({ loops, accepted }: EffectScope): LoopVerdict | null {
  return judgeLoops(loops, settingsOf(accepted.agent));
}

function settingsOf({ loops }: { loops?: LoopSettings | undefined }): LoopSettings {
  return loops ?? DEFAULT_LOOP_SETTINGS;
}

/** The verdict on a decision: that on the steps before it, or that on the delegation that it is, whichever is worse. */
export function loopInDecision(
  { accepted }: EffectScope,
  decision: Decision,
  before: LoopVerdict | null,
): LoopVerdict | null {
  if (decision.action !== 'delegate') return before;
  const { agent, task, lineage = [] } = accepted;
  const chain = [...lineage, linkOf(agent.name, task.input)];
  const found = judgeDelegation(chain, linkOf(decision.agent, decision.input), settingsOf(agent));
  if (found === null || before === null) return found ?? before;
  return LOOP_RUNGS.indexOf(found.rung) >= LOOP_RUNGS.indexOf(before.rung) ? found : before;
}

/**
 * The calls as the ladder lets them pass. A call that goes on with a loop waits for an approval from the rung `ask` on;
 * a delegation, which nobody can approve, is refused then, and one that closes a circle from `nudge` on.
 */
export function heldByLoop(
  { deps, loops }: EffectScope,
  decision: Decision,
  calls: PlannedCall[] | undefined,
  loop: LoopVerdict | null,
): PlannedCall[] | undefined {
  const goesOn = () => {
    const next = askedIn(decision, calls);
    return next !== null && loop !== null && continuesLoop(loops, loop, next);
  };
  if (calls === undefined || loop === null || loop.rung === 'warn') return calls;
  if (loop.rule !== 'delegation' && (loop.rung === 'nudge' || !goesOn())) return calls;
  return calls.map((call) => {
    if (call.refused !== undefined) return call;
    if (decision.action === 'tool_call') return { ...call, approval_until: deps.clock.now() + APPROVAL_MS };
    const message = `not delegated: ${wordsOfLoop(loop)}. Do the work another way, or answer with what there is`;
    return { ...call, refused: { code: LOOP_REFUSAL, message, retryable: false } };
  });
}

/** The end of a run that goes round in circles. */
export function stoppedBy(loop: LoopVerdict): RunEvent {
  return { type: 'loop', detail: `${wordsOfLoop(loop)} (rule ${loop.rule})`, loop };
}
