import { idempotencyKey } from '../../machines/agent-run/calls.ts';
import { listsTool } from '../core/agent.ts';
import { StoredResult } from '../core/blob.ts';
import { AppError, type ErrorInfo, toAppError } from '../core/errors.ts';
import type { RunEvent } from '../core/events.ts';
import { exceedsBytes, isJson, type Json, MAX_DEPTH, MAX_RESULT_BYTES } from '../core/json.ts';
import type { RunCall } from '../core/run-state.ts';
import { toolScope } from '../core/switch-scope.ts';
import { amountMoved } from '../policy/caps.ts';
import { afterFailedCall, suggestionFor } from '../policy/retry.ts';
import { UNKNOWN_EFFECT } from '../ports/tools.ts';
import { missingApproval } from './approval-check.ts';
import { type CallOutcome, type Foreseen, isStopped, type Passed, passGates } from './call-gates.ts';
import type { Stopped } from './call-refusals.ts';
import { type EffectScope, type Permit, stepTime, type WantOf } from './effects.ts';
import { staleBefore } from './freshness.ts';
import { argumentsOf, plannedOf } from './steps.ts';
import type { CachedCall } from './tool-cache.ts';

/**
 * One tool call. A call that must not be repeated is journalled as started, with the moment after which no worker may
 * begin it, before it is sent: after a crash nobody repeats it blindly.
 */
export async function call(scope: EffectScope, want: WantOf<'call'>): Promise<RunEvent[]> {
  const { log } = scope;
  const { call: planned } = want;
  const args = await argumentsOf(planned, scope.read);
  const uses = toolScope(planned.tool);
  const permit = scope.permit(uses);
  if (permit !== 'go') return notPermitted(scope, planned, permit);
  const missing = planned.approval_until === undefined ? null : await missingApproval(scope, planned, args);
  if (missing !== null) {
    log.error('approval.missing', { ...said(scope, planned), code: missing.code, message: missing.message });
    return [{ type: 'call_failed', c: planned.c, error: missing, ms: 0 }];
  }
  const stale = await staleBefore(scope, planned);
  if (stale !== null) {
    log.warn('tool.executed', { ...said(scope, planned), status: 'refused', code: stale.code, message: stale.message });
    return [{ type: 'call_failed', c: planned.c, error: stale, ms: 0 }];
  }
  const equal = await cachedCall(scope, planned, args);
  const known = equal === null ? null : fromCache(scope, planned, equal);
  if (known !== null) return scope.effort.notWanted ? [] : [known];
  let passed: Passed | Stopped;
  try {
    passed = await passGates(scope, uses, foreseenFor(scope, planned, args));
  } catch (thrown) {
    return scope.effort.notWanted ? [] : failed(scope, planned, toAppError(thrown), 0);
  }
  if (isStopped(passed)) return stopped(scope, planned, passed);
  let outcome: CallOutcome = 'not_made';
  try {
    const note = (how: CallOutcome): void => {
      outcome = how;
    };
    return scope.effort.notWanted ? [] : await made(scope, planned, args, equal, note);
  } finally {
    passed.over(outcome, null);
  }
}

/** How the call is found in the cache; null for a tool whose results are not kept. */
async function cachedCall(
  { accepted, read }: EffectScope,
  { c, tool }: RunCall,
  args: Record<string, Json>,
): Promise<CachedCall | null> {
  const { cache: rule, version = '' } = (await plannedOf(c, read)) ?? {};
  return rule === undefined ? null : { tool, version, user: accepted.user, args, rule };
}

/** The result of an equal call, as if the tool had been called: it takes no room of a rate or cap, and no key. */
function fromCache(scope: EffectScope, planned: RunCall, equal: CachedCall): RunEvent | null {
  const { deps, log } = scope;
  const found = deps.toolResults.find(equal, deps.clock.now());
  deps.telemetry?.metrics?.toolCache({ tool: planned.tool, outcome: found === null ? 'miss' : 'hit' });
  if (found === null) return null;
  const { result, at } = found;
  log.info('tool.executed', { ...said(scope, planned), status: 'ok', ms: 0, cached_at: new Date(at).toISOString() });
  return { type: 'call_done', c: planned.c, result, ms: 0, cached: { at } };
}

