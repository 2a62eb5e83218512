import { expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import { clientOf, drive } from '../client/support.ts';
import { Cluster } from './support.ts';

const SECRET = 'hunter2-and-more';

/** Everything that is told of the runs of a cluster: events, results, traces, why. */
async function told(cluster: Cluster): Promise<string> {
  const result = await cluster.result();
  const client = clientOf(cluster);
  const trace = await drive(cluster, client.trace(result.run));
  const why = await drive(cluster, client.why(result.run));
  const events = await cluster.last('EVT', 'proctor.evt.>', (text) => text);
  return JSON.stringify([result, trace, why, events]);
}

it('a secret in the error of a tool is not told by statuses, results, traces or why', async () => {
  const cluster = new Cluster();
  cluster.tools.add('leaky', () => {
    throw new AppError('tool_error', `login failed with password=${SECRET}`);
  });
  await cluster.node();
  await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'leaky' }] } });
  const text = await told(cluster);
  expect(text).toContain('login failed');
  expect(text).not.toContain(SECRET);
});

it('a secret in what a model says, or fails with, is not told either', async () => {
  const cluster = new Cluster({ name: 'ai', model: 'ai' });
  cluster.modelMap.ai = scriptedModel([
    scripted({
      action: 'tool_call',
      reasoning: `with password=${SECRET} I go on`,
      calls: [{ tool: 'echo', args: {} }],
    }),
    new AppError('bad_reply', `the provider said: {"api_key": "${SECRET}"}`),
  ]);
  await cluster.node();
  await cluster.submit({ input: 'x' }, 'ai');
  const text = await told(cluster);
  expect(text).toContain('I go on');
  expect(text).toContain('the provider said');
  expect(text).not.toContain(SECRET);
});
