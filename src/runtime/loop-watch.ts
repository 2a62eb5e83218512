import type { ApprovalReason } from '../core/approval-rules.ts';
import { type Decision, membersOf } from '../core/decision.ts';
import { clip } from '../core/errors.ts';
import type { PlannedCall, RunEvent } from '../core/events.ts';
import { DEFAULT_LOOP_SETTINGS, LOOP_RUNGS, type LoopSettings, type LoopVerdict } from '../core/loops.ts';
import { judgeDelegation, linkOf } from '../policy/loops/delegation.ts';
import { askedIn, LOOP_REFUSAL } from '../policy/loops/detector.ts';
import { continuesLoop, judgeLoops, wordsOfLoop } from '../policy/loops/verdict.ts';
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
  return membersOf(decision).reduce<LoopVerdict | null>((worst, member) => {
    const found = judgeDelegation(chain, linkOf(member.agent, member.input), settingsOf(agent));
    if (found === null || worst === null) return found ?? worst;
    return LOOP_RUNGS.indexOf(found.rung) >= LOOP_RUNGS.indexOf(worst.rung) ? found : worst;
  }, before);
}

/** Why the calls need an approval: they go on with a loop that has come to the rung `ask`. Null when they do not. */
export function askedByLoop(
  { loops }: EffectScope,
  decision: Decision,
  calls: PlannedCall[] | undefined,
  loop: LoopVerdict | null,
): ApprovalReason | null {
  if (decision.action !== 'tool_call' || !goesOn(loops, decision, calls, loop)) return null;
  return { rule: 'loop', text: clip(wordsOfLoop(loop), 512) };
}

/** A delegation, which nobody can approve, is refused from `ask` on; one that closes a circle from `nudge` on. */
export function refusedByLoop(
  { loops }: EffectScope,
  decision: Decision,
  calls: PlannedCall[] | undefined,
  loop: LoopVerdict | null,
): PlannedCall[] | undefined {
  if (decision.action !== 'delegate' || calls === undefined || !goesOn(loops, decision, calls, loop)) return calls;
  const message = `not delegated: ${wordsOfLoop(loop)}. Do the work another way, or answer with what there is`;
  const refused = { code: LOOP_REFUSAL, message, retryable: false };
  return calls.map((call) => (call.refused === undefined ? { ...call, refused } : call));
}

function goesOn(
  loops: EffectScope['loops'],
  decision: Decision,
  calls: PlannedCall[] | undefined,
  loop: LoopVerdict | null,
): loop is LoopVerdict {
  if (loop === null || loop.rung === 'warn') return false;
  if (loop.rule === 'delegation') return true;
  const next = askedIn(decision, calls);
  return loop.rung !== 'nudge' && next !== null && continuesLoop(loops, loop, next);
}

/** The end of a run that goes round in circles. */
export function stoppedBy(loop: LoopVerdict): RunEvent {
  return { type: 'loop', detail: `${wordsOfLoop(loop)} (rule ${loop.rule})`, loop };
}
