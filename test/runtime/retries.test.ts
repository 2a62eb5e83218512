import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import type { RunEvent } from '../../src/core/events.ts';
import type { Observation } from '../../src/ports/model.ts';
import { Cluster, recordingLog } from './support.ts';

const one = (tool: string, limits = {}) => ({ input: 'x', plan: { steps: [{ id: 'a', tool }] }, limits });

async function events(cluster: Cluster, run: string): Promise<RunEvent[]> {
  return (await cluster.entries(run)).flatMap((entry) => entry.events);
}

describe('a call that fails for a passing reason', () => {
  it('is made again under its own key, and its journal and log say how often, why and when', async () => {
    const cluster = new Cluster();
    let times = 0;
    cluster.tools.add('lossy', () => {
      if (times++ < 2) throw new AppError('worker_lost', 'the connection broke', { retryable: true });
      return 'third';
    });
    const log = recordingLog();
    await cluster.node('n1', { log });
    await cluster.submit(one('lossy'));
    const retrying = await cluster.status('executing.retrying');
    expect(retrying.step).toBe(0);
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'completed', answer: 'third', steps: 2 });
    expect(cluster.tools.calls.map((call) => call.idempotencyKey)).toEqual(Array(3).fill(`${result.run}:2-0`));
    expect(cluster.tools.calls.map((call) => call.attempt)).toEqual([1, 2, 3]);
    const retries = (await events(cluster, result.run)).filter((event) => event.type === 'call_retry');
    expect(retries).toMatchObject([
      { class: 'tool_crash', attempt: 1, error: { code: 'worker_lost' } },
      { class: 'tool_crash', attempt: 2 },
    ]);
    for (const { wait_ms } of retries) {
      expect(wait_ms).toBeGreaterThanOrEqual(1_000);
      expect(wait_ms).toBeLessThan(2_001);
    }
    const logged = log.lines.filter((line) => line.event === 'tool.retry').map((line) => line.fields);
    expect(logged).toEqual(
      retries.map(({ attempt, wait_ms }) => expect.objectContaining({ tool: 'lossy', attempt, wait_ms })),
    );
  });

  it('is told to renew its credentials after auth_error, and once only', async () => {
    const cluster = new Cluster();
    cluster.tools.add('locked', (_args, call) => {
      if (call.refresh) return 'in';
      throw new AppError('auth_error', 'the token has expired');
    });
    await cluster.node();
    await cluster.submit(one('locked'));
    expect(await cluster.result()).toMatchObject({ status: 'completed', answer: 'in' });
    expect(cluster.tools.calls.map((call) => call.refresh)).toEqual([false, true]);
  });

  it('and must not be repeated is journalled as started anew when its worker did nothing', async () => {
    const cluster = new Cluster();
    let times = 0;
    cluster.tools.add(
      'pay',
      () => {
        if (times++ < 2) throw new AppError('busy', 'all hands are full', { retryable: true });
        return 'paid';
      },
      { idempotent: false },
    );
    await cluster.node();
    await cluster.submit(one('pay'));
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'completed', answer: 'paid' });
    expect(times).toBe(3);
    const types = (await events(cluster, result.run)).map((event) => event.type);
    expect(types.slice(2, 9)).toEqual([
      'decided',
      ...['call_started', 'call_retry'],
      ...['call_started', 'call_retry'],
      ...['call_started', 'call_done'],
    ]);
  });

  it('goes on counting on another node, and is parked while its wait is long', async () => {
    const cluster = new Cluster();
    let times = 0;
    cluster.tools.add('limited', () => {
      if (times++ < 2) throw new AppError('rate_limit', 'come back later', { retryable: true, retryAfterMs: 60_000 });
      return 'at last';
    });
    const first = await cluster.node('n1');
    await cluster.submit(one('limited'));
    await cluster.until('the first retry', async () => times === 1);
    await cluster.clock.advance(5_000);
    expect(first.node.activeRuns).toBe(0);
    first.kill();
    await cluster.node('n2');
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'completed', answer: 'at last' });
    expect(cluster.tools.calls.map((call) => call.attempt)).toEqual([1, 2, 3]);
    expect(result.duration_ms).toBeGreaterThan(120_000);
  });

  it('is, at last, an observation that the model can go on with', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.tools.add('weather', () => {
      throw new AppError('no_worker', 'nobody is there', { retryable: true });
    });
    let seen: Observation | undefined;
    cluster.modelMap.ai = scriptedModel([
      scripted({ action: 'tool_call', calls: [{ tool: 'weather', args: {} }] }),
      async (input) => {
        seen = (await input.window())[0]?.observations[0];
        return scripted({ action: 'final_answer', answer: 'unknown' });
      },
    ]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'completed', answer: 'unknown' });
    expect(result.step_log[0]?.calls[0]?.status).toBe('unavailable');
    expect(seen).toMatchObject({
      status: 'unavailable',
      error: { code: 'unavailable', message: expect.stringContaining('weather'), suggestion: expect.any(String) },
    });
    expect(cluster.tools.calls).toHaveLength(3);
  });

  it('waits for a person when its worker does not know what became of it, although it is idempotent', async () => {
    const cluster = new Cluster();
    cluster.tools.add('forgetful', () => {
      throw new AppError('outcome_unknown', 'begun by a worker that died');
    });
    await cluster.node();
    await cluster.submit(one('forgetful'));
    expect((await cluster.status('waiting.person')).requires?.kind).toBe('resolve');
    expect(cluster.tools.calls).toHaveLength(1);
  });

  it('is made again under another key when a person says that it was not done', async () => {
    const cluster = new Cluster();
    const begun = new Set<string>();
    cluster.tools.add('forgetful', (_args, { idempotencyKey }) => {
      if (begun.size > 0 && !begun.has(idempotencyKey)) return 'done';
      begun.add(idempotencyKey);
      throw new AppError('outcome_unknown', 'begun by a worker that died');
    });
    await cluster.node();
    await cluster.submit(one('forgetful'));
    const { run, requires } = await cluster.status('waiting.person');
    const body = { run, c: requires?.c, verdict: 'repeat', by: 'op' };
    await cluster.client.request(cluster.subjects.api('resolve'), JSON.stringify(body), { timeoutMs: 1_000 });
    expect(await cluster.result(60_000)).toMatchObject({ status: 'completed', answer: 'done' });
  });
});

