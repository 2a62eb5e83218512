import { describe, expect, it } from 'vitest';
import { scripted } from '../../../src/adapters/model/scripted.ts';
import { createTestStack } from '../../../src/app/test-stack.ts';
import { results, say, tool, use } from '../support.ts';

/**
 * Seen elsewhere: a cap on steps or a condition to end was set and passed without effect; a network of agents went on
 * until somebody killed the server, "super costly". https://github.com/mastra-ai/mastra/issues/9387
 *
 * Proctor: every cap is asked before the thing that it caps. With `steps: 5` the model is asked five times, with
 * `tool_calls: 3` three calls are made, and the result names the cap. This holds for one that only delegates, and for one
 * that never answers.
 */

/** Caps alone: nothing else may end these runs. */
const agent = { name: 'a', model: 'test/model', tools: ['*'], loops: { detect: false }, limits: { steps: 1_000 } };
function count() {
  const counted = { calls: 0 };
  return { counted, tool: tool('work', () => ++counted.calls) };
}

describe('a cap', () => {
  it('on steps ends the run at that step, and its submitter is told how it can go on', async () => {
    const work = count();
    let asked = 0;
    const think = async () => use('work', { n: asked++ });
    const stack = await createTestStack({ agents: [agent], model: { think }, tools: [work.tool] });
    const run = await stack.submit({ input: 'x', limits: { steps: 5 } });
    expect(await stack.result(run)).toMatchObject({ status: 'failed', code: 'max_steps', steps: 5, partial: 5 });
    expect([asked, work.counted.calls]).toEqual([5, 5]);
    expect((await stack.until(stack.client.why(run))).text).toContain('proctor continue');
    await stack.stop();
  });

  it('on tool calls holds within one step as well: what passes it is not begun', async () => {
    const work = count();
    const calls = [1, 2].map((n) => ({ tool: 'work', args: { n } }));
    const think = async () => scripted({ action: 'tool_call', calls });
    const stack = await createTestStack({ agents: [agent], model: { think }, tools: [work.tool] });
    const run = await stack.submit({ input: 'x', limits: { tool_calls: 3 } });
    expect(await stack.result(run)).toMatchObject({ code: 'tool_call_limit', tool_calls: 2 });
    expect(work.counted.calls).toBe(2);
    await stack.stop();
  });

  it('on time ends a run whose model never answers', async () => {
    let aborted = false;
    const think = ({ signal }: { signal: AbortSignal }) => {
      signal.addEventListener('abort', () => {
        aborted = true;
      });
      return new Promise<never>(() => {});
    };
    const patient = { ...agent, limits: { step_ms: 3_600_000 } };
    const stack = await createTestStack({ agents: [patient], model: { think } });
    const run = await stack.submit({ input: 'x', limits: { wall_ms: 60_000 } });
    const result = await stack.result(run);
    expect(result).toMatchObject({ code: 'timeout', outcome: 'timeout' });
    expect(result.duration_ms).toBeLessThan(61_000);
    expect(aborted).toBe(true);
    await stack.stop();
  });

  it('holds for one that only routes to others: never more turns, never more of their runs', async () => {
    const router = { ...agent, name: 'router', model: 'test/router', delegates_to: ['worker'] };
    const worker = { name: 'worker', model: 'test/worker' };
    let routed = 0;
    const model = {
      think: async ({ agent: { name } }: { agent: { name: string } }) =>
        name === 'worker' ? say() : scripted({ action: 'delegate', agent: 'worker', input: `part ${routed++}` }),
    };
    for (const limits of [{ steps: 4 }, { children: 4, failing_steps: 1 }]) {
      routed = 0;
      const stack = await createTestStack({ agents: [router, worker], model });
      await stack.submit({ input: 'x', limits }, 'router');
      const ended = await results(stack);
      expect(ended.filter((one) => one.agent === 'worker')).toHaveLength(4);
      expect(ended.find((one) => one.agent === 'router')?.status).toBe('failed');
      await stack.stop();
    }
  });

  it('cannot be raised by the task that it is for', async () => {
    const stack = await createTestStack({
      agents: [{ ...agent, limits: { steps: 5 } }],
      model: { think: async () => say() },
    });
    await expect(stack.submit({ input: 'x', limits: { steps: 6 } })).rejects.toMatchObject({
      code: 'invalid_task',
      field: 'limits.steps',
    });
    await stack.stop();
  });
});
