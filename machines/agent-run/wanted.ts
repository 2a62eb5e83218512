import { pathOf, type RunCall, type RunContext, type StateValue } from '../../src/core/run-state.ts';
import { hasToBeTold } from './calls.ts';

/**
 * What a run wants done, as data: a function of where it stands. The runtime starts what is wanted and does not run,
 * and aborts what runs and is wanted no longer. Each want has an id that stays the same while it is the same work.
 */
export type Want =
  | { kind: 'think'; id: string; phase: 'planning' | 'deciding' | 'reviewing' }
  | { kind: 'call'; id: string; call: RunCall }
  /** The call once more, at its moment. */
  | { kind: 'retry'; id: string; call: RunCall; at: number }
  /** A call was started under an older claim: nobody knows whether it happened once `at` has passed. */
  | { kind: 'unknown'; id: string; c: string; at: number }
  | { kind: 'delegate'; id: string; call: RunCall }
  /** A member of a team is told to stop. */
  | { kind: 'stop'; id: string; call: RunCall }
  | { kind: 'timer'; id: string; at: number }
  | { kind: 'deadline'; id: string; at: number }
  /** Those who may decide about the call are told of it, and of the approvals that it has. */
  | { kind: 'approval_request'; id: string; call: RunCall }
  /** The same, and others are asked as well. */
  | { kind: 'approval_escalation'; id: string; call: RunCall; at: number }
  | { kind: 'approval_expiry'; id: string; c: string; at: number };

export function wanted(value: StateValue, context: RunContext, epoch: number): Want[] {
  const path = pathOf(value);
  if (context.end !== null || path === 'idle.accepted') return [];
  const wants: Want[] = [];
  switch (path) {
    case 'thinking.planning':
    case 'thinking.deciding':
    case 'thinking.reviewing':
      wants.push({ kind: 'think', id: `think-${context.thinks}`, phase: phaseOf(path) });
      break;
    case 'idle.scheduled':
    case 'waiting.backing_off':
    case 'waiting.budget':
      wants.push({ kind: 'timer', id: `timer-${context.not_before}`, at: context.not_before });
      break;
    case 'idle.held':
    case 'waiting.paused':
      break;
    default:
      for (const call of context.calls) wants.push(...callWants(call, epoch));
  }
  if (context.deadline_at !== null && context.clock_stopped_at === null) {
    wants.push({ kind: 'deadline', id: `deadline-${context.deadline_at}`, at: context.deadline_at });
  }
  return wants;
}

function callWants(call: RunCall, epoch: number): Want[] {
  switch (call.status) {
    case 'ready':
      if (call.not_before === undefined) return [{ kind: 'call', id: idOfTry(call), call }];
      return [{ kind: 'retry', id: idOfTry(call), call, at: call.not_before }];
    case 'started':
      if (call.started?.epoch === epoch) return [{ kind: 'call', id: idOfTry(call), call }];
      return [{ kind: 'unknown', id: `unknown-${call.c}`, c: call.c, at: call.started?.start_by ?? 0 }];
    case 'child_ready':
      return [{ kind: 'delegate', id: idOfTry(call), call }];
    case 'stopping':
      return hasToBeTold(call) ? [{ kind: 'stop', id: `stop-${idOfTry(call)}`, call }] : [];
    case 'approval':
      return approvalWants(call);
    default:
      return [];
  }
}

function approvalWants(call: RunCall): Want[] {
  const { c, approval, approval_until: at = 0 } = call;
  const wants: Want[] = [{ kind: 'approval_expiry', id: `approval-${c}`, c, at }];
  if (approval === undefined) return wants;
  const { given, told, escalate_at } = approval;
  if (told < given.length) wants.push({ kind: 'approval_request', id: `ask-${c}-${given.length}`, call });
  if (escalate_at !== undefined)
    wants.push({ kind: 'approval_escalation', id: `escalate-${c}`, call, at: escalate_at });
  return wants;
}

/** One try of a call keeps its id when the try is journalled as started. */
function idOfTry(call: RunCall): string {
  return call.attempt === undefined ? call.c : `${call.c}-again-${call.attempt}`;
}

function phaseOf(path: string): 'planning' | 'deciding' | 'reviewing' {
  if (path === 'thinking.planning') return 'planning';
  return path === 'thinking.reviewing' ? 'reviewing' : 'deciding';
}

/** Whether a want is a moment to wait for rather than work to do. */
export function isMoment(want: Want): want is Extract<Want, { at: number }> {
  return 'at' in want;
}
