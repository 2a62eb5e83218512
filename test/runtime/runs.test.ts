import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { createOperator } from '../../src/client/operator.ts';
import { AppError } from '../../src/core/errors.ts';
import { drive } from '../client/support.ts';
import { Cluster, chain } from './support.ts';

describe('a run', () => {
  it('goes from a task to a result', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit(chain(3));
    const result = await cluster.result();
    expect(result).toMatchObject({
      status: 'completed',
      outcome: 'success',
      answer: { i: 2 },
      steps: 4,
      tools_used: ['echo'],
    });
    expect(result.step_log.map((step) => step.action)).toEqual(['tool_call', 'tool_call', 'tool_call', 'final_answer']);
    expect(cluster.tools.calls.map((call) => call.args)).toEqual([{ i: 0 }, { i: 1 }, { i: 2 }]);
    const types = (await cluster.entries(result.run)).map((entry) => entry.events.map((event) => event.type).join('+'));
    expect(types).toEqual([
      'accepted',
      'claimed',
      ...['decided', 'call_done'],
      ...['decided', 'call_done'],
      ...['decided', 'call_done'],
      'decided',
    ]);
    expect((await cluster.statuses())[0]).toMatchObject({
      state: 'completed.answered',
      progress: 100,
      code: 'completed',
    });
  });

  it('runs steps without a dependency in parallel', async () => {
    const cluster = new Cluster();
    let most = 0;
    let now = 0;
    cluster.tools.add('slow', async () => {
      most = Math.max(most, ++now);
      await new Promise<void>((resolve) => void cluster.clock.after(100, resolve));
      now--;
      return null;
    });
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [1, 2, 3].map((i) => ({ id: `s${i}`, tool: 'slow' })) } });
    expect((await cluster.result()).steps).toBe(2);
    expect(most).toBe(3);
  });

  it('is one run when its task is published twice with one key', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit({ ...chain(1), key: 'k' });
    await cluster.submit({ ...chain(1), key: 'k' });
    await cluster.result();
    await cluster.submit({ ...chain(1), key: 'k' });
    await cluster.clock.advance(5_000);
    expect(await cluster.results()).toHaveLength(1);
    expect(cluster.tools.calls).toHaveLength(1);
  });

  it('ends max_retries after three failing steps, with their errors', async () => {
    const cluster = new Cluster();
    cluster.tools.add('broken', () => {
      throw new AppError('tool_error', 'the disk is full', { retryable: true });
    });
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'broken' }] } });
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'failed', outcome: 'failure', code: 'max_retries', steps: 3, answer: null });
    expect(result.step_log[0]?.calls[0]).toMatchObject({ status: 'error', preview: 'the disk is full' });
    expect(result.duration_ms).toBeGreaterThanOrEqual(6_000);
  });

  it('is refused a tool that does not exist, with an error that names it', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'nope' }] } });
    const result = await cluster.result();
    expect(result.code).toBe('max_retries');
    expect(result.step_log[0]?.calls[0]?.preview).toContain('nope');
  });

  it.each([
    [{ steps: 2 }, 'max_steps'],
    [{ tool_calls: 1 }, 'tool_call_limit'],
  ])('ends by its limits %j with %s', async (limits, code) => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit({ ...chain(3), limits });
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'failed', code, partial: { i: code === 'max_steps' ? 1 : 0 } });
  });

  it.each([
    [{ input_tokens: 60, output_tokens: 60, cost_usd: 0 }, 'token_limit'],
    [{ input_tokens: 0, output_tokens: 0, cost_usd: 0.6 }, 'budget_exceeded'],
    [{ input_tokens: 0, output_tokens: 51, cost_usd: 0 }, 'token_limit'],
  ])('counts what the model used %j and ends %s', async (usage, code) => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    const ask = () => scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: {} }] }, usage);
    cluster.modelMap.ai = scriptedModel([ask(), ask()]);
    await cluster.node();
    await cluster.submit(
      {
        input: 'x',
        limits: {
          tokens: 200,
          cost_usd: 1,
          output_tokens_per_step: 50 + (code === 'token_limit' && usage.input_tokens > 0 ? 100 : 0),
        },
      },
      'ai',
    );
    const result = await cluster.result();
    expect(result.code).toBe(code);
    expect(result.cost_usd).toBeCloseTo(usage.cost_usd * (code === 'budget_exceeded' ? 2 : 1));
  });

  it('ends at its deadline while a tool does not answer', async () => {
    const cluster = new Cluster();
    cluster.tools.add('hang', () => new Promise(() => {}), { timeout_ms: 86_400_000 });
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'hang' }] }, limits: { wall_ms: 5_000 } });
    const result = await cluster.result();
    expect(result).toMatchObject({ code: 'timeout', outcome: 'timeout' });
    expect(result.duration_ms).toBeGreaterThanOrEqual(5_000);
    expect(result.duration_ms).toBeLessThan(5_200);
  });

  it('gives up a tool that does not answer within its time, and tries the step again', async () => {
    const cluster = new Cluster();
    let times = 0;
    cluster.tools.add('once', () => (times++ === 0 ? new Promise(() => {}) : 'second'), { timeout_ms: 1_000 });
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'once' }] } });
    expect(await cluster.result()).toMatchObject({ status: 'completed', answer: 'second' });
  });

  it('does not begin before its moment, and needs no node meanwhile', async () => {
    const cluster = new Cluster();
    const { node } = await cluster.node();
    const moment = cluster.clock.now() + 3_600_000;
    await cluster.submit({ ...chain(1), not_before: new Date(moment).toISOString() });
    await cluster.status('idle.scheduled');
    await cluster.clock.advance(1_000);
    expect(node.activeRuns).toBe(0);
    const result = await cluster.result(4_000_000);
    expect(result.status).toBe('completed');
    expect(result.ended_at).toBeGreaterThanOrEqual(moment);
  });

  it('asks a person, costs nothing meanwhile, and goes on with the answer', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.modelMap.ai = scriptedModel([
      scripted({ action: 'ask_human', question: 'which colour?' }),
      async (input) =>
        scripted({ action: 'final_answer', answer: (await input.window())[0]?.observations[0]?.result ?? null }),
    ]);
    const { node } = await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const status = await cluster.status('waiting.person');
    expect(status.requires).toMatchObject({ kind: 'answer' });
    await cluster.clock.advance(3_600_000);
    expect(node.activeRuns).toBe(0);
    const { client: bus, subjects, clock } = cluster;
    const { people } = await drive(cluster, createOperator({ bus, subjects, by: 'op', clock }).health());
    expect(people).toEqual({ count: 1, oldest_at: status.at, complete: true });
    const say = (word: object) => {
      const body = JSON.stringify({ run: status.run, c: status.requires?.c, by: 'op', ...word });
      return cluster.client.request(cluster.subjects.api('resolve'), body, { timeoutMs: 1_000 });
    };
    // It would be a call of a tool named like a person.
    await expect(say({ verdict: 'repeat' })).rejects.toMatchObject({ code: 'invalid_request', field: 'verdict' });
    await say({ verdict: 'done', result: 'red' });
    expect(await cluster.result()).toMatchObject({ status: 'completed', answer: 'red' });
  });

  it('delegates to another agent and goes on with its answer', async () => {
    const cluster = new Cluster({ name: 'boss', model: 'boss', delegates_to: ['plan'] });
    cluster.modelMap.boss = scriptedModel([
      scripted({
        action: 'delegate',
        agent: 'plan',
        input: 'part',
        plan: { steps: [{ id: 'a', tool: 'echo', args: { x: 1 }, after: [] }] },
      }),
      async (input) =>
        scripted({ action: 'final_answer', answer: (await input.window())[0]?.observations[0]?.result ?? null }),
    ]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'boss');
    const result = await cluster.until('result of the parent', async () =>
      (await cluster.results()).find((one) => one.agent === 'boss'),
    );
    expect(result).toMatchObject({ status: 'completed', answer: { x: 1 } });
  });

  it('is refused an agent that it may not delegate to', async () => {
    const cluster = new Cluster({ name: 'boss', model: 'boss', limits: { failing_steps: 1 } as never });
    cluster.modelMap.boss = scriptedModel([scripted({ action: 'delegate', agent: 'plan', input: 'part' })]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'boss');
    expect(await cluster.result()).toMatchObject({ code: 'max_retries' });
    expect(await cluster.results()).toHaveLength(1);
  });

  it('is cancelled by its submitter, with the child that works for it', async () => {
    const cluster = new Cluster({ name: 'boss', model: 'boss', delegates_to: ['plan'] });
    cluster.tools.add('hang', () => new Promise(() => {}), { timeout_ms: 86_400_000 });
    cluster.modelMap.boss = scriptedModel([
      scripted({
        action: 'delegate',
        agent: 'plan',
        input: 'part',
        plan: { steps: [{ id: 'a', tool: 'hang', args: {}, after: [] }] },
      }),
    ]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'boss');
    const waiting = await cluster.status('waiting.child');
    const body = JSON.stringify({ run: waiting.run, why: 'not needed' });
    await cluster.client.request(cluster.subjects.ask('u', 'cancel'), body, { timeoutMs: 1_000 });
    const results = await cluster.until('both results', async () => {
      const all = await cluster.results();
      return all.length === 2 && all;
    });
    expect(results.map((one) => one.code)).toEqual(['cancelled', 'cancelled']);
    expect(results.map((one) => one.outcome)).toEqual(['cancelled', 'cancelled']);
  });

  it('of another user cannot be seen or cancelled', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit(chain(1));
    const { run } = await cluster.result();
    for (const verb of ['status', 'result', 'cancel']) {
      const asked = cluster.client.request(cluster.subjects.ask('mallory', verb), JSON.stringify({ run }), {
        timeoutMs: 1_000,
      });
      await expect(asked).rejects.toMatchObject({ code: 'unknown_run' });
    }
  });

  it("keeps at most its agent type's slots in work", async () => {
    const cluster = new Cluster();
    let most = 0;
    let now = 0;
    cluster.tools.add('slow', async () => {
      most = Math.max(most, ++now);
      await new Promise<void>((resolve) => void cluster.clock.after(100, resolve));
      now--;
      return null;
    });
    await cluster.node('n1', { settings: { slots: 3 } });
    for (let i = 0; i < 12; i++) await cluster.submit({ input: i, plan: { steps: [{ id: 'a', tool: 'slow' }] } });
    await cluster.until('all results', async () => (await cluster.results()).length === 12);
    expect(most).toBe(3);
  });

  it('never pays twice when a person counts a payment as failed', async () => {
    const cluster = new Cluster();
    cluster.tools.add(
      'pay',
      () => {
        throw new AppError('worker_lost', 'the connection broke');
      },
      { idempotent: false },
    );
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'pay' }] } });
    const { run, requires } = await cluster.status('waiting.person');
    const body = JSON.stringify({ run, c: requires?.c, verdict: 'fail', by: 'op', why: 'it never arrived' });
    await cluster.client.request(cluster.subjects.api('resolve'), body, { timeoutMs: 1_000 });
    const result = await cluster.result();
    expect(result).toMatchObject({
      status: 'failed',
      code: 'error',
      error: { reason: expect.stringContaining('it never arrived') },
    });
    expect(cluster.tools.calls).toHaveLength(1);
  });
});
