import { describe, expect, it } from 'vitest';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import type { Decision } from '../../src/core/decision.ts';
import { DEFINITION_KEY } from '../../src/core/tool-wire.ts';
import type { ThinkInput, WindowStep } from '../../src/ports/model.ts';
import { Cluster } from './support.ts';

const step = (id: string, after: string[] = []) => ({ id, tool: 'echo', args: {}, after });
const plan = (...steps: ReturnType<typeof step>[]): Decision => ({ action: 'plan', plan: { steps } });
const calls = (...ids: string[]): Decision => ({
  action: 'tool_call',
  calls: ids.map((id) => ({ tool: 'echo', args: { id }, plan_step: id })),
});
const answer = (text: string): Decision => ({ action: 'final_answer', answer: text });

/** An agent with a model that is played by a script. */
async function agent(options: { planning?: boolean; review?: boolean }, replies: Parameters<typeof scriptedModel>[0]) {
  const cluster = new Cluster({ name: 'ai', model: 'ai', retry_backoff_ms: 0, ...options });
  const model = scriptedModel(replies);
  cluster.modelMap.ai = model;
  await cluster.node('n1', { settings: { status_every_ms: 1 } });
  await cluster.submit({ input: 'x' }, 'ai');
  return { cluster, model };
}

describe('a plan that the model made', () => {
  it('is in force: it is shown with what is done, and progress follows it', async () => {
    const seen: { plan: ThinkInput['plan']; b?: unknown }[] = [];
    const { cluster, model } = await agent({ planning: true }, [
      scripted(plan(step('a'), step('b'), step('c', ['a', 'b']))),
      scripted(calls('a', 'b')),
      async (input) => {
        seen.push({ plan: input.plan, b: await input.plan?.result('b') });
        return scripted({ action: 'tool_call', calls: [{ tool: 'person_like', args: {} }] });
      },
      scripted(calls('c')),
      scripted(answer('done')),
    ]);
    const progress: (number | null)[] = [];
    cluster.tools.add('person_like', async () => {
      const [status] = await cluster.statuses();
      progress.push(status?.progress ?? null);
      return 1;
    });
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'completed', answer: 'done', steps: 5 });
    expect([...(seen[0]?.plan?.done ?? [])]).toEqual(['a', 'b']);
    expect(seen[0]?.plan?.plan.steps.map((one) => one.id)).toEqual(['a', 'b', 'c']);
    expect(seen[0]?.b).toEqual({ id: 'b' });
    expect(model.requests.map((request) => request.phase)).toEqual(['planning', ...Array(4).fill('deciding')]);
    expect(model.requests.map((request) => request.maxOutputTokens)).toEqual([2_000, ...Array(4).fill(4_000)]);
  });

  it('is replaced by the next one that the model makes', async () => {
    const { cluster, model } = await agent({ planning: true }, [
      scripted(plan(step('a'))),
      scripted(plan(step('b'))),
      scripted(calls('b')),
      scripted(answer('done')),
    ]);
    expect(await cluster.result()).toMatchObject({ status: 'completed' });
    expect(model.requests.at(-1)?.plan).toMatchObject({ plan: { steps: [{ id: 'b' }] }, done: ['b'] });
  });

  it('refuses calls for steps that it has not, or that wait for others, and says so', async () => {
    let window: WindowStep[] = [];
    const { cluster } = await agent({ planning: true }, [
      scripted(plan(step('a'), step('b', ['a']))),
      scripted(calls('b', 'constructor', 'a')),
      async (input) => {
        window = await input.window();
        return scripted(answer('done'));
      },
    ]);
    await cluster.result();
    expect(window[1]?.observations).toMatchObject([
      { status: 'refused', error: { code: 'plan_step_not_ready', message: expect.stringContaining('waits for: a') } },
      { status: 'refused', error: { code: 'unknown_plan_step', message: expect.stringContaining('it has: a, b') } },
      { status: 'ok' },
    ]);
  });

  it('is what the model must give when it is asked for one; what it used for something else counts', async () => {
    const usage = { input_tokens: 7, output_tokens: 0, cost_usd: 0 };
    const { cluster } = await agent({ planning: true }, [
      scripted(calls('a'), usage),
      scripted({ action: 'think', reasoning: 'no plan is needed' }),
      scripted(answer('done')),
    ]);
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'completed', input_tokens: 7 });
    expect(result.step_log[0]?.error).toMatchObject({ code: 'bad_decision', field: 'action' });
    expect(cluster.tools.calls).toHaveLength(0);
  });
});

describe('a review', () => {
  it('sees the draft; its comment is in the window of whoever writes the next one', async () => {
    let window: WindowStep[] = [];
    const { cluster, model } = await agent({ review: true }, [
      scripted(answer('draft')),
      scripted({ action: 'review', verdict: 'revise', comment: 'too short' }),
      async (input) => {
        window = await input.window();
        return scripted(answer('a longer one'));
      },
      scripted({ action: 'review', verdict: 'accept' }),
    ]);
    expect(await cluster.result()).toMatchObject({ status: 'completed', answer: 'a longer one', steps: 4 });
    expect(model.requests.map(({ phase, draft }) => [phase, draft])).toEqual([
      ['deciding', undefined],
      ['reviewing', 'draft'],
      ['deciding', undefined],
      ['reviewing', 'a longer one'],
    ]);
    expect(window.map((one) => one.decision)).toMatchObject([
      { action: 'final_answer', answer: 'draft' },
      { action: 'review', verdict: 'revise', comment: 'too short' },
    ]);
  });
});

describe('the tools that a model is shown', () => {
  it('are those that its list names and those that its patterns find, each once', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai', tools: ['echo', 'get_*', 'gone'] });
    let names: string[] = [];
    cluster.modelMap.ai = scriptedModel([
      async (input) => {
        names = (await input.tools()).map((tool) => tool.name);
        return scripted(answer('done'));
      },
    ]);
    for (const name of ['get_a', 'get_b', 'put_a']) cluster.tools.add(name, () => 1);
    const worker = new MemoryBus(cluster.broker, 'worker');
    const definition = JSON.stringify({ name: 'get_remote', description: 'far away', parameters: { type: 'object' } });
    const endpoints = [
      { num_requests: 0, num_errors: 0, last_error: '', processing_time: 0, average_processing_time: 0 },
    ];
    const stats = {
      id: 'w1',
      version: '1.0.0',
      started: '2026-01-01T00:00:00Z',
      metadata: { [DEFINITION_KEY]: definition },
      endpoints,
    };
    worker.serve('$SRV.STATS', async () => JSON.stringify(stats));
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    await cluster.result();
    expect(names).toEqual(['echo', 'get_a', 'get_b', 'get_remote']);
  });
});
