import { describe, expect, it } from 'vitest';
import { scripted } from '../../../src/adapters/model/scripted.ts';
import { createTestStack, type TestStack } from '../../../src/app/test-stack.ts';
import { results, runOf, say, tool, use, work } from '../support.ts';

/**
 * Seen elsewhere: a user cancels, the screen says cancelled, and the tool, the model call or the nested workflow goes on
 * and is paid for; or a cancel counts only from the next step on. https://github.com/mastra-ai/mastra/issues/7137
 *
 * Proctor: a cancel ends the run at once. Its model call is aborted, the handlers of its tools are told so in their
 * workers, what it delegated ends with it; what a handler that does not listen brings later changes nothing.
 */

const agent = { name: 'a', model: 'test/model', tools: ['*'] };
const LATER = 120_000;

/** Time goes by until whatever was left running is over. */
async function cancelled(stack: TestStack, run: string) {
  await stack.until(stack.client.cancel(run, 'the user left'));
  const result = await stack.result(run);
  await stack.advance(LATER);
  return result;
}

describe('a cancelled run', () => {
  it('tells the handler of the call that is under way, and nothing more is done or asked', async () => {
    let sent = 0;
    let asked = 0;
    const think = async () => use('send', { n: ++asked });
    const send = tool('send', (_args, { signal }) => work(stack, 20_000, () => ++sent, signal));
    const stack = await createTestStack({ agents: [agent], model: { think }, tools: [send] });
    const run = await stack.submit({ input: 'x' });
    await stack.reaches(run, 'executing');
    const result = await cancelled(stack, run);
    expect(result).toMatchObject({ status: 'failed', code: 'cancelled', outcome: 'cancelled' });
    expect(result.error?.reason).toContain('the user left');
    expect(result.duration_ms).toBeLessThan(5_000);
    expect([sent, asked]).toEqual([0, 1]);
    await stack.stop();
  });

  it('aborts its model call, which is not made again', async () => {
    let asked = 0;
    let aborted = 0;
    const think = ({ signal }: { signal: AbortSignal }) => {
      asked++;
      signal.addEventListener('abort', () => void aborted++);
      return work(stack, 20_000, () => say(), signal);
    };
    const stack = await createTestStack({ agents: [agent], model: { think } });
    const run = await stack.submit({ input: 'x' });
    await stack.reaches(run, 'thinking');
    expect((await cancelled(stack, run)).code).toBe('cancelled');
    expect([asked, aborted]).toEqual([1, 1]);
    await stack.stop();
  });

  it('takes what it delegated with it, down to the tool at the bottom', async () => {
    let sent = 0;
    const chain = ['top', 'middle', 'bottom'];
    const agents = chain.map((name, i) => ({ ...agent, name, delegates_to: chain.slice(i + 1, i + 2) }));
    const think = async ({ agent: { name, delegates_to } }: { agent: { name: string; delegates_to: string[] } }) =>
      delegates_to[0] === undefined
        ? use('send', { for: name })
        : scripted({ action: 'delegate', agent: delegates_to[0], input: 'part' });
    const send = tool('send', (_args, { signal }) => work(stack, 20_000, () => ++sent, signal));
    const stack = await createTestStack({ agents, model: { think }, tools: [send] });
    const run = await stack.submit({ input: 'x' }, 'top');
    await runOf(stack, 'bottom', 'executing.calling');
    await cancelled(stack, run);
    expect((await results(stack)).map((one) => [one.agent, one.code])).toEqual(
      expect.arrayContaining(chain.map((name) => [name, 'cancelled'])),
    );
    expect(sent).toBe(0);
    await stack.stop();
  });

  it('is not changed by what a handler brings that did not listen', async () => {
    let returned = 0;
    let asked = 0;
    const think = async () => use('deaf', { n: ++asked });
    const deaf = tool('deaf', () => work(stack, 20_000, () => ++returned));
    const stack = await createTestStack({ agents: [agent], model: { think }, tools: [deaf] });
    const run = await stack.submit({ input: 'x' });
    await stack.reaches(run, 'executing');
    const result = await cancelled(stack, run);
    expect([returned, asked]).toEqual([1, 1]);
    expect(await stack.result(run)).toEqual(result);
    const entries = await stack.journal(run);
    expect(entries.at(-1)?.events.map(({ type }) => type)).toEqual(['cancel']);
    await stack.stop();
  });

  it('that had not begun yet never begins', async () => {
    let asked = 0;
    const think = async () => say(++asked);
    const stack = await createTestStack({ agents: [agent], model: { think } });
    const begin = new Date(stack.clock.now() + LATER / 2).toISOString();
    const run = await stack.submit({ input: 'x', not_before: begin });
    expect((await cancelled(stack, run)).code).toBe('cancelled');
    expect(asked).toBe(0);
    await stack.stop();
  });
});
