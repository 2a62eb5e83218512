import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { DecisionTrace, TracePage } from '../../src/core/decision-trace.ts';
import { AppError } from '../../src/core/errors.ts';
import { Limits } from '../../src/core/limits.ts';
import { clientOf, drive } from '../client/support.ts';
import { Cluster, chain } from './support.ts';

const USAGE = { input_tokens: 100, output_tokens: 20, cost_usd: 0.25 };

describe('the decision trace of a run', () => {
  it('tells each step with its thought, action, observation and cost, the totals and the outcome', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.tools.add('broken', () => {
      throw new AppError('tool_error', 'the disk is full');
    });
    cluster.modelMap.ai = scriptedModel([
      scripted({ action: 'tool_call', reasoning: 'look first', calls: [{ tool: 'echo', args: { q: 1 } }] }, USAGE),
      scripted({
        action: 'tool_call',
        calls: [
          { tool: 'echo', args: { q: 2 } },
          { tool: 'broken', args: {} },
        ],
      }),
      new AppError('model_error', 'no such model', { retryable: true }),
      new AppError('rate_limit', 'slow down', { retryable: true }),
      scripted({ action: 'final_answer', reasoning: 'enough', answer: { found: 3 } }),
    ]);
    await cluster.node();
    const client = clientOf(cluster);
    const { run } = await drive(cluster, client.submit({ input: 'x', session_id: 's-1' }, 'ai'));
    await drive(cluster, client.result(run, { wait: true }));
    const trace = DecisionTrace.parse(await drive(cluster, client.trace(run)));
    expect(trace.steps).toHaveLength(4);
    expect(trace.steps[0]).toMatchObject({
      step: 1,
      agent_id: 'ai',
      session_id: 's-1',
      model: 'scripted',
      thought: 'look first',
      action: { type: 'tool_call', tool: 'echo', args: { q: 1 }, reasoning: 'look first' },
      observation: { status: 'ok' },
      calls: [{ tool: 'echo', attempts: 1, observation: { status: 'ok', preview: '{"q":1}' } }],
      cost: { input_tokens: 100, output_tokens: 20, estimated_cost: 0.25 },
      warnings: [],
      error: null,
    });
    expect(trace.steps[1]).toMatchObject({
      action: { tool: null, args: null },
      observation: { status: 'error' },
      calls: [
        { tool: 'echo', args: { q: 2 }, observation: { status: 'ok' } },
        { tool: 'broken', args: {}, observation: { status: 'error', preview: 'the disk is full' } },
      ],
      error: { code: 'tool_error' },
    });
    expect(trace.steps[2]).toMatchObject({ action: { type: 'error' }, error: { code: 'model_error' } });
    expect(trace.steps[3]).toMatchObject({
      action: { type: 'final_answer', args: { found: 3 } },
      think_attempts: 2,
      warnings: ['the model was asked again after rate_limit: slow down'],
    });
    expect(trace.totals).toMatchObject({
      steps: 4,
      tool_calls: 3,
      input_tokens: 100,
      estimated_cost: 0.25,
      claims: 1,
      retries: 1,
    });
    expect(trace.outcome).toMatchObject({ status: 'completed', code: 'completed', outcome: 'success' });
    expect(trace.events.map((event) => event.type)).toEqual(['accepted', 'claimed', 'timer', 'timer', 'timer']);
  });

  it('shows who took the run over, and in which step', async () => {
    const cluster = new Cluster();
    cluster.tools.add('slow', async (args) => {
      await new Promise<void>((resolve) => void cluster.clock.after(1_000, resolve));
      return args;
    });
    const first = await cluster.node('n1');
    const client = clientOf(cluster);
    const { run } = await drive(cluster, client.submit(chain(4, 'slow'), 'plan'));
    await cluster.until('step 2', async () => (await cluster.statuses()).some((one) => one.step >= 2));
    first.kill();
    await cluster.node('n2');
    await drive(cluster, client.result(run, { wait: true }));
    const trace = await drive(cluster, client.trace(run));
    const claims = trace.events.filter((event) => event.type === 'claimed');
    expect(claims.map((event) => event.node)).toEqual(['n1', 'n2']);
    expect(trace.totals.claims).toBe(2);
    const taken = trace.steps.find((step) => step.step === claims[1]?.after_step);
    expect(taken?.warnings).toEqual(['node n2 took the run during this step']);
  });

  it('hides what looks like a secret', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const client = clientOf(cluster);
    const args = { password: 'hunter2', note: 'Bearer abcdefghijkl' };
    const task = { input: 'x', plan: { steps: [{ id: 's', tool: 'echo', args }] } };
    const { run } = await drive(cluster, client.submit(task, 'plan'));
    await drive(cluster, client.result(run, { wait: true }));
    const text = JSON.stringify(await drive(cluster, client.trace(run)));
    expect(text).toContain('REDACTED');
    expect(text).not.toMatch(/hunter2|abcdefghijkl/);
  });

  it('of a long run comes in pages, and is whole', async () => {
    const limits = Limits.parse({ steps: 500 });
    const cluster = new Cluster({ name: 'long', model: 'ai', limits });
    const call = (i: number) => ({ tool: 'echo', args: { i, text: 'x'.repeat(20_000) } });
    cluster.modelMap.ai = scriptedModel([
      ...Array.from({ length: 60 }, (_, i) => scripted({ action: 'tool_call', calls: [call(i)] })),
      scripted({ action: 'final_answer', answer: 'done' }),
    ]);
    await cluster.node();
    const client = clientOf(cluster);
    const { run } = await drive(cluster, client.submit({ input: 'x' }, 'long'));
    await drive(cluster, client.result(run, { wait: true }));
    const asked = await drive(
      cluster,
      cluster.client.request('proctor.ask.u.trace', JSON.stringify({ run }), { timeoutMs: 5_000 }),
    );
    const page = TracePage.parse(JSON.parse(asked.data));
    expect(page.next).not.toBeNull();
    expect(page.steps.length).toBeLessThan(40);
    const trace = await drive(cluster, client.trace(run));
    expect(trace.steps.map((step) => step.step)).toEqual(Array.from({ length: 61 }, (_, i) => i + 1));
  });
});
