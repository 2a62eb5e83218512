import { describe, expect, it } from 'vitest';
import { startClock, stopClock } from '../../machines/agent-run/account.ts';
import { backoff, endStep } from '../../machines/agent-run/calls.ts';
import { EMPTY_CONTEXT } from '../../machines/agent-run/context.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import { DEFAULT_ANOMALY_SETTINGS } from '../../src/core/anomalies.ts';
import { Limits } from '../../src/core/limits.ts';
import { LOOP_RUNGS, LoopSettings, MAX_PERIOD } from '../../src/core/loops.ts';
import { Outcome, ReasonCode } from '../../src/core/reasons.ts';
import { USUAL_RUNS, usualCost } from '../../src/policy/anomalies.ts';

/** What holds when nobody says otherwise: of a single run. */

describe('a run', () => {
  it('RUN-5: has 20 steps, 300 s, 30 s a step, 4,000 output tokens a step, 100,000 tokens, 1 USD and 100 tool calls', () => {
    expect(Limits.parse({})).toMatchObject({
      steps: 20,
      wall_ms: 300_000,
      step_ms: 30_000,
      output_tokens_per_step: 4_000,
      tokens: 100_000,
      cost_usd: 1,
      tool_calls: 100,
    });
  });

  it('RUN-6: has as much time after a wait for a person as before it', () => {
    const waiting = { ...EMPTY_CONTEXT, deadline_at: 10_000 };
    const stopped = { ...waiting, ...stopClock(waiting, 4_000) };
    expect(startClock(stopped, 604_000)).toEqual({ clock_stopped_at: null, deadline_at: 610_000 });
  });

  it('RUN-7: ends after 3 failing steps in a row, 2, 4 and 8 s apart; a success begins the count anew', () => {
    expect(Limits.parse({}).failing_steps).toBe(3);
    const { retry_backoff_ms: backoff_ms } = AgentDefinition.parse({ name: 'a', model: 'm' });
    const waits = [1, 2, 3].map((n) => backoff({ ...EMPTY_CONTEXT, backoff_ms }, n));
    expect(waits).toEqual([2_000, 4_000, 8_000]);
    const call = { c: '3-0', tool: 't', idempotent: true, timeout_ms: 1, status: 'done' as const };
    expect(endStep({ ...EMPTY_CONTEXT, failing: 2, calls: [call] }, 1).failing).toBe(0);
    expect(endStep({ ...EMPTY_CONTEXT, failing: 1, calls: [{ ...call, status: 'failed' }] }, 1).failing).toBe(2);
  });

  it('RUN-8: ends with one of these codes and outcomes', () => {
    expect([...ReasonCode.options].sort((a, b) => a.localeCompare(b))).toEqual([
      'approval_denied',
      'approval_timeout',
      'budget_exceeded',
      'cancelled',
      'completed',
      'crash_limit',
      'error',
      'invalid_task',
      'killed',
      'loop_detected',
      'max_retries',
      'max_steps',
      'no_model',
      'outcome_unknown',
      'queued_for_human',
      'timeout',
      'token_limit',
      'tool_call_limit',
    ]);
    expect(Outcome.options).toEqual(['success', 'failure', 'timeout', 'cancelled']);
  });

  it('SUP-4: is looked at for loops of up to 5 steps, which climb from a warning to the end', () => {
    expect(MAX_PERIOD).toBe(5);
    expect(LOOP_RUNGS).toEqual(['warn', 'nudge', 'ask', 'stop']);
    const settings = LoopSettings.parse({});
    expect(settings.detect).toBe(true);
    expect(settings.repeat).toEqual({ warn: 3, nudge: 4, ask: 5, stop: 6 });
    for (const rule of ['repeat', 'error', 'no_progress'] as const) {
      const { warn, nudge, ask, stop } = settings[rule];
      expect([warn, nudge, ask, stop]).toEqual([warn, nudge, ask, stop].toSorted((a, b) => (a ?? 0) - (b ?? 0)));
    }
  });

  it('SUP-5: is remarked on over 0.50 USD, 50,000 tokens, 80 calls, and 3 times the median of the last 100 runs', () => {
    expect(DEFAULT_ANOMALY_SETTINGS).toEqual({ cost_usd: 0.5, tokens: 50_000, tool_calls: 80, cost_times: 3 });
    expect(USUAL_RUNS).toBe(100);
    expect(usualCost([...Array(100).keys()].map((n) => n + 1))).toBe(50.5);
    // The naive rule is there, and off.
    expect(LoopSettings.parse({}).few_tools).toBe(false);
  });
});
