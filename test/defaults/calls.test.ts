import { describe, expect, it } from 'vitest';
import { AgentDefinition } from '../../src/core/agent.ts';
import { DEFAULT_RULES } from '../../src/core/approval-rules.ts';
import { APPROVAL_STATES } from '../../src/core/approval-wire.ts';
import type { ErrorInfo } from '../../src/core/errors.ts';
import { Fallback } from '../../src/core/fallback.ts';
import { quotasFrom } from '../../src/core/quotas.ts';
import type { RunContext } from '../../src/core/run-state.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import { nextLink, textFor } from '../../src/policy/degrade.ts';
import { priceOf } from '../../src/policy/pricing.ts';
import { breakerOf, bucketsOf } from '../../src/policy/quotas.ts';
import { afterFailedCall, afterFailedThink } from '../../src/policy/retry.ts';

/** What holds when nobody says otherwise: of calls, approvals, budgets and what a run falls back on. */

const agent = AgentDefinition.parse({ name: 'a', model: 'm' });
const tool = ToolDefinition.parse({ name: 't', description: '', parameters: {} });
const error = (code: string): ErrorInfo => ({ code, message: code, retryable: true });

/** The waits before each retry of a call that always fails so, milliseconds. */
function waits(code: string, random = 0): number[] {
  const found: number[] = [];
  const tried: Record<string, number> = {};
  for (;;) {
    const call = { tool: 't', error: error(code), idempotent: true, effectUnknown: false, tried };
    const verdict = afterFailedCall({ ...call, baseMs: agent.retry_backoff_ms, random });
    if (verdict.verdict !== 'again') return found;
    found.push(verdict.wait_ms);
    tried[verdict.class] = verdict.attempt;
  }
}

describe('a call', () => {
  it('TOOL-6: is made again 5, 3, 1 or 2 times by the class of its failure, with a base of 1 s and up to 1 s of chance', () => {
    expect(agent.retry_backoff_ms).toBe(1_000);
    expect(waits('rate_limit')).toEqual([1_000, 2_000, 4_000, 8_000, 16_000]);
    expect(waits('timeout')).toEqual([1_000, 2_000, 3_000]);
    expect(waits('auth_error')).toEqual([0]);
    expect(waits('tool_crash')).toEqual([1_000, 1_000]);
    expect(waits('tool_error')).toEqual([]);
    expect(waits('tool_crash', 0.999)).toEqual([1_999, 1_999]);
    const unsafe = { tool: 't', error: error('timeout'), idempotent: false, effectUnknown: true, tried: {} };
    expect(afterFailedCall({ ...unsafe, baseMs: 1, random: 0 })).toEqual({ verdict: 'unknown' });
  });

  it('TOOL-6: of a model is made again 3 times, 1, 2 and 4 s apart', () => {
    const verdicts = [0, 1, 2, 3].map((tried) =>
      afterFailedThink({ model: 'm', error: error('timeout'), tried, baseMs: agent.retry_backoff_ms, random: 0 }),
    );
    expect(verdicts.slice(0, 3)).toMatchObject([{ wait_ms: 1_000 }, { wait_ms: 2_000 }, { wait_ms: 4_000 }]);
    expect(verdicts[3]).toMatchObject({ verdict: 'failed', error: { code: 'max_retries_exceeded' } });
  });

  it('TOOL-7: finds the breaker of a tool open after 5 failures for 60 s, of a model after 3 for 30 s; 2 successes close it', () => {
    const quotas = quotasFrom(undefined);
    expect(breakerOf(quotas, 'tool:t')).toEqual({ failures: 5, open_ms: 60_000, successes: 2 });
    expect(breakerOf(quotas, 'model:m')).toEqual({ failures: 3, open_ms: 30_000, successes: 2 });
  });

  it('TOOL-8, TOOL-13: has no rate and no cap unless one is set (decision 20)', () => {
    expect(quotasFrom(undefined)).toMatchObject({ rates: [], caps: [] });
  });

  it('TOOL-8: of a rate is counted, whoever makes it, and not its tokens; one comes back at a time', () => {
    const { rates, ...quotas } = quotasFrom({ rates: [{ for: 'model:m', capacity: 5, every_ms: 10 }] });
    expect(rates).toEqual([{ for: 'model:m', per: 'cluster', capacity: 5, every_ms: 10 }]);
    expect(bucketsOf({ ...quotas, rates }, 'model:m', 'u', () => 9)).toEqual({
      calls: [{ scope: 'model:m', capacity: 5, every_ms: 10, take: 1 }],
      tokens: [],
    });
  });

  it('TOOL-9, TOOL-10, OPS-8: has results that hold for good, are not cached, and that nothing makes up for, unless its tool says so', () => {
    expect(tool).not.toHaveProperty('valid_ms');
    expect(tool).not.toHaveProperty('cache_ms');
    expect(tool).not.toHaveProperty('compensation');
  });

  it('APPR-1: needs an approval at risk high and above an amount of 1,000', () => {
    expect(DEFAULT_RULES).toMatchObject({ risk: ['high'], amount_over: 1_000, needed: 1 });
    expect(tool).toMatchObject({ effect: 'write', risk: 'low', requires_approval: false, idempotent: false });
  });

  it('APPR-2: is not approved after 300 s, which is a state of its own', () => {
    expect(DEFAULT_RULES.timeout_ms).toBe(300_000);
    expect(APPROVAL_STATES).toEqual(['pending', 'approved', 'rejected', 'timed_out', 'cancelled']);
  });
});

