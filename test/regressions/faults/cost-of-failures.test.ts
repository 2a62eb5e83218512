import { describe, expect, it } from 'vitest';
import { scripted } from '../../../src/adapters/model/scripted.ts';
import { createTestStack } from '../../../src/app/test-stack.ts';
import { AppError } from '../../../src/core/errors.ts';
import { results, say, tool, use } from '../support.ts';

/** The fault: only steps whose tool succeeded are charged; what failed was free, and a run that only fails costs nothing. */

const USAGE = { input_tokens: 90, output_tokens: 10, cost_usd: 0.01 };
const agent = { name: 'a', model: 'test/model', tools: ['*'], retry_backoff_ms: 0 };
const broken = tool('broken', () => {
  throw new AppError('tool_error', 'no such table');
});

const used = (calls: number) => ({
  input_tokens: 90 * calls,
  output_tokens: 10 * calls,
  cost_usd: expect.closeTo(0.01 * calls) as number,
});

describe('what a run has cost', () => {
  it('holds the steps whose tool failed, whose model call failed, and that were refused', async () => {
    const replies = [
      () => use('broken', { n: 1 }, USAGE),
      () => {
        throw new AppError('bad_reply', 'that was no decision', { retryable: true, usage: USAGE });
      },
      () => use('nonexistent', {}, USAGE),
      () => say('done', USAGE),
    ];
    const think = async ({ step }: { step: number }) => replies[step - 1]?.() ?? say();
    const patient = { ...agent, limits: { failing_steps: 10 } };
    const stack = await createTestStack({ agents: [patient], model: { think }, tools: [broken] });
    const run = await stack.submit({ input: 'x' });
    expect(await stack.result(run)).toMatchObject({ status: 'completed', ...used(4) });
    const { steps, totals } = await stack.trace(run);
    expect(steps.map((step) => step.cost.input_tokens)).toEqual([90, 90, 90, 90]);
    expect(totals).toMatchObject({ input_tokens: 360, output_tokens: 40, estimated_cost: expect.closeTo(0.04) });
    await stack.stop();
  });

  it('is there when it failed altogether, and counts against its cap', async () => {
    const think = async ({ step }: { step: number }) => use('broken', { step }, USAGE);
    const stack = await createTestStack({ agents: [agent], model: { think }, tools: [broken] });
    const run = await stack.submit({ input: 'x' });
    expect(await stack.result(run)).toMatchObject({ status: 'failed', code: 'max_retries', ...used(3) });
    const capped = await stack.submit({ input: 'x', limits: { tokens: 150 } });
    expect(await stack.result(capped)).toMatchObject({ code: 'token_limit', ...used(2) });
    await stack.stop();
  });

  it('holds what a delegated run cost that failed', async () => {
    const agents = [{ ...agent, name: 'boss', delegates_to: ['a'] }, agent];
    const think = async ({ agent: { name }, step }: { agent: { name: string }; step: number }) => {
      if (name === 'a') return use('broken', { step }, USAGE);
      return step === 1 ? scripted({ action: 'delegate', agent: 'a', input: 'part' }, USAGE) : say('done', USAGE);
    };
    const stack = await createTestStack({ agents, model: { think }, tools: [broken] });
    await stack.submit({ input: 'x' }, 'boss');
    const ended = await results(stack);
    expect(ended.find((one) => one.agent === 'a')).toMatchObject({ status: 'failed', ...used(3) });
    expect(ended.find((one) => one.agent === 'boss')).toMatchObject({ status: 'completed', ...used(5) });
    await stack.stop();
  });
});
