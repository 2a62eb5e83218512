import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import type { ThinkInput } from '../../src/ports/model.ts';
import { Cluster, recordingLog } from './support.ts';

/** A model that does what `answer` says, and keeps what it was asked. */
function model(answer: (input: ThinkInput, n: number) => ReturnType<typeof scripted>) {
  const asked: ThinkInput[] = [];
  return {
    asked,
    think: async (input: ThinkInput) => {
      asked.push(input);
      return answer(input, asked.length);
    },
  };
}

const down = () =>
  model(() => {
    throw new AppError('model_unavailable', 'HTTP 503', { retryable: true });
  });
const says = (text: string) => model(() => scripted({ action: 'final_answer', answer: text }));
const once = { input: 'what is up' };

function clusterWith(fallback: object, models: Record<string, ReturnType<typeof model>>, more: object = {}) {
  const cluster = new Cluster({ name: 'a', model: 'first', fallback, ...more } as never);
  cluster.modelMap = { ...cluster.modelMap, ...models };
  return cluster;
}

describe('a run whose model stays down (DEG-1)', () => {
  it('asks the next model of its chain, and says so in its result, its log and its journal', async () => {
    const [first, second] = [down(), says('from the second')];
    const cluster = clusterWith(
      { models: [{ model: 'second' }] },
      { first, second },
      { model_options: { temperature: 1 } },
    );
    const log = recordingLog();
    await cluster.node('n1', { log });
    await cluster.submit(once, 'a');
    const result = await cluster.result();
    expect(result).toMatchObject({
      status: 'completed',
      code: 'completed',
      answer: 'from the second',
      degraded: 'answered by second: the model before failed (max_retries_exceeded)',
      fallbacks: [{ kind: 'model', to: 'model', model: 'second', error: { code: 'max_retries_exceeded' } }],
      steps: 1,
    });
    expect(result.notice).toBeUndefined();
    expect((await cluster.statuses()).at(-1)?.state).toBe('completed.degraded');
    expect(log.lines.find((line) => line.event === 'using_fallback')?.fields).toMatchObject({
      error_kind: 'model',
      run: result.run,
      from: 'first',
      to: 'the model second',
    });
    // Address and key of the agent's own model are not for another provider.
    expect(second.asked[0]?.agent).toMatchObject({ model: 'second' });
    expect(second.asked[0]?.agent.model_options).toBeUndefined();
  });

  it('counts what the failed calls used', async () => {
    const usage = { input_tokens: 7, output_tokens: 3, cost_usd: 0.01 };
    const first = model(() => {
      throw new AppError('quota_exceeded', 'no credit left', { usage });
    });
    const cluster = clusterWith({ models: [{ model: 'second' }] }, { first, second: says('x') });
    await cluster.node();
    await cluster.submit(once, 'a');
    expect(await cluster.result()).toMatchObject({ answer: 'x', input_tokens: 7, output_tokens: 3, cost_usd: 0.01 });
  });

  it('goes through the whole chain, each model until its breaker opens', async () => {
    const models = { first: down(), second: down(), third: says('at last') };
    const cluster = clusterWith({ models: [{ model: 'second' }, { model: 'first' }, { model: 'third' }] }, models);
    await cluster.node();
    await cluster.submit(once, 'a');
    expect(await cluster.result()).toMatchObject({
      answer: 'at last',
      fallbacks: [{ model: 'second' }, { model: 'third' }],
    });
    expect([models.first.asked.length, models.second.asked.length, models.third.asked.length]).toEqual([3, 3, 1]);
  });

  it('is remembered by other runs, which do not ask the failing model first', async () => {
    const models = { first: down(), second: says('x') };
    const cluster = clusterWith({ models: [{ model: 'second' }] }, models, { retry_backoff_ms: 1 });
    await cluster.node();
    for (let i = 0; i < 6; i++) {
      await cluster.submit(once, 'a');
      await cluster.until('results', async () => (await cluster.results()).length === i + 1);
    }
    const asked = models.first.asked.length;
    await cluster.submit(once, 'a');
    await cluster.until('results', async () => (await cluster.results()).length === 7);
    expect(models.first.asked.length).toBe(asked);
    expect(asked).toBeLessThan(6 * 4);
    expect((await cluster.results()).at(-1)).toMatchObject({ fallbacks: [{ error: { code: 'circuit_open' } }] });
  });

  it('goes on with the model that it fell back on after the node died', async () => {
    let died = false;
    const second = model((_, n) =>
      scripted(
        n === 1
          ? { action: 'tool_call', calls: [{ tool: 'echo', args: {} }] }
          : { action: 'final_answer', answer: 'ok' },
      ),
    );
    const first = down();
    const cluster = clusterWith({ models: [{ model: 'second' }] }, { first, second });
    const node = await cluster.node('n1', {
      dieAt: (point) => {
        if (point !== 'think.returned' || died) return false;
        died = true;
        return true;
      },
    });
    await cluster.submit(once, 'a');
    await cluster.until('death', async () => node.dead);
    const asked = first.asked.length;
    await cluster.node('n2');
    expect(await cluster.result()).toMatchObject({ answer: 'ok', fallbacks: [{ model: 'second' }] });
    expect(first.asked.length).toBe(asked);
  });

  it('without a chain ends as ever, with a text for its user that is no answer (DEG-4)', async () => {
    const cluster = clusterWith(
      { texts: { model: 'Our model is away. Call 555.' } },
      { first: down() },
      { retry_backoff_ms: 1 },
    );
    await cluster.node();
    await cluster.submit(once, 'a');
    const result = await cluster.result();
    expect(result).toMatchObject({
      status: 'failed',
      code: 'max_retries',
      answer: null,
      notice: 'Our model is away. Call 555.',
    });
    expect(result.fallbacks).toBeUndefined();
  });
});

