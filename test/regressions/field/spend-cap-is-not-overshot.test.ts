import { describe, expect, it } from 'vitest';
import { scripted } from '../../../src/adapters/model/scripted.ts';
import { createTestStack } from '../../../src/app/test-stack.ts';
import { results, say, tool, use } from '../support.ts';

/**
 * Seen elsewhere: nothing caps what a run may cost in money or tokens; where something does, the cap is looked at after
 * a whole turn, so each run overshoots by one. https://github.com/microsoft/autogen/issues/4022
 *
 * Proctor: a run has a cap in USD and one in tokens. The model call that passes it is the last one: what it decided is
 * not carried out, and nobody is asked again. What a run delegates is paid from its own cap.
 */

const agent = { name: 'a', model: 'test/model', tools: ['*'], loops: { detect: false }, limits: { steps: 1_000 } };
const USAGE = { input_tokens: 90, output_tokens: 10, cost_usd: 0.01 };

describe('a run with a cap on what it spends', () => {
  it.each([
    ['USD', { cost_usd: 0.035 }, 'budget_exceeded', /0\.0400 USD spent, 0\.035 allowed/],
    ['tokens', { tokens: 350 }, 'token_limit', /400 tokens used, 350 allowed/],
  ] as const)(
    'in %s ends with the call that passes it, and does not carry that out',
    async (_unit, limits, code, why) => {
      let asked = 0;
      let worked = 0;
      const stack = await createTestStack({
        agents: [agent],
        model: { think: async () => use('work', { n: asked++ }, USAGE) },
        tools: [tool('work', () => ++worked)],
      });
      const run = await stack.submit({ input: 'x', limits });
      const result = await stack.result(run);
      expect(result).toMatchObject({ status: 'failed', code, partial: 3 });
      expect(result.error?.reason).toMatch(why);
      // All that was used is accounted for, the last call too.
      expect([result.input_tokens + result.output_tokens, result.cost_usd]).toEqual([400, expect.closeTo(0.04)]);
      expect([asked, worked]).toEqual([4, 3]);
      await stack.stop();
    },
  );

  it('may spend all of it', async () => {
    const replies = [use('work', { n: 1 }, USAGE), use('work', { n: 2 }, USAGE), say('done', USAGE)];
    const stack = await createTestStack({
      agents: [agent],
      model: { think: async () => replies.shift() ?? say() },
      tools: [tool('work', () => 'worked')],
    });
    const run = await stack.submit({ input: 'x', limits: { tokens: 300, cost_usd: 0.03 } });
    expect(await stack.result(run)).toMatchObject({ status: 'completed', cost_usd: expect.closeTo(0.03) });
    await stack.stop();
  });

  it('pays from it for all that it delegates, at most one call of each too many', async () => {
    let asked = 0;
    const boss = { ...agent, name: 'boss', delegates_to: ['worker'] };
    const worker = { ...agent, name: 'worker' };
    const members = [1, 2].map((part) => ({ agent: 'worker', input: part }));
    const model = {
      think: async ({ agent: { name }, step }: { agent: { name: string }; step: number }) => {
        if (name === 'worker') return use('work', { n: asked++ }, USAGE);
        return step === 1 ? scripted({ action: 'delegate', members }, USAGE) : say('done', USAGE);
      },
    };
    const stack = await createTestStack({ agents: [boss, worker], model, tools: [tool('work', () => 'worked')] });
    await stack.submit({ input: 'x', limits: { tokens: 1_000 } }, 'boss');
    const ended = await results(stack);
    const codes = ended.filter((one) => one.agent === 'worker').map((one) => one.code);
    expect(codes).toEqual(['token_limit', 'token_limit']);
    // 900 were left for both; each had 450 and passed it with its fifth call.
    expect(asked).toBe(10);
    expect(ended.find((one) => one.agent === 'boss')).toMatchObject({ code: 'token_limit', input_tokens: 90 * 11 });
    await stack.stop();
  });
});
