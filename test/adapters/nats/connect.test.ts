import { createUser } from '@nats-io/nkeys';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { streamsOf } from '../../../src/core/streams.ts';
import { Subjects } from '../../../src/core/subjects.ts';
import { type NatsServer, startNatsServer } from '../../support/nats-server.ts';
import { codeOf, connectTo, type LogLine, listLog } from './support.ts';

const user = createUser();
const seed = new TextDecoder().decode(user.getSeed());

/** The node may use only its own inbox; the guest may not use any. */
const CONFIG = `
accounts {
  CORE {
    jetstream: enabled
    users: [
      { user: node, password: "s3cret", permissions: {
        publish: ["proctor.>", "$JS.>"], subscribe: ["_INBOX_node.>", "proctor.api.>"], allow_responses: true } }
      { user: guest, password: "s3cret", permissions: { publish: ["proctor.>"], subscribe: ["proctor.>"] } }
      { nkey: ${user.getPublicKey()} }
    ]
  }
  BARE { users: [{ user: bare, password: "s3cret" }] }
  SYS { users: [{ user: sys, password: "s3cret" }] }
}
system_account: SYS
`;

describe('connecting to NATS', () => {
  let server: NatsServer;
  const node = { user: 'node', password: 's3cret', inboxPrefix: '_INBOX_node' };

  beforeAll(async () => {
    server = await startNatsServer({ config: CONFIG });
  });
  afterAll(async () => {
    await server.stop();
  });

  it('does everything with an inbox prefix as the only inbox allowed', async () => {
    const lines: LogLine[] = [];
    const bus = await connectTo(server, { ...node, log: listLog(lines) });
    const { queue: stream } = streamsOf(new Subjects());
    await bus.ensureStream(stream);
    const spec = { stream: stream.name, name: 'w', filter: 'proctor.queue.>', ackWaitMs: 30_000 };
    await bus.ensureQueue(spec);
    await bus.publish('proctor.queue.a', 'x');
    expect((await bus.last(stream.name, 'proctor.queue.*'))?.data).toBe('x');
    const got: string[] = [];
    const signal = new AbortController().signal;
    await (await bus.queue(spec)).pull(1, 5_000, (d) => got.push(d.data), signal);
    expect(got).toEqual(['x']);
    const service = bus.serve('proctor.api.echo', async (request) => request.data);
    await bus.flush();
    expect((await bus.request('proctor.api.echo', 'hi', { timeoutMs: 5_000 })).data).toBe('hi');
    await service.stop();
    await bus.close();
    expect(lines.filter((line) => line.level === 'error')).toEqual([]);
  });

  it('says that the inbox is forbidden where it is', async () => {
    expect(await codeOf(connectTo(server, { user: 'guest', password: 's3cret' }))).toBe('forbidden');
    expect(await codeOf(connectTo(server, { ...node, inboxPrefix: '_INBOX' }))).toBe('forbidden');
  });

  it('fails what the user may not publish instead of sending it for ever', async () => {
    const bus = await connectTo(server, node);
    expect(await codeOf(bus.publish('other.subject', 'x'))).toBe('forbidden');
    expect(await codeOf(bus.request('other.subject', 'x', { timeoutMs: 60_000 }))).toBe('forbidden');
    await bus.flush();
    await bus.close();
  });

  it('logs in with an nkey', async () => {
    const bus = await connectTo(server, { nkeySeed: seed });
    await bus.flush();
    expect(bus.connected).toBe(true);
    expect(bus.serverVersion).toMatch(/^\d+\.\d+\.\d+/);
    await bus.close();
  });

  it('names what is wrong when it cannot, and never the password', async () => {
    expect(await codeOf(connectTo(server, { ...node, password: 'wrong' }))).toBe('unauthorized');
    expect(await codeOf(connectTo(server, { ...node, requireServer: '99.0.0' }))).toBe('server_too_old');
    const absent = connectTo({ url: 'nats://me:s3cret@127.0.0.1:1' }, { timeoutMs: 1_000 });
    const error = await absent.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'unavailable', retryable: true });
    expect(String(error)).toContain('127.0.0.1:1');
    expect(String(error)).not.toContain('s3cret');
  });

  it('measures how far the clocks are apart', async () => {
    const bus = await connectTo(server, node);
    const { clock } = streamsOf(new Subjects());
    await bus.ensureStream(clock);
    const offset = await bus.serverTimeOffset(clock.name, new Subjects().clock('n1'));
    // The server runs on the same clock: what is left is the round trip.
    expect(Math.abs(offset)).toBeLessThan(1_000);
    await bus.close();
  });
});