describe('a run that runs out of money or tokens (COST-4)', () => {
  const usage = { input_tokens: 100, output_tokens: 100, cost_usd: 0.3 };
  const working = () =>
    model((input) =>
      input.notice === undefined
        ? scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: { n: input.step } }] }, usage)
        : scripted({ action: 'final_answer', answer: 'what I have' }, { ...usage, cost_usd: 0.05 }),
    );

  it('gives a last answer without tools, from what was kept back for it', async () => {
    const first = working();
    const cluster = clusterWith(
      { plain: { reserve_usd: 0.1, output_tokens: 77 } },
      { first },
      { delegates_to: ['plan'] },
    );
    await cluster.node();
    await cluster.submit({ ...once, limits: { cost_usd: 1 } }, 'a');
    const result = await cluster.result();
    expect(result).toMatchObject({
      status: 'completed',
      answer: 'what I have',
      fallbacks: [{ kind: 'budget', to: 'plain' }],
    });
    expect(result.degraded).toBe('a last answer without tools: the budget ran out (budget_exceeded)');
    expect(result.cost_usd).toBeLessThanOrEqual(1);
    const last = first.asked.at(-1);
    expect(last?.maxOutputTokens).toBe(77);
    expect(last?.delegates).toEqual([]);
    expect(await last?.tools()).toEqual([]);
  });

  it('takes no call for a last answer', async () => {
    const first = model(() => scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: {} }] }, usage));
    const cluster = clusterWith(
      { plain: { reserve_usd: 0.65 } },
      { first },
      { retry_backoff_ms: 1, loops: { detect: false } },
    );
    await cluster.node();
    await cluster.submit({ ...once, limits: { cost_usd: 1 } }, 'a');
    expect(await cluster.result()).toMatchObject({ status: 'failed', code: 'max_retries', tool_calls: 1 });
  });

  it('ends there without leave to do so', async () => {
    const cluster = clusterWith({}, { first: working() });
    await cluster.node();
    await cluster.submit({ ...once, limits: { cost_usd: 0.5 } }, 'a');
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'failed', code: 'budget_exceeded' });
    expect(result.notice).toContain('budget');
  });
});

