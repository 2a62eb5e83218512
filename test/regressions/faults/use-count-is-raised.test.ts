import { describe, expect, it } from 'vitest';
import { createTestStack } from '../../../src/app/test-stack.ts';
import { say, tool, use } from '../support.ts';

/** The fault: the number of uses is compared with its limit before each call, and nobody ever raises it. */

const agent = { name: 'a', model: 'test/model', tools: ['*'], loops: { detect: false } };

describe('the count of calls', () => {
  it('is raised by each call, so that the one after the last allowed is refused', async () => {
    let made = 0;
    const stack = await createTestStack({
      agents: [agent],
      model: { think: async () => use('work', { n: made }) },
      tools: [tool('work', () => ++made)],
    });
    const run = await stack.submit({ input: 'x', limits: { tool_calls: 3 } });
    expect(await stack.result(run)).toMatchObject({ code: 'tool_call_limit', tool_calls: 3 });
    expect(made).toBe(3);
    await stack.stop();
  });

  it('of a tool is what operators are shown', async () => {
    const stack = await createTestStack({
      agents: [agent],
      model: { think: async ({ step }) => (step <= 4 ? use('work', { step }) : say()) },
      tools: [tool('work', () => 'worked')],
    });
    await stack.result(await stack.submit({ input: 'x' }));
    expect(await stack.until(stack.operator.tools())).toMatchObject([{ name: 'work', calls: 4, errors: 0 }]);
    await stack.stop();
  });
});
