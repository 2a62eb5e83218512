import type { ApprovalReason } from '../core/approval-rules.ts';
import { digestOf } from '../core/canonical.ts';
import type { CallRequest } from '../core/decision.ts';
import { Decision, membersOf, NO_USAGE, Usage } from '../core/decision.ts';
import { AppError, describeFaults, toAppError } from '../core/errors.ts';
import type { PlannedCall, RunEvent } from '../core/events.ts';
import { isPlain, modelOf } from '../core/fallback.ts';
import { exceedsBytes } from '../core/json.ts';
import type { Amount } from '../core/ledger-wire.ts';
import type { LoopVerdict } from '../core/loops.ts';
import type { Plan } from '../core/plan.ts';
import { modelScope } from '../core/switch-scope.ts';
import type { ToolDefinition } from '../core/tool.ts';
import { limitsNow } from '../policy/degrade.ts';
import type { Fetched } from '../policy/freshness.ts';
import { type LimitVerdict, limitAfterUsage, limitBeforeStep, limitOnCalls } from '../policy/limits.ts';
import type { CompiledPolicy } from '../policy/permissions/compile.ts';
import { afterFailedThink } from '../policy/retry.ts';
import { gateCall, gateDelegation } from '../policy/tool-gate.ts';
import type { ThinkReply } from '../ports/model.ts';
import { isStopped, type Passed, passGates } from './call-gates.ts';
import { type Stopped, waitOf } from './call-refusals.ts';
import { fallBackOr, linkFor, tellFallback } from './degrade.ts';
import { type EffectScope, type Hold, stepTime, type WantOf } from './effects.ts';
import { estimateFor } from './estimate.ts';
import { fetchedOf } from './freshness.ts';
import { askedByLoop, loopBeforeStep, loopInDecision, refusedByLoop, stoppedBy } from './loop-watch.ts';
import { underOldKeys } from './open-calls.ts';
import { WORDS_MS } from './spending.ts';
import { planInForce, thinkInput } from './think-input.ts';
import { usedByFailed } from './used-by-failed.ts';
import { anomalies, tellLoop } from './warnings.ts';

/** Largest decision, bytes of its JSON. */
const MAX_DECISION_BYTES = 256 * 1024;

/**
 * One model call. Policy is asked before (limits) and after (usage, gates); its verdict stands in the same journal entry
 * as the decision that it is about.
 */
export async function think(scope: EffectScope, want: WantOf<'think'>): Promise<RunEvent[]> {
  const { deps, context, accepted, log } = scope;
  const before = limitBeforeStep(context, limitsNow(accepted.agent, context));
  if (before !== null) return fallBackOr(scope, { type: 'limit', ...before });
  const loop = loopBeforeStep(scope);
  tellLoop(scope, loop);
  if (loop?.rung === 'stop') return [stoppedBy(loop)];

  log.info('agent.step.start', { step: context.steps + 1, phase: want.phase });
  let started = deps.clock.now();
  const name = modelOf(accepted.agent, context);
  const uses = modelScope(name);
  let reply: ThinkReply;
  let hold: Hold | null = null;
  let passed: Passed | null = null;
  try {
    const model = deps.models.get(name);
    const input = await thinkInput(scope, want.phase, loop);
    let known: Amount | null = null;
    const estimate = () => (known ??= estimateFor(scope, context, input.maxOutputTokens));
    const held = await scope.hold(want.id, input.maxOutputTokens);
    if (held !== null && 'type' in held) return fallBackOr(scope, held);
    hold = held;
    const gates = await passGates(scope, uses, { tokens: () => estimate().tokens, nanos: () => estimate().nanos });
    if (isStopped(gates)) throw later(gates, deps.clock.now());
    passed = gates;
    const permit = scope.effort.notWanted ? 'wait' : scope.permit(uses);
    if (permit !== 'go') {
      passed.over('not_made', null);
      passed = null;
      if (permit !== 'wait') throw permit.off;
      await hold?.settle(NO_USAGE, true);
      return [];
    }
    started = deps.clock.now();
    const what = `model ${name}`;
    const ask = () => scope.watched.others(what, () => model.think(input));
    reply = await scope.effort.within(deps.clock, stepTime(scope), what, ask, WORDS_MS);
    reply = checked(reply, isPlain(context) ? 'last' : want.phase);
  } catch (thrown) {
    const { switchedOff, notWanted } = scope.effort;
    const error = switchedOff ?? toAppError(thrown, 'model_error');
    const isCut = notWanted || switchedOff !== undefined;
    const used = passed === null ? NO_USAGE : usedByFailed(toAppError(thrown), isCut);
    passed?.over(isCut ? 'cut' : error, used);
    await hold?.settle(used, !isCut);
    return failed(scope, error, Math.max(0, deps.clock.now() - started));
  }
  deps.faults.hit('think.returned');
  passed.over('ok', reply.usage);
  await hold?.settle(reply.usage, true);
  const ms = Math.max(0, deps.clock.now() - started);
  log.info('llm.response', {
    step: context.steps + 1,
    action: reply.decision.action,
    model: reply.model,
    tokens_in: reply.usage.input_tokens,
    tokens_out: reply.usage.output_tokens,
    cost_usd: reply.usage.cost_usd,
    ms,
  });
  return judged(scope, reply, ms, loop);
}

