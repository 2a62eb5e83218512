import { expect, it } from 'vitest';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { laneOf } from '../../src/core/subjects.ts';
import { sweepActivations } from '../../src/runtime/sweep.ts';
import { Cluster, chain, recordingLog } from './support.ts';

/** What stands in the queue, by run. */
async function queued(cluster: Cluster): Promise<string[]> {
  return cluster.last('QUEUE', 'proctor.queue.>', (text) => (JSON.parse(text) as { run: string }).run);
}

const activate = (cluster: Cluster, agent: string, run: string) =>
  cluster.client.publish(
    cluster.subjects.activation(agent, 'normal', laneOf('u'), run),
    JSON.stringify({ v: 1, run, first: true }),
  );

it('removes activations that came back for ended runs, and leaves those that mean work', async () => {
  const cluster = new Cluster({ name: 'ai', model: 'ai' });
  cluster.modelMap.ai = scriptedModel([scripted({ action: 'ask_human', question: 'go on?' })]);
  const node = await cluster.node('n1');
  await cluster.submit(chain(1));
  const ended = (await cluster.result()).run;
  await cluster.submit({ input: 'x' }, 'ai');
  const waiting = (await cluster.status('waiting.person')).run;
  await cluster.until('parked run', () => Promise.resolve(node.node.activeRuns === 0));
  expect(await queued(cluster)).toEqual([]);
  await node.node.stop();

  // Nobody takes from the queue any more: an activation of the ended run, and one that calls for an owner.
  await activate(cluster, 'plan', ended);
  await activate(cluster, 'ai', waiting);
  const log = recordingLog();
  const deps = { ...cluster.deps('n2', cluster.client), log };
  expect(await sweepActivations(deps)).toBe(0);
  await cluster.clock.advance(120_000);
  expect(await sweepActivations(deps)).toBe(1);
  expect(await queued(cluster)).toEqual([waiting]);
  expect(log.lines).toContainEqual(expect.objectContaining({ event: 'activation.came_back' }));
});

it('leaves the activation of another run alone that the leader has where a copy had one that came back', async () => {
  const cluster = new Cluster({ name: 'ai', model: 'ai' });
  cluster.modelMap.ai = scriptedModel([scripted({ action: 'ask_human', question: 'go on?' })]);
  const node = await cluster.node('n1');
  await cluster.submit(chain(1));
  const ended = (await cluster.result()).run;
  await cluster.submit({ input: 'x' }, 'ai');
  const waiting = (await cluster.status('waiting.person')).run;
  await cluster.until('parked run', () => Promise.resolve(node.node.activeRuns === 0));
  await node.node.stop();
  await activate(cluster, 'ai', waiting);
  await cluster.clock.advance(120_000);

  const log = recordingLog();
  const bus = new MemoryBus(cluster.broker, 'n2');
  const subject = cluster.subjects.activation('plan', 'normal', laneOf('u'), ended);
  bus.scan = async function* (...args) {
    const data = JSON.stringify({ v: 1, run: ended });
    for await (const message of cluster.client.scan(...args)) yield { ...message, subject, data };
  };
  expect(await sweepActivations({ ...cluster.deps('n2', bus), log })).toBe(0);
  expect(await queued(cluster)).toEqual([waiting]);
  expect(log.lines).toEqual([
    expect.objectContaining({
      level: 'warn',
      event: 'message.not_removed',
      fields: expect.objectContaining({ subject, consequence: 'the other one is left alone' }),
    }),
  ]);
});

it('leaves the activation of an ended run whose result is not stored yet', async () => {
  const cluster = new Cluster();
  const node = await cluster.node('n1', { dieAt: (point) => point === 'end.written' });
  await cluster.submit(chain(1));
  await cluster.until('dead node', () => Promise.resolve(node.dead));
  await cluster.clock.advance(120_000);
  const deps = cluster.deps('n2', cluster.client);
  expect(await queued(cluster)).toHaveLength(1);
  expect(await sweepActivations(deps)).toBe(0);
  expect(await queued(cluster)).toHaveLength(1);
});