describe('a model call that fails for a passing reason', () => {
  const usage = { input_tokens: 10, output_tokens: 0, cost_usd: 0.1 };
  const busy = (more = {}) => new AppError('rate_limit', 'slow down', { retryable: true, usage, ...more });

  it('is made again, no step, and what it used counts', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    const model = scriptedModel([
      busy({ retryAfterMs: 20_000 }),
      new AppError('model_unavailable', 'overloaded', { retryable: true }),
      scripted({ action: 'final_answer', answer: 1 }),
    ]);
    cluster.modelMap.ai = model;
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    await cluster.status('waiting.budget');
    await cluster.status('waiting.backing_off');
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'completed', steps: 1, input_tokens: 10, cost_usd: 0.1, degraded: null });
    expect(result.duration_ms).toBeGreaterThan(22_000);
    model.verify();
  });

  it('becomes a failed step after three retries; the steps that follow have retries of their own', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai', retry_backoff_ms: 10 });
    const model = scriptedModel(Array.from({ length: 8 }, () => busy()));
    cluster.modelMap.ai = model;
    await cluster.node();
    await cluster.submit({ input: 'x', limits: { failing_steps: 2 } }, 'ai');
    const result = await cluster.result();
    expect(result).toMatchObject({ code: 'max_retries', steps: 2, input_tokens: 80 });
    expect(result.error?.reason).toContain('model ai failed 4 times');
    model.verify();
  });

  it('is asked for the same again: a plan for a plan, a review for a review', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai', planning: true, review: true, retry_backoff_ms: 10 });
    const phases: string[] = [];
    const plan = { steps: [{ id: 'a', tool: 'echo', args: {}, after: [] }] };
    const failing = new Set([1, 4]);
    cluster.modelMap.ai = {
      think: async (input) => {
        phases.push(input.phase);
        if (failing.has(phases.length))
          throw phases.length === 1 ? busy() : new AppError('x', 'y', { retryable: true });
        if (input.phase === 'planning') return scripted({ action: 'plan', plan });
        if (input.phase === 'reviewing') return scripted({ action: 'review', verdict: 'accept' });
        return scripted({ action: 'final_answer', answer: 1 });
      },
    };
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    await cluster.result();
    expect(phases).toEqual(['planning', 'planning', 'deciding', 'reviewing', 'reviewing']);
  });
});