/** A gate lets nothing through now: a passing failure that says when to come again. */
function later(stopped: Stopped, now: number): AppError {
  const { code, message, retryable } = stopped.error;
  return new AppError(code, message, { retryable, retryAfterMs: waitOf(stopped, now) });
}

/** What a failed model call leads to: the same question again, or a failed step. Its usage counts either way. */
function failed(scope: EffectScope, fault: AppError, ms: number): RunEvent[] {
  const { deps, accepted, context, log } = scope;
  const model = modelOf(accepted.agent, context);
  const error = fault.toInfo();
  const said = { step: context.steps + 1, model, code: error.code, message: error.message, ms };
  const used = Usage.safeParse(fault.usage);
  const usage = used.success ? used.data : NO_USAGE;
  const verdict = afterFailedThink({
    model,
    error,
    tried: context.think_retries,
    baseMs: context.backoff_ms,
    random: deps.ids.fraction(),
  });
  // Nobody waits for a model that is known to be down, or used up for this hour, while there is another.
  const link =
    verdict.verdict === 'failed' || error.code === 'circuit_open' || error.code === 'cap_reached'
      ? linkFor(scope, 'model', verdict.verdict === 'failed' ? verdict.error : error)
      : null;
  if (link !== null) return [tellFallback(scope, { ...link, usage, model, ms })];
  if (verdict.verdict === 'again') {
    const { attempt, wait_ms } = verdict;
    log.warn('llm.retry', { ...said, attempt, wait_ms });
    const not_before = deps.clock.now() + wait_ms;
    return [{ type: 'think_retry', error, usage, model, ms, attempt, wait_ms, not_before }];
  }
  log.warn('step_failed', said);
  return [{ type: 'think_failed', error: verdict.error, usage, model, ms, ...anomalies(scope, usage, 0) }];
}

/** What a model may answer to each question. */
const ANSWERS: Record<
  WantOf<'think'>['phase'] | 'last',
  { fits: (action: Decision['action']) => boolean; expected: string }
> = {
  planning: {
    fits: (action) => action === 'plan' || action === 'think',
    expected: '"plan", or "think" to go on without one',
  },
  deciding: { fits: (action) => action !== 'review', expected: 'anything but "review"' },
  reviewing: { fits: (action) => action === 'review', expected: '"review", with the verdict accept or revise' },
  last: { fits: (action) => action === 'final_answer', expected: '"final_answer": the budget allows nothing else' },
};

/** A model's reply is input from outside: parsed, and bounded. What a bad one used counts. */
function checked(reply: ThinkReply, phase: keyof typeof ANSWERS): ThinkReply {
  const used = Usage.safeParse(reply.usage);
  if (!used.success)
    throw new AppError('bad_usage', `the model's usage is not valid: ${describeFaults(used.error, 'usage').message}`);
  const usage = used.data;
  const decision = Decision.safeParse(reply.decision);
  if (!decision.success) {
    const { message, field } = describeFaults(decision.error, 'decision');
    const text = `the model's decision is not valid: ${message}`;
    throw new AppError('bad_decision', text, { retryable: true, field, usage });
  }
  const { fits, expected } = ANSWERS[phase];
  if (!fits(decision.data.action)) {
    const text = `while ${phase} the model decided "${decision.data.action}"; expected ${expected}`;
    throw new AppError('bad_decision', text, { retryable: true, field: 'action', usage });
  }
  if (exceedsBytes(JSON.stringify(decision.data), MAX_DECISION_BYTES)) {
    const text = `the model's decision has more than ${MAX_DECISION_BYTES} bytes of JSON`;
    throw new AppError('decision_too_large', text, { retryable: true, usage });
  }
  return { decision: decision.data, usage, model: reply.model };
}

