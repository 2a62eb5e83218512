import { describe, expect, it } from 'vitest';
import { scripted } from '../../../src/adapters/model/scripted.ts';
import { AppError } from '../../../src/core/errors.ts';
import { Cluster } from '../../runtime/support.ts';

/**
 * Seen elsewhere: there is no fallback, or it is dead in the middle of a run; and a model that fails is not remembered, so
 * every child tries it first, waits out its retries, and only then falls back.
 * https://github.com/nicobailon/pi-subagents/issues/1936 https://github.com/crewAIInc/crewAI/issues/3032
 *
 * Proctor: an agent names the models that it falls back on; the run goes on with the next one where it stands, and says so
 * in its result. Failures count in a breaker of the cluster, so the runs after it, on every node, do not ask the model
 * that is down; when its time is over, two of them try it.
 */

function cast() {
  let up = false;
  const asked = { first: 0, second: 0 };
  const answer = (n: number) =>
    n < 3
      ? scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: { n } }] })
      : scripted({ action: 'final_answer', answer: 'done' });
  const cluster = new Cluster({
    name: 'a',
    model: 'first',
    retry_backoff_ms: 1,
    fallback: { models: [{ model: 'second' }] },
  } as never);
  cluster.modelMap = {
    ...cluster.modelMap,
    first: {
      think: async ({ step }) => {
        asked.first++;
        // In the middle of the first run it goes away.
        if (!up && (step > 1 || asked.first > 1))
          throw new AppError('model_unavailable', 'HTTP 503', { retryable: true });
        return answer(step);
      },
    },
    second: {
      think: async ({ step }) => {
        asked.second++;
        return answer(step);
      },
    },
  };
  const done = async (n: number) => {
    await cluster.submit({ input: 'x' }, 'a');
    await cluster.until('result', async () => (await cluster.results()).length === n);
    return (await cluster.results()).at(-1);
  };
  const comesBack = () => {
    up = true;
  };
  return { cluster, asked, done, comesBack };
}

describe('a model that fails', () => {
  it('in the middle of a run is left for the next one, and nothing of the run is done again', async () => {
    const { cluster, done } = cast();
    await cluster.node('n1');
    const result = await done(1);
    expect(result).toMatchObject({
      status: 'completed',
      answer: 'done',
      fallbacks: [{ kind: 'model', model: 'second' }],
    });
    expect(cluster.tools.calls.map((call) => call.args)).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it('is not asked first by the runs after it, on any node, until it may be tried again', async () => {
    const { cluster, asked, done, comesBack } = cast();
    await cluster.node('n1');
    await cluster.node('n2');
    await done(1);
    const known = asked.first;
    for (let n = 2; n <= 6; n++) await done(n);
    expect(asked.first).toBe(known);
    comesBack();
    await cluster.clock.advance(31_000);
    const result = await done(7);
    expect(asked.first).toBeGreaterThan(known);
    expect(result?.status).toBe('completed');
    expect(result?.fallbacks).toBeUndefined();
  });
});
