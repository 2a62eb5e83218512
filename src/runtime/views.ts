import { progressOf } from '../../machines/agent-run/account.ts';
import type { AgentDefinition } from '../core/agent.ts';
import { clip } from '../core/errors.ts';
import type { FallbackLink } from '../core/fallback.ts';
import type { Json } from '../core/json.ts';
import type { LoopVerdict } from '../core/loops.ts';
import { outcomeOf, type ReasonCode } from '../core/reasons.ts';
import { redactText } from '../core/redact.ts';
import type { RunResult, StepSummary } from '../core/result.ts';
import type { RunContext } from '../core/run-state.ts';
import type { StatusEvent } from '../core/status.ts';
import { textFor } from '../policy/degrade.ts';
import { wordsOfLoop } from '../policy/loops/verdict.ts';
import type { RunFold } from './fold.ts';
import type { Journal } from './journal.ts';
import { type EntryReader, readerAt, resultOf, shownError } from './steps.ts';
import { warningsOf } from './warnings.ts';

/** What the outside sees of a run: its status while it lives, its result when it has ended. */

export function statusOf(fold: RunFold, steps: StepSummary[] = []): StatusEvent {
  const { context, path, protocol } = fold;
  const requires = requirementOf(path, context, fold.loops.said.loop);
  const warnings = warningsOf(fold.loops.said);
  return {
    v: 1,
    run: context.run,
    agent: context.agent,
    user: context.user,
    at: protocol.at,
    accepted_at: context.accepted_at,
    state: path,
    phase: phaseOf(path),
    step: context.steps,
    progress: progressOf(context),
    can_cancel: context.end === null,
    budget: budgetOf(context),
    ...(warnings.length === 0 ? {} : { warnings }),
    ...(requires === undefined ? {} : { requires }),
    ...(context.ancestors === undefined ? {} : { ancestors: context.ancestors }),
    ...membersOf(context),
    ...(protocol.node === null || protocol.released ? {} : { node: protocol.node }),
    ...(steps.length === 0 ? {} : { steps }),
    ...(context.end === null ? {} : { code: context.end.code, outcome: outcomeOf(context.end.code) }),
    ...(context.end?.error === undefined ? {} : { error: shownError(context.end.error) }),
  };
}

function membersOf({ calls }: RunContext): Pick<StatusEvent, 'members'> {
  const members = calls.flatMap(({ c, tool, status, child, attempt }) => {
    if (!tool.startsWith('agent:')) return [];
    const run = child === undefined ? {} : { run: child };
    return [{ c, agent: tool.slice('agent:'.length), status, ...run, ...(attempt === undefined ? {} : { attempt }) }];
  });
  return members.length === 0 ? {} : { members };
}

function budgetOf({ limits, ...context }: RunContext): StatusEvent['budget'] {
  const tokens = context.input_tokens + context.output_tokens;
  const left = (limit: number, used: number) => Math.max(0, limit - used);
  return {
    cost_usd: context.cost_usd,
    tokens,
    left: {
      steps: left(limits.steps, context.steps),
      tokens: left(limits.tokens, tokens),
      cost_usd: left(limits.cost_usd, context.cost_usd),
      tool_calls: left(limits.tool_calls, context.tool_calls),
    },
    deadline_at: context.clock_stopped_at === null ? context.deadline_at : null,
  };
}

function phaseOf(path: string): StatusEvent['phase'] {
  if (path.startsWith('completed') || path.startsWith('failed')) return 'complete';
  if (path === 'thinking.planning') return 'planning';
  return path === 'thinking.reviewing' ? 'reviewing' : 'executing';
}

function requirementOf(path: string, context: RunContext, loop: LoopVerdict | undefined): StatusEvent['requires'] {
  if (path === 'idle.held')
    return { kind: 'release', text: 'an entry of the journal cannot be folded: proctor quarantine retry|fail' };
  if (path === 'waiting.approval') {
    const call = context.calls.find((one) => one.status === 'approval');
    const why = loop?.rung === 'ask' ? `: the run goes round in circles (${wordsOfLoop(loop)})` : '';
    return { kind: 'approval', c: call?.c ?? '', text: `tool ${call?.tool ?? ''} needs an approval${why}` };
  }
  if (path !== 'waiting.person') return undefined;
  const call = context.calls.find((one) => one.status === 'person');
  if (call === undefined) return undefined;
  return context.unknown.includes(call.c)
    ? {
        kind: 'resolve',
        c: call.c,
        text: `nobody knows whether ${call.tool} took effect: proctor resolve ${context.run} ${call.c}`,
      }
    : {
        kind: 'answer',
        c: call.c,
        text: `a person is asked: proctor resolve ${context.run} ${call.c} --done --result TEXT`,
      };
}

