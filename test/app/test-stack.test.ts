import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { createTestStack } from '../../src/app/test-stack.ts';
import { AppError } from '../../src/core/errors.ts';

/** What `examples/testing` does not show. */
describe('the test stack', () => {
  it('runs the plan agent with no options at all, and refuses what a node would', async () => {
    const stack = await createTestStack();
    const error: unknown = await stack.submit({ input: 1, limits: { steps: 0 } }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'invalid_task', field: 'limits.steps' });
    await stack.stop();
    expect(stack.clock.pending).toBe(0);
  });

  it('says when what is waited for will not happen', async () => {
    const agent = { name: 'asks', model: 'anthropic/some' };
    const model = scriptedModel([scripted({ action: 'ask_human', question: 'well?' })]);
    const stack = await createTestStack({ agents: [agent], model });
    const run = await stack.submit({ input: 1 });
    await expect(stack.until(stack.client.result(run, { wait: true }), 60_000)).rejects.toMatchObject({
      code: 'not_settled',
      message: expect.stringContaining('within 60000 ms of simulated time'),
    });
    await expect(stack.until(new Promise(() => {}), 1_000)).rejects.toMatchObject({ code: 'not_settled' });
    await stack.until(stack.client.cancel(run));
    await expect(stack.reaches(run, 'executing')).rejects.toMatchObject({ code: 'not_reached' });
    await stack.stop();
  });
});