/** What caps in USD count: an argument that the cap names, or the tool as it is announced now. */
function foreseenFor({ deps }: EffectScope, { tool }: RunCall, args: Record<string, Json>): Foreseen {
  return {
    tokens: () => 0,
    async nanos(field) {
      if (field !== undefined) return amountMoved(tool, field, args);
      const definition = await deps.tools.find(tool);
      if (definition !== null) return amountMoved(tool, definition.amount_field, args);
      const text = `no worker announces the tool ${tool} now, so nobody knows what a cap in USD is to count`;
      throw new AppError('unknown_tool', text, { retryable: true });
    },
  };
}

/** All gates have let it through. */
async function made(
  scope: EffectScope,
  planned: RunCall,
  args: Record<string, Json>,
  equal: CachedCall | null,
  note: (how: CallOutcome) => void,
): Promise<RunEvent[]> {
  const { deps, context, accepted, log } = scope;
  const uses = toolScope(planned.tool);
  const timeoutMs = Math.min(planned.timeout_ms, stepTime(scope));
  const now = deps.clock.now();
  // A kill that this node has not read is acknowledged once the reading is too old: no worker may begin after that.
  const window = planned.idempotent ? timeoutMs : deps.settings.start_window_ms;
  const startBy = Math.min(now + window, deps.switches.validUntil);
  if (!planned.idempotent) {
    if (!(await scope.write([{ type: 'call_started', c: planned.c, start_by: startBy }]))) return [];
    deps.faults.hit('call.started');
    // The write may have waited for the server to come back.
    if (deps.clock.now() > startBy) return failed(scope, planned, notSent(planned, 'its start-by had passed'), 0);
    const still = scope.permit(uses);
    if (still === 'wait') return failed(scope, planned, notSent(planned, 'a switch holds the run or the tool'), 0);
    if (still !== 'go') return notPermitted(scope, planned, still);
  }
  const started = deps.clock.now();
  const sinceStart = () => Math.max(0, deps.clock.now() - started);
  try {
    const { effort } = scope;
    const what = `tool ${planned.tool}`;
    const send = () =>
      deps.tools.call({
        tool: planned.tool,
        args,
        run: context.run,
        c: planned.c,
        agent: accepted.agent.name,
        user: accepted.user,
        idempotencyKey: idempotencyKey(context.run, planned),
        startBy,
        timeoutMs,
        attempt: (planned.attempt ?? 0) + 1,
        refresh: planned.retry === 'auth_error',
        traceparent: scope.telemetry?.traceparent(planned.c),
        get signal() {
          return effort.signal;
        },
      });
    note('cut');
    const answered = effort.within(deps.clock, timeoutMs, what, () => scope.watched.others(what, send));
    deps.faults.hit('call.sent');
    const result = await answered;
    deps.faults.hit('call.returned');
    note('ok');
    if (result instanceof StoredResult) {
      log.info('tool.executed', { ...said(scope, planned), status: 'ok', ms: sinceStart() });
      return [{ type: 'call_done', c: planned.c, result: result.preview, blob: result.ref, ms: sinceStart() }];
    }
    if (result !== undefined && !isJson(result)) {
      const text = `tool ${planned.tool} answered JSON nested more than ${MAX_DEPTH} deep, or a number past 1.8e308`;
      throw new AppError('bad_result', text);
    }
    if (exceedsBytes(JSON.stringify(result ?? null), MAX_RESULT_BYTES)) {
      throw new AppError(
        'result_too_large',
        `tool ${planned.tool} answered more than ${MAX_RESULT_BYTES} bytes of JSON`,
      );
    }
    log.info('tool.executed', { ...said(scope, planned), status: 'ok', ms: sinceStart() });
    if (equal !== null) deps.toolResults.keep(equal, { result: result ?? null, at: deps.clock.now() });
    return [{ type: 'call_done', c: planned.c, result: result ?? null, ms: sinceStart() }];
  } catch (thrown) {
    if (scope.effort.notWanted) return [];
    const off = scope.effort.switchedOff;
    if (off !== undefined) return cutOff(scope, planned, off, sinceStart());
    const fault = toAppError(thrown, 'tool_error');
    note(fault);
    return failed(scope, planned, fault, sinceStart());
  }
}

