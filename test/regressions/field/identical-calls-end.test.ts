import { describe, expect, it } from 'vitest';
import { createTestStack } from '../../../src/app/test-stack.ts';
import { say, tool, use, work } from '../support.ts';

/**
 * Seen elsewhere: an agent makes the same call again and again, 220 times in 25 minutes, and pays for its whole
 * conversation each time. Only a cap on steps ends it; one that is low enough ends honest work as well, and the loop
 * itself could not be stopped by hand. https://github.com/vercel/ai/issues/17606
 *
 * Proctor: calls that are the same, with the same result, are told to the model, put to a person and ended after the
 * sixth, however high the cap. Work whose results change goes on. A kill ends a call that is under way.
 */

const agent = { name: 'a', model: 'test/model', tools: ['*'], limits: { steps: 1_000, tool_calls: 1_000 } };
/** Asks for the same call for ever. */
function stuck(name: string) {
  const model = {
    asked: 0,
    think: async () => {
      model.asked++;
      return use(name, { path: 'README.md' });
    },
  };
  return model;
}

describe('a model that makes the same call for ever', () => {
  it('is ended after the sixth, long before its cap, and everybody is told why', async () => {
    let read = 0;
    const model = stuck('read');
    const reads = tool('read', () => {
      read++;
      return 'the text';
    });
    const stack = await createTestStack({ agents: [agent], model, tools: [reads] });
    const run = await stack.submit({ input: 'x' });
    const result = await stack.result(run);
    expect(result).toMatchObject({ status: 'failed', code: 'loop_detected', steps: 6 });
    expect(result.error?.reason).toMatch(/the same step 6 times in a row, with the same result: read/);
    expect([model.asked, read]).toEqual([6, 5]);
    expect((await stack.until(stack.client.why(run))).text).toMatch(/ended loop_detected at .*6 times in a row/);
    await stack.stop();
  });

  it('is not given a fresh count by a crash', async () => {
    let read = 0;
    const model = stuck('read');
    const slow = tool('read', (_args, { signal }) =>
      work(
        stack,
        500,
        () => {
          read++;
          return 'the text';
        },
        signal,
      ),
    );
    const stack = await createTestStack({ agents: [agent], model, tools: [slow] });
    const run = await stack.submit({ input: 'x' });
    for (const seen of [1, 3]) {
      while (read < seen) await stack.advance(100);
      await stack.crash();
    }
    expect(await stack.result(run)).toMatchObject({ code: 'loop_detected', steps: 6 });
    await stack.stop();
  });

  it('is ended by hand in the middle of a call', async () => {
    const model = stuck('hang');
    const hang = tool('hang', (_args, { signal }) => work(stack, 3_600_000, () => 'late', signal));
    const stack = await createTestStack({
      agents: [{ ...agent, limits: { step_ms: 3_600_000 } }],
      model,
      tools: [hang],
    });
    const run = await stack.submit({ input: 'x' });
    await stack.reaches(run, 'executing');
    await stack.advance(1_000);
    await stack.until(stack.operator.switch(`run:${run}`, 'kill', 'goes round in circles'));
    const result = await stack.result(run);
    expect(result).toMatchObject({ code: 'killed', outcome: 'cancelled' });
    expect(result.duration_ms).toBeLessThan(5_000);
    expect(model.asked).toBe(1);
    await stack.stop();
  });
});

describe('an agent that asks the same 60 times while something goes on', () => {
  it('is left alone: the results change', async () => {
    let percent = 0;
    const poll = tool('status', () => ({ percent: percent++ }));
    const think = async () => (percent < 60 ? use('status', { job: 7 }) : say(percent));
    const stack = await createTestStack({ agents: [agent], model: { think }, tools: [poll] });
    const run = await stack.submit({ input: 'x' });
    expect(await stack.result(run)).toMatchObject({ status: 'completed', answer: 60, tool_calls: 60 });
    await stack.stop();
  });
});
