import { describe, expect, it } from 'vitest';
import { scripted } from '../../../src/adapters/model/scripted.ts';
import { createTestStack, type TestStack } from '../../../src/app/test-stack.ts';
import { results, say, tool, use, work } from '../support.ts';

/**
 * Seen elsewhere: an engine that resumes by running the code again, under a framework that keeps its state beside it:
 * after each resumption the router is asked from the start, with a count of zero, and agents that were done run again.
 * https://github.com/inngest/agent-kit/issues/196
 *
 * Proctor: a run is its journal. What was decided is read, not asked again; only the model call that was under way when
 * the process died is made once more.
 */

const agents = [
  { name: 'router', model: 'test/router', tools: ['*'], delegates_to: ['worker'] },
  { name: 'worker', model: 'test/worker', tools: ['*'] },
];

/** Which step of which agent was asked for, in order; each call of a model takes `thinkMs`. */
function team(thinkMs: number) {
  const asked: string[] = [];
  const routes = [
    scripted({ action: 'delegate', agent: 'worker', input: 'plan the video' }),
    use('work', { n: 1 }),
    scripted({ action: 'delegate', agent: 'worker', input: 'cut the video' }),
    say('done'),
  ];
  const model = {
    think: async ({ agent: { name }, task, step }: Asked) => {
      asked.push(`${name === 'worker' ? task.input : name} ${step}`);
      await work(held, thinkMs, () => null);
      if (name === 'router') return routes[step - 1] ?? say('too far');
      return step === 1 ? use('work', { for: String(task.input) }) : say(`${task.input}: ready`);
    },
  };
  const slow = tool('work', (_args, { signal }) => work(held, 2_000, () => 'worked', signal));
  const held = {} as TestStack;
  const start = async () => Object.assign(held, await createTestStack({ agents, model, tools: [slow] }));
  return { asked, start };
}
interface Asked {
  agent: { name: string };
  task: { input: unknown };
  step: number;
}

const ONCE = [
  'router 1',
  'plan the video 1',
  'plan the video 2',
  'router 2',
  'router 3',
  'cut the video 1',
  'cut the video 2',
  'router 4',
];

describe('a run that is resumed', () => {
  it('asks nobody anything again that was decided: every crash falls into a tool', async () => {
    const { asked, start } = team(1);
    const stack = await start();
    const run = await stack.submit({ input: 'x' }, 'router');
    for (let crashes = 0; crashes < 5; crashes++) {
      await stack.advance(1_000);
      await stack.crash();
    }
    expect(await stack.result(run)).toMatchObject({ status: 'completed', answer: 'done', steps: 4 });
    expect(asked).toEqual(ONCE);
    expect(await results(stack)).toHaveLength(3);
    await stack.stop();
  });

  it('asks again for the one answer that was on its way, and for nothing before it', async () => {
    const { asked, start } = team(700);
    const stack = await start();
    const run = await stack.submit({ input: 'x' }, 'router');
    const again: string[] = [];
    for (let steps = 1; steps <= 8; steps++) {
      while (asked.length < steps + again.length) await stack.advance(50);
      again.push(asked.at(-1) ?? '');
      await stack.crash();
      while (asked.length < steps + again.length) await stack.advance(50);
    }
    expect(await stack.result(run)).toMatchObject({ status: 'completed', answer: 'done', steps: 4 });
    expect(asked).toEqual(ONCE.flatMap((one) => [one, one]));
    await stack.stop();
  });
});