/** What a failed try leads to: another one, an error for whoever decides, or a question to a person. */
function failed(scope: EffectScope, planned: RunCall, fault: AppError, ms: number): RunEvent[] {
  const { deps, context, log } = scope;
  const { c, tool, idempotent, tried = {} } = planned;
  const error = fault.toInfo();
  const faulty = { ...said(scope, planned), code: error.code, message: error.message, ms };
  const effectUnknown = UNKNOWN_EFFECT.has(error.code);
  const open = effectUnknown || scope.inherited(c) ? ({ effect_open: true } as const) : {};
  const verdict = afterFailedCall({
    tool,
    error,
    idempotent,
    effectUnknown,
    instead: standInFor(scope, tool),
    tried,
    baseMs: context.backoff_ms,
    random: deps.ids.fraction(),
  });
  if (verdict.verdict === 'again') {
    const { class: cls, attempt, wait_ms } = verdict;
    log.warn('tool.retry', { ...faulty, class: cls, attempt, wait_ms });
    const not_before = deps.clock.now() + wait_ms;
    return [{ type: 'call_retry', c, class: cls, error, ms, ...open, attempt, wait_ms, not_before }];
  }
  log.warn('tool.executed', { ...faulty, status: 'error' });
  return verdict.verdict === 'unknown'
    ? [{ type: 'outcome_unknown', c, error }]
    : [{ type: 'call_failed', c, error: verdict.error, ms, ...open }];
}

/** A gate lets nothing through now: the call waits for its moment, or the model is told to do without. */
function stopped(scope: EffectScope, planned: RunCall, { gate, error, again_at }: Stopped): RunEvent[] {
  const { deps, log } = scope;
  const { c, tool, tried = {} } = planned;
  log.warn('tool.held', { ...said(scope, planned), gate, code: error.code, message: error.message });
  const open = scope.inherited(c) ? ({ effect_open: true } as const) : {};
  if (gate === 'breaker' || again_at === null) {
    return [{ type: 'call_failed', c, error: withoutTool(scope, tool, error), ms: 0, ...open }];
  }
  const wait_ms = Math.ceil(Math.max(1, again_at - deps.clock.now()));
  const not_before = deps.clock.now() + wait_ms;
  const attempt = (tried.rate_limit ?? 0) + 1;
  return [
    { type: 'call_retry', c, class: 'rate_limit', error: error.toInfo(), ms: 0, ...open, attempt, wait_ms, not_before },
  ];
}

/** The call was not sent: it waits, or counts as failed. */
function notPermitted(scope: EffectScope, { c, tool }: RunCall, permit: Exclude<Permit, 'go'>): RunEvent[] {
  if (permit === 'wait') return [];
  scope.deps.switches.hit(toolScope(tool), 'calls');
  const open = scope.inherited(c) ? ({ effect_open: true } as const) : {};
  return [{ type: 'call_failed', c, error: withoutTool(scope, tool, permit.off), ms: 0, ...open }];
}

/** A switch ended it while it was under way. */
function cutOff(scope: EffectScope, { c, tool, idempotent }: RunCall, off: AppError, ms: number): RunEvent[] {
  scope.deps.switches.hit(toolScope(tool), 'calls');
  if (!idempotent) return [{ type: 'outcome_unknown', c, error: off.toInfo() }];
  return [
    {
      type: 'call_failed',
      c,
      error: withoutTool(scope, tool, off),
      ms,
      effect_open: true,
    },
  ];
}

/** As for a tool that is down (DEG-3). */
function withoutTool(scope: EffectScope, tool: string, off: AppError): ErrorInfo {
  return { ...off.toInfo(), suggestion: suggestionFor(tool, standInFor(scope, tool)) };
}

/** The tool that the agent may use when this one stays down. */
function standInFor({ accepted: { agent } }: EffectScope, tool: string): string | undefined {
  const { tools = {} } = agent.fallback ?? {};
  const instead = Object.hasOwn(tools, tool) ? tools[tool] : undefined;
  return instead !== undefined && listsTool(agent, instead) ? instead : undefined;
}

/** What every line about a call names. */
function said({ context }: EffectScope, { tool, c }: RunCall): Record<string, unknown> {
  return { step: context.steps + 1, tool, call: c };
}

function notSent(planned: RunCall, why: string): AppError {
  const text = `tool ${planned.tool} was not called: ${why}`;
  return new AppError('too_late', text, { retryable: true });
}
