import { afterAll, beforeAll, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import { defineAgent } from '../../src/core/agent-input.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { OrphanSearch } from '../../src/runtime/orphans.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { Cluster, recordingLog, silent } from './support.ts';

let server: NatsServer;

beforeAll(async () => {
  server = await startNatsServer();
});
afterAll(() => server.stop());

it('queues a run anew whose activation was purged from the queue, and not the one that is at work', async () => {
  const subjects = new Subjects();
  const bus = await connectBus({ url: server.url }, 'test', subjects, silent);
  let release: () => void = () => {};
  let thinks = 0;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const think = async () => {
    if (++thinks === 1) await released;
    return scripted({ action: 'final_answer', answer: 'done' });
  };
  const agents = [defineAgent({ name: 'a', model: 'm' })];
  const node = await startSupervisor({
    bus,
    subjects,
    log: silent,
    agents,
    models: { m: { think } },
    settings: { slots: 1 },
  });
  const client = createClient({ bus, subjects, user: 'u' });
  const working = await client.submit({ input: 'x' }, 'a');
  while (thinks === 0) await bus.flush();
  const purged = await client.submit({ input: 'x' }, 'a');
  const queue = streamsOf(subjects).queue.name;
  const activation = await bus.last(queue, `${subjects.prefix}.queue.*.*.*.${purged.run}`, { authoritative: true });
  expect(activation !== null && (await bus.remove(queue, activation))).toBe(true);

  const log = recordingLog();
  const clock = { now: () => Date.now() + 200_000, after: () => () => {} };
  const deps = { ...new Cluster().deps('look', bus), subjects, clock, log };
  expect((await new OrphanSearch(deps).page(1)).found).toBe(1);
  expect(log.lines).toEqual([
    expect.objectContaining({ event: 'run.orphaned', fields: expect.objectContaining({ run_id: purged.run }) }),
  ]);
  expect((await new OrphanSearch(deps).page(1)).found).toBe(0);
  release();
  for (const { run } of [working, purged]) {
    expect(await client.result(run, { wait: true })).toMatchObject({ run, status: 'completed' });
  }
  expect(thinks).toBe(2);
  await node.stop();
  await bus.close();
});
