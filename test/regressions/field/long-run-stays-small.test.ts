import { expect, it } from 'vitest';
import { createTestStack } from '../../../src/app/test-stack.ts';
import type { WindowStep } from '../../../src/ports/model.ts';
import { say, tool, use } from '../support.ts';

/**
 * Seen elsewhere: an engine records the input of each model call, so the history of a chat holds the whole conversation
 * once a call: 99.8 % of it was that, and a run over a conversation of 209,000 tokens was ended by the engine's limit of
 * 50 MB at call 53 of 100. https://github.com/temporalio/sdk-python/issues/1890
 *
 * Proctor: the journal holds the task once, and of each step what was decided and what came of it. Its size is that of
 * what is new; the hundredth step costs what the first did, and nothing ends a run for its length.
 */

const CALLS = 300;
const CONVERSATION = 200_000;
const OUTPUT = 5_000;
/** Room for everything else that a step writes. */
const OVERHEAD = 2_000;

it('a run of 300 calls over a long conversation has a journal as large as what happened in it', async () => {
  const agent = {
    name: 'chat',
    model: 'test/model',
    tools: ['*'],
    limits: { steps: 1_000, tool_calls: 1_000, tokens: 1_000_000_000, wall_ms: 86_400_000 },
  };
  let shown: WindowStep[] = [];
  const model = {
    think: async ({ step, window }: { step: number; window(): Promise<WindowStep[]> }) => {
      if (step <= CALLS) return use('look', { page: step }, { input_tokens: 209_000, output_tokens: 20, cost_usd: 0 });
      shown = await window();
      return say('done');
    },
  };
  const look = tool('look', ({ page }) => `${page} ${'x'.repeat(OUTPUT)}`);
  const stack = await createTestStack({ agents: [agent], model, tools: [look] });
  const run = await stack.submit({ input: 'c'.repeat(CONVERSATION) });
  expect(await stack.result(run)).toMatchObject({ status: 'completed', tool_calls: CALLS });

  const sizes = (await stack.journal(run)).map((entry) => JSON.stringify(entry).length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  expect(total).toBeLessThan(CONVERSATION + CALLS * (OUTPUT + OVERHEAD) + 20_000);
  expect(Math.max(...sizes.slice(1))).toBeLessThan(OUTPUT + OVERHEAD);
  // The model is shown the last steps, not all of them.
  expect(shown.length).toBeGreaterThan(0);
  expect(shown.length).toBeLessThanOrEqual(20);
  await stack.stop();
});