describe('what is spent', () => {
  it('COST-1: on a model without a price is an error, and not 0', () => {
    expect(() => priceOf({ v: 1, prices: [] }, 'openai/unknown', 0)).toThrow(/price/);
  });

  it('COST-2: by a user is 10 USD a day', () => {
    expect(quotasFrom(undefined)).toMatchObject({ users: { '*': { day: { usd: 10 } } }, agents: {} });
  });
});

describe('what a run falls back on', () => {
  const context: Pick<RunContext, 'failing' | 'limits'> = { failing: 0, limits: agent.limits };
  const cached = { answer: 42, run: 'r', at: 1 };
  const all = Fallback.parse({ models: [{ model: 'n' }], plain: {}, cached: {}, person: { queue: 'q' } });
  const next = (kind: 'model' | 'budget', with_: object = {}, found: typeof cached | null = cached) =>
    nextLink({
      agent: { ...agent, fallback: all },
      context: { ...context, ...with_ },
      kind,
      error: error(kind === 'model' ? 'circuit_open' : 'budget_exceeded'),
      cached: found,
    })?.to;
  const link = (to: 'model' | 'plain', model: string) => ({ kind: 'model' as const, to, model, error: error('x') });

  it('DEG-1, COST-4, APPR-6: is nothing unless its agent says so: then it ends gracefully', () => {
    expect(agent.fallback).toBeUndefined();
    expect(Fallback.parse({})).toEqual({ models: [], tools: {}, texts: {} });
    expect(nextLink({ agent, context, kind: 'budget', error: error('budget_exceeded'), cached })).toBeNull();
  });

  it('DEG-2: comes in the order plain completion on a spent budget; another model, the cached answer, a person on a dead model', () => {
    expect(next('budget')).toBe('plain');
    expect(next('budget', { fallback: [link('plain', 'm')] })).toBe('person');
    expect(next('model')).toBe('model');
    expect(next('model', { fallback: [link('model', 'n')] })).toBe('cached');
    expect(next('model', { fallback: [link('model', 'n')] }, null)).toBe('person');
  });

  it('DEG-3: is told to a model as unavailable, with the name of the tool and what to do instead', () => {
    const tried = { timeout: 3 };
    const call = { tool: 'search', error: error('timeout'), idempotent: true, effectUnknown: false, tried };
    const verdict = afterFailedCall({ ...call, baseMs: 1, random: 0 });
    expect(verdict).toMatchObject({ verdict: 'failed', error: { code: 'unavailable' } });
    if (verdict.verdict !== 'failed') throw new Error('not failed');
    expect([verdict.error.message, verdict.error.suggestion]).toEqual([
      expect.stringContaining('search'),
      expect.stringContaining('Do not wait for search'),
    ]);
  });

  it('DEG-4: has a text for its user for each kind of failure, which an agent may put otherwise, and none for a success', () => {
    expect(textFor(agent, 'no_model', undefined)).toContain('model');
    expect(textFor(agent, 'max_retries', error('unavailable'))).toContain('tool');
    expect(textFor(agent, 'timeout', undefined)).toContain('longer');
    expect(textFor(agent, 'error', error('bad_plan'))).toContain('could not be done');
    expect(textFor(agent, 'completed', undefined)).toBeNull();
    const own = { ...agent, fallback: Fallback.parse({ texts: { time: 'Call 555.' } }) };
    expect(textFor(own, 'timeout', undefined)).toBe('Call 555.');
  });
});
