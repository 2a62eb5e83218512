import { afterAll, beforeAll, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import { defineAgent } from '../../src/core/agent-input.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { silent } from './support.ts';

let server: NatsServer;

beforeAll(async () => {
  server = await startNatsServer();
});
afterAll(() => server.stop());

it('takes tasks and runs again after a server has lost the consumers', async () => {
  const subjects = new Subjects();
  const bus = await connectBus({ url: server.url }, 'test', subjects, silent);
  const think = () => Promise.resolve(scripted({ action: 'final_answer', answer: 'done' }));
  const agents = [defineAgent({ name: 'a', model: 'm' })];
  const node = await startSupervisor({ bus, subjects, log: silent, agents, models: { m: { think } } });
  const client = createClient({ bus, subjects, user: 'u' });
  const ended = async () => {
    const { run } = await client.submit({ input: 'x' }, 'a');
    return (await client.result(run, { wait: true })).status;
  };
  expect(await ended()).toBe('completed');
  const { queue, tasks, inbox } = streamsOf(subjects);
  for (const { name: stream } of [queue, tasks, inbox]) {
    for (const name of await bus.queues(stream)) await bus.removeQueue(stream, name);
  }
  expect(await ended()).toBe('completed');
  expect(await bus.queues(queue.name)).toHaveLength(1);
  await node.stop();
  await bus.close();
});