/** The result of a run that has ended: the same from every node, as it follows from the journal alone. */
export async function resultOfRun(
  fold: RunFold,
  agent: AgentDefinition,
  steps: StepSummary[],
  read: EntryReader,
  journal: Pick<Journal, 'mustHave'>,
): Promise<RunResult> {
  const { context } = fold;
  const end = context.end;
  if (end === null) throw new RangeError(`run ${context.run} has not ended`);
  const answer = end.code === 'completed' ? await answerOf(context, read) : null;
  const notice = textFor(agent, end.code, end.error);
  const partial = end.code === 'completed' ? null : await partialOf(context, read, journal);
  return {
    v: 1,
    run: context.run,
    agent: context.agent,
    agent_version: context.agent_version,
    user: context.user,
    ...(context.session_id === undefined ? {} : { session_id: context.session_id }),
    ...(context.runs[0] === undefined ? {} : { continues: context.runs[0] }),
    status: end.code === 'completed' ? 'completed' : 'failed',
    outcome: outcomeOf(end.code),
    answer,
    partial,
    error:
      end.code === 'completed'
        ? null
        : { code: end.code, reason: reasonText(end.code, end.error?.message ?? (end.detail || lastFault(steps))) },
    code: end.code,
    degraded: context.degraded,
    ...(notice === null ? {} : { notice }),
    ...(context.fallback === undefined ? {} : { fallbacks: context.fallback.map(shownLink) }),
    steps: context.steps,
    step_log: steps,
    steps_omitted: Math.max(0, context.steps - steps.length),
    tools_used: context.tools_used,
    tool_calls: context.tool_calls,
    unknown_outcomes: unknownOutcomes(context),
    input_tokens: context.input_tokens,
    output_tokens: context.output_tokens,
    cost_usd: context.cost_usd,
    started_at: context.started_at ?? context.accepted_at,
    ended_at: end.at,
    duration_ms: Math.max(0, end.at - context.accepted_at),
  };
}

function shownLink(link: FallbackLink): FallbackLink {
  return { ...link, error: shownError(link.error) };
}

/** What the last step that failed said of itself. */
function lastFault(steps: StepSummary[]): string {
  const last = steps.at(-1);
  const call = last?.calls.find((one) => one.status === 'error' || one.status === 'refused');
  return call?.preview ?? last?.error?.message ?? '';
}

/** Calls that must not be repeated, were sent, and whose outcome nobody knows. */
export function unknownOutcomes(context: RunContext): string[] {
  const open = context.calls.filter((call) => call.status === 'started').map((call) => call.c);
  return [...new Set([...context.unknown, ...open])];
}

async function answerOf(context: RunContext, read: EntryReader): Promise<Json> {
  if (context.answer === null) return null;
  const entry = await read(context.answer);
  const again = entry.events.find((event) => event.type === 'using_fallback');
  if (again?.link.to === 'cached') return again.link.answer;
  const decided = entry.events.find((event) => event.type === 'decided');
  return decided?.decision.action === 'final_answer' ? decided.decision.answer : null;
}

async function partialOf(context: RunContext, read: EntryReader, journal: Pick<Journal, 'mustHave'>): Promise<Json> {
  if (context.last_result === null) return null;
  const { entry, c, from } = context.last_result;
  return resultOf(c, entry, readerAt(from, read, journal, context));
}

const REASONS: Record<ReasonCode, string> = {
  completed: 'the run completed',
  queued_for_human: 'the task is queued for a person',
  max_steps: 'the run reached its limit of steps',
  timeout: 'the run reached its limit of time',
  max_retries: 'too many steps failed in a row',
  budget_exceeded: 'the run reached its limit of cost',
  token_limit: 'the run reached its limit of tokens',
  tool_call_limit: 'the run reached its limit of tool calls',
  loop_detected: 'the run repeated itself',
  killed: 'an operator killed the run',
  cancelled: 'the run was cancelled',
  approval_denied: 'an approval was denied',
  approval_timeout: 'nobody approved in time',
  no_model: 'no model can be reached under the name that the agent gives',
  crash_limit: 'the run crashed its node again and again',
  invalid_task: 'the task is not valid',
  outcome_unknown: 'nobody knows whether a call took effect',
  error: 'the run failed',
};

function reasonText(code: ReasonCode, detail: string): string {
  return clip(detail === '' ? REASONS[code] : `${REASONS[code]}: ${redactText(detail)}`, 2048);
}