async function judged(
  scope: EffectScope,
  reply: ThinkReply,
  ms: number,
  before: LoopVerdict | null,
): Promise<RunEvent[]> {
  const { decision, usage, model } = reply;
  const loop = loopInDecision(scope, decision, before);
  if (loop !== before) tellLoop(scope, loop);
  const planned = await gates(scope, decision);
  const asked = askedByLoop(scope, decision, planned, loop);
  const calls = asked === null ? refusedByLoop(scope, decision, planned, loop) : await gates(scope, decision, [asked]);
  tellRefused(scope, calls);
  const made = decision.action === 'tool_call' ? (calls?.filter((call) => call.refused === undefined).length ?? 0) : 0;
  const verdict: LimitVerdict = limitAfterUsage(scope.context, usage) ?? limitOnCalls(scope.context, made);
  const passed =
    verdict === null || calls === undefined
      ? calls
      : calls.map((call) => ({
          ...call,
          refused: call.refused ?? { code: verdict.code, message: verdict.detail, retryable: false },
        }));
  const decided: RunEvent = {
    type: 'decided',
    decision,
    ...(passed === undefined ? {} : { calls: passed }),
    usage,
    model: model.slice(0, 128),
    ms,
    ...(loop === null ? {} : { loop }),
    ...anomalies(scope, usage, made),
  };
  if (verdict !== null) return [decided, { type: 'limit', ...verdict }];
  return loop?.rung === 'stop' ? [decided, stoppedBy(loop)] : [decided];
}

/** What the policy refuses is a decision of people that they want to find again. */
function tellRefused({ context, log }: EffectScope, calls: readonly PlannedCall[] = []): void {
  for (const { tool, refused, policy } of calls) {
    if (refused === undefined || policy === undefined) continue;
    const { code, message } = refused;
    log.warn('tool.refused', { step: context.steps + 1, tool, code, message, policy: policy.version });
  }
}

/** @param asked why all of its calls need an approval, beside what tools and agent say */
async function gates(
  scope: EffectScope,
  decision: Decision,
  asked: ApprovalReason[] = [],
): Promise<PlannedCall[] | undefined> {
  const { deps, accepted, context } = scope;
  if (decision.action === 'tool_call') {
    const plan = decision.calls.some((request) => request.plan_step !== undefined) ? await planInForce(scope) : null;
    const fetched = await fetchedOf(scope);
    const planned = await Promise.all(decision.calls.map((request) => gate(scope, request, plan, fetched, asked)));
    return context.open.length === 0 ? planned : underOldKeys(scope, decision.calls, planned);
  }
  if (decision.action !== 'delegate') return undefined;
  const planned: PlannedCall[] = [];
  let { children } = context;
  for (const { agent: to } of membersOf(decision)) {
    const known = (await deps.agents.find(to)) !== undefined;
    const { agent, ancestors } = accepted;
    const refused = gateDelegation({ agent, to, known, depth: ancestors.length, children, limits: context.limits });
    if (refused === null) children++;
    const call = { tool: `agent:${to}`.slice(0, 64), idempotent: true, timeout_ms: 0 };
    planned.push(refused === null ? call : { ...call, refused });
  }
  return planned;
}

async function gate(
  scope: EffectScope,
  request: CallRequest,
  plan: Plan | null,
  fetched: readonly Fetched[],
  asked: ApprovalReason[],
): Promise<PlannedCall> {
  const { deps, accepted, context } = scope;
  let definition: ToolDefinition | null;
  let policy: CompiledPolicy;
  try {
    policy = await deps.policies.over(accepted.policy);
    definition = await deps.tools.find(request.tool);
  } catch (thrown) {
    const refused = toAppError(thrown, 'tool_not_known').toInfo();
    return { tool: request.tool, idempotent: false, timeout_ms: 0, refused };
  }
  return gateCall({
    agent: accepted.agent,
    above: accepted.above ?? [],
    policy,
    user: accepted.user,
    taint: context.taint ?? null,
    request,
    definition,
    plan: plan === null ? null : { plan, isDone: (step) => Object.hasOwn(context.plan?.done ?? {}, step) },
    fetched,
    faults: (schema, args) => scope.watched.now('validate', () => deps.validator.faults(schema, args)),
    digest: (args) => digestOf(deps.signatures, args),
    asked,
    now: deps.clock.now(),
  });
}
