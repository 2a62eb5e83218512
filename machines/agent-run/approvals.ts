import { type CallApproval, DIGEST_CHARS, MAX_GIVEN, type RunCall, type RunContext } from '../../src/core/run-state.ts';
import { withCall } from './calls.ts';
import type { ChartEventOf } from './context.ts';

/** How the approvals of a call add up. Only those of the very same arguments do. */

type Decided = ChartEventOf<'approval_decided'>;

/** The approvals of a call with one more; null when this one counts for nothing. */
export function approvalsWith(call: RunCall, event: Decided): CallApproval['given'] | null {
  const given = call.approval?.given ?? [];
  if (given.length >= MAX_GIVEN || given.some((one) => one.by === event.by)) return null;
  return [...given, { by: event.by, n: event.n, digest: (event.digest ?? '').slice(0, DIGEST_CHARS) }];
}

/** Whether enough approvers have approved the same arguments once this one is counted. */
export function isEnough(context: RunContext, event: Decided): boolean {
  const call = context.calls.find((one) => one.c === event.c);
  if (call?.status !== 'approval') return false;
  const given = approvalsWith(call, event);
  if (given === null) return false;
  const last = given.at(-1);
  return given.filter((one) => one.digest === last?.digest).length >= (call.approval?.needed ?? 1);
}

/** One approval more; with the last that was needed the call can be made. */
export function callApproved(context: RunContext, event: Decided): Partial<RunContext> {
  const enough = isEnough(context, event);
  return withCall(context, event.c, ['approval'], (call) => {
    const given = approvalsWith(call, event);
    if (given === null) return {};
    return {
      ...(call.approval === undefined ? {} : { approval: { ...call.approval, given } }),
      ...(enough ? { status: 'ready' as const } : {}),
      ...(enough && event.edited === true ? { edited: event.n } : {}),
    };
  });
}

/** Those who may decide know of the call. */
export function callAsked(context: RunContext, event: ChartEventOf<'approval_asked'>): Partial<RunContext> {
  return withCall(context, event.c, ['approval'], ({ approval }) => {
    if (approval === undefined) return {};
    const told = { ...approval, told: event.given };
    if (event.escalated !== true) return { approval: told };
    const { escalate_at: _done, ...rest } = told;
    return { approval: { ...rest, escalated: true as const } };
  });
}
