import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NatsBus } from '../../../src/adapters/nats/bus.ts';
import type { QueueSpec } from '../../../src/core/streams.ts';
import type { Delivery } from '../../../src/ports/bus.ts';
import { type NatsServer, startNatsServer } from '../../support/nats-server.ts';
import { codeOf, connectTo, until } from './support.ts';

describe('a NATS queue and its server', () => {
  let server: NatsServer;
  let bus: NatsBus;
  let count = 0;
  const never = new AbortController().signal;

  beforeAll(async () => {
    server = await startNatsServer();
    bus = await connectTo(server, { timeoutMs: 1_000 });
  });
  afterAll(async () => {
    await bus.close();
    await server.stop();
  });

  async function makeQueue(ackWaitMs = 30_000): Promise<QueueSpec> {
    const name = `Q${++count}`;
    const subject = name.toLowerCase();
    await bus.ensureStream({
      name,
      subjects: [`${subject}.>`],
      retention: 'workqueue',
      perSubject: 'first',
      storage: 'file',
    });
    const spec = { stream: name, name: 'w', filter: `${subject}.>`, ackWaitMs };
    await bus.ensureQueue(spec);
    return spec;
  }

  async function takeOne(spec: QueueSpec): Promise<Delivery> {
    const got: Delivery[] = [];
    const queue = await bus.queue(spec);
    await until('a delivery', async () => {
      await queue.pull(1, 500, (d) => got.push(d), never);
      return got.length > 0;
    });
    return got[0] as Delivery;
  }

  it('outlives a restart in the middle of a pull, and names the same creation time afterwards', async () => {
    const spec = await makeQueue();
    const subject = spec.stream.toLowerCase();
    await bus.publish(`${subject}.1`, 'before');
    const before = await takeOne(spec);
    const got: Delivery[] = [];
    const pull = (await bus.queue(spec)).pull(1, 60_000, (d) => got.push(d), never);
    await bus.flush();
    await server.kill9();
    await server.restart();
    await bus.publish(`${subject}.2`, 'after');
    await pull;
    expect(got.map((d) => [d.data, d.created, d.deliveries])).toEqual([['after', before.created, 1]]);
  });

  it('keeps a lease over a restart, and takes an acknowledgement given while the server was away', async () => {
    const spec = await makeQueue();
    const subject = spec.stream.toLowerCase();
    await bus.publish(`${subject}.1`, 'x');
    const delivery = await takeOne(spec);
    await server.kill9();
    await until('the bus notices', () => !bus.connected);
    delivery.working();
    delivery.ack();
    await server.restart();
    await until('the subject is free', async () => (await codeOf(bus.publish(`${subject}.1`, 'y'))) === 'no error');
    expect(await takeOne(spec)).toMatchObject({ data: 'y', deliveries: 1 });
  });

  it('ends a pull in time while the server is away', async () => {
    const spec = await makeQueue();
    const queue = await bus.queue(spec);
    await server.kill9();
    await until('the bus notices', () => !bus.connected);
    await queue.pull(1, 100, () => expect.fail('nothing can come'), never);
    const abort = new AbortController();
    const pull = queue.pull(1, 600_000, () => expect.fail('nothing can come'), abort.signal);
    abort.abort();
    await pull;
    await server.restart();
    await until('it is back', () => bus.connected);
  });

  it('gives back at once what arrives after an abort', async () => {
    const spec = await makeQueue();
    const subject = spec.stream.toLowerCase();
    const queue = await bus.queue(spec);
    for (let round = 0; round < 20; round++) {
      const abort = new AbortController();
      const kept: Delivery[] = [];
      const pull = queue.pull(1, 60_000, (d) => kept.push(d), abort.signal);
      const published = bus.publish(`${subject}.${round}`, 'x');
      if (round % 2 === 1) await bus.flush();
      abort.abort();
      await Promise.all([pull, published]);
      // The ack wait is 30 s: what was not given back would not come now.
      const delivery = kept[0] ?? (await takeOne(spec));
      expect(delivery.subject).toBe(`${subject}.${round}`);
      delivery.ack();
    }
  });

  it('says so when its consumer is gone, during a pull or before', async () => {
    const spec = await makeQueue();
    const queue = await bus.queue(spec);
    const vanished = { ...spec, name: 'never-made' };
    expect(await codeOf((await bus.queue(vanished)).pull(1, 50, () => undefined, never))).toBe('unavailable');
    const pull = codeOf(queue.pull(1, 60_000, () => undefined, never));
    await until('the pull waits at the server', async () => {
      const info = await bus.request(`$JS.API.CONSUMER.INFO.${spec.stream}.${spec.name}`, '', { timeoutMs: 5_000 });
      return JSON.parse(info.data).num_waiting === 1;
    });
    await bus.request(`$JS.API.CONSUMER.DELETE.${spec.stream}.${spec.name}`, '', { timeoutMs: 5_000 });
    expect(await pull).toBe('unavailable');
    await bus.ensureQueue(spec);
    await bus.publish(`${spec.stream.toLowerCase()}.1`, 'x');
    expect((await takeOne(spec)).data).toBe('x');
  });

  it('goes on handing out messages when a handler throws', async () => {
    const spec = await makeQueue();
    for (const id of [1, 2]) await bus.publish(`${spec.stream.toLowerCase()}.${id}`, String(id));
    const got: string[] = [];
    const queue = await bus.queue(spec);
    await queue.pull(
      2,
      5_000,
      (d) => {
        got.push(d.data);
        throw new Error('handler');
      },
      never,
    );
    expect(got).toEqual(['1', '2']);
    expect(bus.connected).toBe(true);
    await bus.flush();
  });
});
