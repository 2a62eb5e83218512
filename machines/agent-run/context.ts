import type { ApprovalTerms } from '../../src/core/approval-rules.ts';
import { membersOf } from '../../src/core/decision.ts';
import type { RunEvent, RunEventOf } from '../../src/core/events.ts';
import { callId } from '../../src/core/ids.ts';
import { DEFAULT_LIMITS } from '../../src/core/limits.ts';
import type { CallApproval, RunCall, RunContext } from '../../src/core/run-state.ts';

/** An event as the chart receives it: with the journal entry that holds it, its claim and its moment. */
export type Journalled<E> = E & { n: number; epoch: number; at: number };
export type RunChartEvent = Journalled<RunEvent>;
export type ChartEventOf<T extends RunEvent['type']> = Journalled<RunEventOf<T>>;

/** The context before the first entry is folded. */
export const EMPTY_CONTEXT: RunContext = {
  run: '',
  agent: '',
  agent_version: '',
  user: '',
  limits: DEFAULT_LIMITS,
  backoff_ms: 1_000,
  planning: false,
  review: false,
  accepted_at: 0,
  not_before: 0,
  started_at: null,
  deadline_at: null,
  clock_stopped_at: null,
  thinks: 0,
  think_retries: 0,
  think_phase: 'deciding',
  steps: 0,
  failing: 0,
  tool_calls: 0,
  input_tokens: 0,
  output_tokens: 0,
  cost_usd: 0,
  think_ms: 0,
  tool_ms: 0,
  tools_used: [],
  children: 0,
  decision: null,
  calls: [],
  runs: [],
  plan: null,
  window: [],
  last_result: null,
  answer: null,
  degraded: null,
  hold: null,
  resume_to: null,
  unknown: [],
  open: [],
  end: null,
};

export function acceptedContext(event: ChartEventOf<'accepted'>): RunContext {
  const { task, agent, continues } = event;
  const own = task.plan === undefined ? null : { entry: event.n, size: task.plan.steps.length, done: {} };
  const plan = continues?.plan ?? own;
  return {
    ...EMPTY_CONTEXT,
    run: event.run,
    agent: agent.name,
    agent_version: agent.version,
    user: event.user,
    ...(task.session_id === undefined ? {} : { session_id: task.session_id }),
    limits: event.limits,
    backoff_ms: agent.retry_backoff_ms,
    planning: agent.planning && plan === null,
    review: agent.review,
    ...(agent.team === undefined ? {} : { team: { ...agent.team, restarts: [] } }),
    ...(event.ancestors.length === 0 ? {} : { ancestors: event.ancestors }),
    ...(event.taint === undefined ? {} : { taint: event.taint }),
    accepted_at: event.at,
    not_before: task.not_before === undefined ? event.at : Math.max(event.at, Date.parse(task.not_before)),
    plan,
    ...(continues === undefined
      ? {}
      : {
          runs: continues.runs,
          window: continues.window,
          last_result: continues.last_result,
          open: continues.open ?? [],
        }),
  };
}

/** The calls that a decision asks for, each in the state that policy left it in. */
export function plannedCalls(event: ChartEventOf<'decided'>): RunCall[] {
  const { decision } = event;
  if (decision.action === 'tool_call') {
    return (event.calls ?? []).map((call, index) => ({
      c: callId(event.n, index),
      tool: call.tool,
      ...(call.plan_step === undefined ? {} : { plan_step: call.plan_step }),
      idempotent: call.idempotent,
      timeout_ms: call.timeout_ms,
      ...(call.key === undefined ? {} : { key: call.key }),
      ...(call.untrusted === undefined ? {} : { untrusted: call.untrusted }),
      ...(call.valid_ms === undefined ? {} : { perishable: true as const }),
      ...statusOf(call),
      ...(call.approval === undefined || call.refused !== undefined ? {} : { approval: approvalOf(call.approval) }),
      ...(call.refused === undefined ? {} : { outcome: event.n }),
    }));
  }
  const other = { idempotent: true, timeout_ms: 0 };
  if (decision.action === 'delegate') {
    return membersOf(decision).map(({ agent }, index) => {
      const refused = event.calls?.[index]?.refused !== undefined;
      return {
        ...other,
        c: callId(event.n, index),
        tool: `agent:${agent}`,
        status: refused ? 'refused' : 'child_ready',
        ...(refused ? { outcome: event.n } : {}),
      };
    });
  }
  return [{ ...other, c: callId(event.n, 0), tool: 'person', status: 'person' }];
}

function statusOf(call: {
  refused?: unknown;
  approval_until?: number | undefined;
}): Pick<RunCall, 'status' | 'approval_until'> {
  if (call.refused !== undefined) return { status: 'refused' };
  if (call.approval_until !== undefined) return { status: 'approval', approval_until: call.approval_until };
  return { status: 'ready' };
}

function approvalOf({ needed, escalate }: ApprovalTerms): CallApproval {
  return { needed, given: [], told: -1, ...(escalate === undefined ? {} : { escalate_at: escalate.at }) };
}