describe('a call that was given up and may have taken effect', () => {
  /** Keeps one effect for each key, and dies before it can say so. */
  function ledger(cluster: Cluster, deaths: number) {
    const effects = new Map<string, unknown>();
    let calls = 0;
    cluster.tools.add('book', (args, call) => {
      if (!effects.has(call.idempotencyKey)) effects.set(call.idempotencyKey, args);
      if (calls++ < deaths) throw new AppError('worker_lost', 'the worker died', { retryable: true });
      return 'booked';
    });
    return effects;
  }

  it('takes effect once when the plan asks for it again', async () => {
    const cluster = new Cluster();
    const effects = ledger(cluster, 3);
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'book', args: { seat: '12A', day: 1 } }] } });
    expect(await cluster.result()).toMatchObject({ status: 'completed', answer: 'booked', steps: 3 });
    expect([...effects.keys()]).toHaveLength(1);
  });

  it('takes effect once when a model asks for the same in other words, on another node, and anew for other arguments', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    const effects = ledger(cluster, 3);
    const book = (...args: Record<string, string | number>[]) =>
      scripted({ action: 'tool_call', calls: args.map((one) => ({ tool: 'book', args: one })) });
    cluster.modelMap.ai = scriptedModel([
      book({ seat: '12A', day: 1 }),
      book({ day: 1, seat: '12A' }, { day: 1, seat: '12A' }, { day: 2, seat: '12A' }),
      book({ seat: '12A', day: 1 }),
      scripted({ action: 'final_answer', answer: 'done' }),
    ]);
    const first = await cluster.node('n1', { settings: { snapshot_every: 1 } });
    await cluster.submit({ input: 'x' }, 'ai');
    await cluster.status('waiting.backing_off');
    first.kill();
    await cluster.node('n2');
    expect(await cluster.result()).toMatchObject({ status: 'completed' });
    // Two calls of one decision are two effects, and what is known to have happened may be asked for once more.
    expect([...effects.values()]).toEqual([
      { seat: '12A', day: 1 },
      { seat: '12A', day: 1 },
      { seat: '12A', day: 2 },
      { seat: '12A', day: 1 },
    ]);
  });

  it('takes effect once when its owner died with it and the next one finds no worker for a while', async () => {
    const cluster = new Cluster();
    const effects = new Set<string>();
    let calls = 0;
    cluster.tools.add('book', (_args, { idempotencyKey }) => {
      const nth = calls++;
      if (nth > 0 && nth < 4) throw new AppError('no_worker', 'nobody listens', { retryable: true });
      effects.add(idempotencyKey);
      return nth === 0 ? new Promise(() => {}) : 'booked';
    });
    const first = await cluster.node('n1');
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'book' }] } });
    await cluster.until('the effect', () => Promise.resolve(effects.size === 1));
    first.kill();
    await cluster.node('n2');
    expect(await cluster.result(60_000)).toMatchObject({ status: 'completed', answer: 'booked', steps: 3 });
    expect([calls, effects.size]).toEqual([5, 1]);
  });
});
