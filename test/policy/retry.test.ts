import { describe, expect, it } from 'vitest';
import { afterFailedCall, afterFailedThink } from '../../src/policy/retry.ts';

const failure = (code: string, more: { retry_after_ms?: number } = {}) => ({
  code,
  message: 'it broke',
  retryable: true,
  ...more,
});
const call = {
  tool: 'pay',
  idempotent: true,
  effectUnknown: false,
  tried: {},
  baseMs: 1_000,
  random: 0,
};

/** The waits of a call that always fails with one code, until it is given up. */
function waitsOf(code: string, more: Partial<typeof call> = {}) {
  const waits: number[] = [];
  const tried: Record<string, number> = {};
  for (;;) {
    const verdict = afterFailedCall({ ...call, ...more, tried, error: failure(code) });
    if (verdict.verdict !== 'again') return { waits, verdict };
    tried[verdict.class] = verdict.attempt;
    waits.push(verdict.wait_ms);
  }
}

describe('a failed call', () => {
  it.each([
    ['rate_limit', [1_000, 2_000, 4_000, 8_000, 16_000], 'max_retries_exceeded'],
    ['busy', [1_000, 2_000, 4_000, 8_000, 16_000], 'max_retries_exceeded'],
    ['timeout', [1_000, 2_000, 3_000], 'unavailable'],
    ['auth_error', [0], 'max_retries_exceeded'],
    ['tool_crash', [1_000, 1_000], 'max_retries_exceeded'],
    ['result_lost', [1_000, 1_000], 'max_retries_exceeded'],
    ['aborted', [1_000, 1_000], 'max_retries_exceeded'],
    ['worker_lost', [1_000, 1_000], 'unavailable'],
    ['no_worker', [1_000, 1_000], 'unavailable'],
  ])('with %s is made again after %j ms, and ends in %s that names tool and tries', (code, expected, end) => {
    const { waits, verdict } = waitsOf(code);
    expect(waits).toEqual(expected);
    const message = expect.stringMatching(new RegExp(`tool pay .*${expected.length + 1} (times|tries).*it broke`));
    expect(verdict).toMatchObject({ verdict: 'failed', error: { code: end, message, retryable: true } });
  });

  it('suggests what to do instead when the tool stays down', () => {
    const { verdict } = waitsOf('timeout');
    expect(verdict).toMatchObject({ error: { suggestion: expect.stringContaining('another tool') } });
  });

  it('waits at least as long as the other side asked, and up to one unit more', () => {
    const error = failure('rate_limit', { retry_after_ms: 60_000 });
    expect(afterFailedCall({ ...call, error, random: 0.5 })).toMatchObject({ wait_ms: 60_500 });
  });

  it.each(['timeout', 'tool_crash'])('with %s waits for a person when it must not be repeated', (code) => {
    expect(waitsOf(code, { idempotent: false, effectUnknown: true })).toEqual({
      waits: [],
      verdict: { verdict: 'unknown' },
    });
  });

  it.each(['busy', 'no_worker', 'too_late'])('with %s is made again whatever the tool: nothing was done', (code) => {
    expect(waitsOf(code, { idempotent: false }).waits.length).toBeGreaterThan(0);
  });

  it('whose worker does not know what became of it waits for a person, idempotent or not', () => {
    expect(waitsOf('outcome_unknown', { effectUnknown: true }).verdict).toEqual({ verdict: 'unknown' });
  });

  it('of no class is not made again, and its error stays what it was', () => {
    expect(waitsOf('tool_error')).toEqual({ waits: [], verdict: { verdict: 'failed', error: failure('tool_error') } });
  });

  it('has the retries of each class, whatever it failed with before', () => {
    const tried = { tool_crash: 2, timeout: 1 };
    expect(afterFailedCall({ ...call, tried, error: failure('worker_lost') }).verdict).toBe('failed');
    expect(afterFailedCall({ ...call, tried, error: failure('timeout') })).toMatchObject({ attempt: 2 });
    expect(afterFailedCall({ ...call, tried, error: failure('auth_error') })).toMatchObject({ attempt: 1 });
  });
});

describe('a failed model call', () => {
  const think = { model: 'gpt', baseMs: 1_000, random: 0 };

  it.each(['rate_limit', 'timeout', 'model_unavailable'])('with %s is made again three times', (code) => {
    const verdicts = [0, 1, 2, 3].map((tried) => afterFailedThink({ ...think, tried, error: failure(code) }));
    expect(verdicts.slice(0, 3)).toEqual([
      { verdict: 'again', attempt: 1, wait_ms: 1_000 },
      { verdict: 'again', attempt: 2, wait_ms: 2_000 },
      { verdict: 'again', attempt: 3, wait_ms: 4_000 },
    ]);
    const message = expect.stringMatching(/model gpt failed 4 times .*it broke/);
    expect(verdicts[3]).toMatchObject({ verdict: 'failed', error: { code: 'max_retries_exceeded', message } });
  });

  it('that decided badly is a failed step at once', () => {
    expect(afterFailedThink({ ...think, tried: 0, error: failure('bad_decision') }).verdict).toBe('failed');
  });
});
