import { expect, it } from 'vitest';
import { createTestStack } from '../../../src/app/test-stack.ts';
import { usualCost } from '../../../src/policy/anomalies.ts';
import { say, tool, use } from '../support.ts';

/** Seen elsewhere: a success rate, or an average, divided by the zero calls of a new tool: NaN in a list, or an error. */

it('a tool that was never called has no average, and one that was has its own', async () => {
  const replies = [use('busy'), say()];
  const stack = await createTestStack({
    agents: [{ name: 'a', model: 'm', tools: ['*'] }],
    model: { think: async () => replies.shift() ?? say() },
    tools: [tool('idle', () => 1), tool('busy', () => 1)],
  });
  await stack.result(await stack.submit({ input: 'x' }));
  const tools = new Map((await stack.until(stack.operator.tools())).map((one) => [one.name, one]));
  expect(tools.get('idle')).toMatchObject({ calls: 0, errors: 0, average_ms: null });
  expect(tools.get('busy')).toMatchObject({ calls: 1, errors: 0, average_ms: expect.any(Number) });
  await stack.stop();
});

it('an agent without runs has no usual cost, and neither has one whose runs cost nothing', () => {
  expect(usualCost([])).toBeNull();
  expect(usualCost(Array(100).fill(0))).toBeNull();
});
