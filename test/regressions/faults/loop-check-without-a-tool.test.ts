import { expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../../src/adapters/model/scripted.ts';
import { createTestStack } from '../../../src/app/test-stack.ts';
import { AppError } from '../../../src/core/errors.ts';
import { say, tool, use } from '../support.ts';

/** The fault: the loop check reads the tool of each of the last actions, and breaks on one that has none. */
it('a run of thoughts, plans, questions, failures and reviews is checked for loops like any other', async () => {
  const review = (verdict: 'accept' | 'revise') => scripted({ action: 'review', verdict });
  const plan = { steps: [{ id: 'a', tool: 'work', args: {}, after: [] }] };
  const model = scriptedModel([
    scripted({ action: 'plan', plan }),
    scripted({ action: 'think' }),
    scripted({ action: 'think', reasoning: 'hm' }),
    new AppError('bad_reply', 'that was no decision', { retryable: true }),
    scripted({ action: 'delegate', agent: 'nobody', input: 'x' }),
    scripted({ action: 'ask_human', question: 'really?' }),
    use('work'),
    say('a first answer'),
    review('revise'),
    say('a better one'),
    review('accept'),
  ]);
  const agent = { name: 'a', model: 'test/model', tools: ['*'], planning: true, review: true, retry_backoff_ms: 0 };
  const stack = await createTestStack({ agents: [agent], model, tools: [tool('work', () => 'worked')] });
  const run = await stack.submit({ input: 'x' });
  const { requires } = await stack.reaches(run, 'waiting.person');
  await stack.until(stack.operator.resolve(run, requires?.c ?? '', { verdict: 'done', result: 'yes' }));
  expect(await stack.result(run)).toMatchObject({ status: 'completed', answer: 'a better one' });
  model.verify();
  await stack.stop();
});

it('and one that only thinks the same is a loop', async () => {
  const agent = { name: 'a', model: 'test/model' };
  const think = async () => scripted({ action: 'think', reasoning: 'what now?' });
  const stack = await createTestStack({ agents: [agent], model: { think } });
  const run = await stack.submit({ input: 'x' });
  expect(await stack.result(run)).toMatchObject({ status: 'failed', code: 'loop_detected' });
  await stack.stop();
});