describe('the answer of before (DEG-2)', () => {
  it('is given to the same user and task when no model answers, and says where it is from', async () => {
    let up = true;
    const first = model(() => {
      if (!up) throw new AppError('model_unavailable', 'HTTP 503', { retryable: true });
      return scripted({ action: 'final_answer', answer: 'forty-two' });
    });
    const cluster = clusterWith({ cached: {} }, { first }, { retry_backoff_ms: 1 });
    const { deps } = await cluster.node();
    await cluster.submit(once, 'a');
    const before = await cluster.result();
    up = false;
    // One after the other: what one of them does to the breaker of the model is no matter of the next.
    for (const [task, user] of [
      [{ ...once, session_id: 'again' }, 'u'],
      [{ input: 'something else', session_id: 'other' }, 'u'],
      [{ ...once, session_id: 'stranger' }, 'v'],
    ] as const) {
      const before = (await cluster.results()).length;
      await cluster.submit(task, 'a', user);
      await cluster.until('result', async () => (await cluster.results()).length > before);
    }
    const by = new Map((await cluster.results()).map((one) => [one.session_id, one]));
    expect(by.get('again')).toMatchObject({ status: 'completed', answer: 'forty-two', fallbacks: [{ to: 'cached' }] });
    expect(by.get('again')?.degraded).toContain('the answer that a gave to the same task before');
    expect(by.get('other')).toMatchObject({ status: 'failed', answer: null });
    expect(by.get('stranger')).toMatchObject({ status: 'failed', answer: null });
    expect(deps.answers.figures.hits).toBe(1);
    expect(deps.answers.figures.misses).toBeGreaterThanOrEqual(2);
    const trace = await cluster.entries(by.get('again')?.run ?? '');
    const event = trace.flatMap((entry) => entry.events).find((one) => one.type === 'using_fallback');
    expect(event?.link).toMatchObject({ to: 'cached', run: before.run });
  });
});

describe('a tool that stays down (DEG-3)', () => {
  it('names the tool that can stand in for it', async () => {
    const first = model((_, n) =>
      scripted(
        n === 1
          ? { action: 'tool_call', calls: [{ tool: 'search', args: {} }] }
          : { action: 'final_answer', answer: 'x' },
      ),
    );
    const cluster = clusterWith({ tools: { search: 'echo' } }, { first }, { retry_backoff_ms: 1 });
    cluster.tools.add('search', () => {
      throw new AppError('unavailable', 'it is away', { retryable: true });
    });
    await cluster.node();
    await cluster.submit(once, 'a');
    await cluster.result();
    const steps = await first.asked[1]?.window();
    expect(steps?.[0]?.observations[0]).toMatchObject({ status: 'unavailable' });
    expect(steps?.[0]?.observations[0]?.error?.suggestion).toContain('use echo instead');
  });
});

describe('the end of a chain (APPR-6)', () => {
  it.each([
    ['no model answers', { models: [{ model: 'second' }], person: { queue: 'support' } }, { input: 'x' }, 2],
    ['the steps run out', { person: { queue: 'support' } }, { input: 'x', limits: { steps: 1 } }, 1],
  ])('is a person when %s', async (why, fallback, task, links) => {
    const busy = model((input) =>
      scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: { n: input.step } }] }),
    );
    const first = why === 'the steps run out' ? busy : down();
    const cluster = clusterWith(fallback, { first, second: down() }, { retry_backoff_ms: 1 });
    await cluster.node();
    await cluster.submit(task, 'a');
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'failed', outcome: 'failure', code: 'queued_for_human', answer: null });
    expect(result.notice).toBe('A person will look at this.');
    expect(result.fallbacks).toHaveLength(links);
    expect(result.fallbacks?.at(-1)).toMatchObject({ to: 'person', queue: 'support' });
  });
});
