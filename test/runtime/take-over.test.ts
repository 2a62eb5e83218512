import { expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { Cluster } from './support.ts';

it('a run that was cancelled while it had no owner begins nothing more, however fast the next owner is', async () => {
  const cluster = new Cluster({ name: 'a', model: 'm', loops: { detect: false }, limits: { steps: 1_000 } } as never);
  // It answers at once: whoever takes the run could make many calls before somebody else tells it of the order.
  const model = {
    think: async ({ step }: { step: number }) =>
      scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: { n: step } }] }),
  };
  cluster.modelMap = { ...cluster.modelMap, m: model };
  let folded = 0;
  const first = await cluster.node('n1', { dieAt: (point) => point === 'entry.folded' && ++folded === 6 });
  await cluster.submit({ input: 'x' }, 'a');
  await cluster.until('death', async () => first.dead);
  const run = (await cluster.statuses())[0]?.run ?? '';
  const made = cluster.tools.calls.length;
  expect(made).toBeGreaterThan(0);
  const body = JSON.stringify({ v: 1, by: 'olga', why: 'enough' });
  await cluster.client.publish(cluster.subjects.inbox({ run, kind: 'cancel', id: 'now' }), body);
  await cluster.node('n2');
  expect(await cluster.result()).toMatchObject({ status: 'failed', code: 'cancelled' });
  expect(cluster.tools.calls.length).toBe(made);
});
