import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NatsBus } from '../../../src/adapters/nats/bus.ts';
import type { StreamSpec } from '../../../src/core/streams.ts';
import type { Follower, StoredMessage } from '../../../src/ports/bus.ts';
import { type NatsServer, startNatsServer } from '../../support/nats-server.ts';
import { connectTo, listLog, until } from './support.ts';

describe('following a NATS stream', () => {
  let server: NatsServer;
  let bus: NatsBus;
  let raw: NatsBus;
  let count = 0;

  beforeAll(async () => {
    server = await startNatsServer();
    bus = await connectTo(server, { timeoutMs: 1_000, log: listLog() });
    raw = await connectTo(server, { timeoutMs: 1_000, log: listLog() });
  });
  afterAll(async () => {
    await Promise.all([bus.close(), raw.close()]);
    await server.stop();
  });

  async function made(): Promise<StreamSpec & { subject: string }> {
    const subject = `f${++count}`;
    const name = subject.toUpperCase();
    const spec: StreamSpec = {
      name,
      subjects: [`${subject}.>`],
      retention: 'limits',
      perSubject: 'all',
      storage: 'file',
    };
    await bus.ensureStream(spec);
    return { ...spec, subject };
  }

  function listener(): { heard: string[]; breaks: string[]; follower: Follower } {
    const heard: string[] = [];
    const breaks: string[] = [];
    const follower: Follower = {
      onMessage: ({ seq, data }: StoredMessage) => heard.push(`${seq} ${data}`),
      onBreak: (why) => breaks.push(why),
    };
    return { heard, breaks, follower };
  }

  it('goes on behind the last message when the server is killed and comes back', async () => {
    const s = await made();
    const { heard, breaks, follower } = listener();
    const following = bus.follow(s.name, `${s.subject}.>`, 1, follower);
    await bus.publish(`${s.subject}.a`, 'before');
    await until('the first came', () => heard.length === 1);
    await server.kill9();
    const waiting = raw.publish(`${s.subject}.a`, 'meanwhile');
    await server.restart();
    await waiting;
    await bus.publish(`${s.subject}.a`, 'after');
    await until('all came', () => heard.length >= 3);
    expect(heard).toEqual(['1 before', '2 meanwhile', '3 after']);
    expect(new Set(breaks)).toEqual(new Set(['interrupted']));
    await following.stop();
  });

  it('makes another consumer when its own is deleted', async () => {
    const s = await made();
    const { heard, breaks, follower } = listener();
    const following = bus.follow(s.name, `${s.subject}.>`, 1, follower);
    await bus.publish(`${s.subject}.a`, 'before');
    await until('the first came', () => heard.length === 1);
    for (const name of await bus.queues(s.name)) await bus.removeQueue(s.name, name);
    await bus.publish(`${s.subject}.a`, 'after');
    await until('the next came', () => heard.length === 2);
    expect(heard).toEqual(['1 before', '2 after']);
    expect(breaks).toEqual(['interrupted']);
    await following.stop();
  });

  it('says that the stream was made anew, and reads that from its beginning', async () => {
    const { subject, ...spec } = await made();
    const { heard, breaks, follower } = listener();
    const following = bus.follow(spec.name, `${subject}.>`, 1, follower);
    for (const data of ['1', '2']) await bus.publish(`${subject}.a`, data);
    await until('they came', () => heard.length === 2);
    await raw.request(`$JS.API.STREAM.DELETE.${spec.name}`, '', { timeoutMs: 2_000 });
    await raw.ensureStream(spec);
    await raw.publish(`${subject}.a`, 'anew');
    await until('it came', () => heard.length === 3);
    expect(heard).toEqual(['1 1', '2 2', '1 anew']);
    expect(breaks).toContain('stream_lost');
    await following.stop();
  });

  it('leaves no consumer behind', async () => {
    const s = await made();
    const { heard, follower } = listener();
    const following = bus.follow(s.name, `${s.subject}.>`, 1, follower);
    await bus.publish(`${s.subject}.a`, 'x');
    await until('it came', () => heard.length === 1);
    await following.stop();
    await until('no consumer is left', async () => (await bus.queues(s.name)).length === 0);
  });
});
