// Tests of an agent without a server, a key or a second of waiting. Run them with vitest: npx vitest run examples/testing
import { defineTool } from 'proctor';
import { createTestStack, scripted, scriptedModel } from 'proctor/testing';
import { expect, it } from 'vitest';
import { z } from 'zod';

const agent = { name: 'refunds', model: 'openai/gpt-5', tools: ['refund'], instructions: 'You refund orders.' };

/** The tool under test, and what it did. */
function refunds(pause: () => Promise<void> = async () => {}) {
  const paid = new Map<string, number>();
  const tool = defineTool({
    name: 'refund',
    description: 'Pays an order back.',
    parameters: z.object({ order: z.string(), amount: z.number().positive() }),
    idempotent: true,
    handler: async ({ order, amount }, { idempotencyKey }) => {
      await pause();
      paid.set(idempotencyKey, amount);
      return { order, paid: amount };
    },
  });
  return { tool, paid };
}

const refundThenAnswer = () =>
  scriptedModel([
    scripted({
      action: 'tool_call',
      reasoning: 'the order arrived broken',
      calls: [{ tool: 'refund', args: { order: 'A-17', amount: 20 } }],
    }),
    async ({ window }) =>
      scripted({ action: 'final_answer', answer: (await window()).at(-1)?.observations[0]?.result ?? null }),
  ]);

it('refunds an order and says so', async () => {
  const { tool, paid } = refunds();
  const model = refundThenAnswer();
  const stack = await createTestStack({ agents: [agent], model, tools: [tool] });
  const run = await stack.submit({ input: 'order A-17 arrived broken' });
  expect(await stack.result(run)).toMatchObject({ status: 'completed', answer: { order: 'A-17', paid: 20 } });
  expect([...paid.values()]).toEqual([20]);
  expect((await stack.trace(run)).steps[0]).toMatchObject({ thought: 'the order arrived broken' });
  model.verify();
  await stack.stop();
});

it('refunds once, although the node is killed in the middle', async () => {
  // The bank takes a second of the simulated clock.
  const bank = () => new Promise<void>((resolve) => void stack.clock.after(1_000, resolve));
  const { tool, paid } = refunds(bank);
  const stack = await createTestStack({ agents: [agent], model: refundThenAnswer(), tools: [tool] });
  const run = await stack.submit({ input: 'order A-17 arrived broken' });
  await stack.reaches(run, 'executing');
  await stack.crash();
  expect((await stack.result(run)).status).toBe('completed');
  expect([...paid.values()]).toEqual([20]);
  expect((await stack.trace(run)).totals.claims).toBe(2);
  await stack.stop();
});

it('waits for a person for an hour, in no time', async () => {
  const model = scriptedModel([
    scripted({ action: 'ask_human', question: 'Is 500 EUR all right?' }),
    scripted({ action: 'final_answer', answer: 'asked' }),
  ]);
  const stack = await createTestStack({ agents: [agent], model });
  const run = await stack.submit({ input: 'refund 500 EUR' });
  const { requires } = await stack.reaches(run, 'waiting.person');
  await stack.advance(3_600_000);
  await stack.until(stack.operator.resolve(run, requires?.c ?? '', { verdict: 'done', result: 'yes' }));
  expect((await stack.result(run)).answer).toBe('asked');
  await stack.stop();
});
