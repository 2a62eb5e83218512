import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NatsBus } from '../../../src/adapters/nats/bus.ts';
import type { StreamSpec } from '../../../src/core/streams.ts';
import { type NatsServer, startNatsServer } from '../../support/nats-server.ts';
import { codeOf, connectTo, type LogLine, listLog, until } from './support.ts';

const once: StreamSpec = {
  name: 'ONCE',
  subjects: ['once.>'],
  retention: 'limits',
  perSubject: 'first',
  storage: 'file',
};

describe('publishing to a server that goes away', () => {
  let server: NatsServer;
  let bus: NatsBus;
  let log: LogLine[];
  let run = 0;

  beforeAll(async () => {
    server = await startNatsServer({ config: 'max_payload: 64KB' });
    log = [];
    bus = await connectTo(server, { log: listLog(log), timeoutMs: 1_000 });
    await bus.ensureStream(once);
  });
  afterAll(async () => {
    await bus.close();
    await server.stop();
  });

  it('ends every publish of a burst stored or taken, and loses none, when the server is killed in the middle', async () => {
    const prefix = `once.burst${++run}`;
    const outcomes = new Map<string, string>();
    let sent = 0;
    let killed: Promise<void> | undefined;
    const worker = async (): Promise<void> => {
      while (sent < 4_000) {
        const subject = `${prefix}.${sent++}`;
        outcomes.set(subject, await codeOf(bus.publish(subject, subject)));
        if (outcomes.size >= 1_000) killed ??= server.kill9().then(() => server.restart());
      }
    };
    await Promise.all(Array.from({ length: 64 }, worker));
    await killed;
    expect(outcomes.size).toBe(4_000);
    expect([...new Set(outcomes.values())].filter((code) => code !== 'taken')).toEqual(['no error']);
    const stored = new Map<string, string>();
    for await (const message of bus.scan('ONCE', `${prefix}.>`)) stored.set(message.subject, message.data);
    expect(stored.size).toBe(4_000);
    for (const subject of outcomes.keys()) expect(stored.get(subject)).toBe(subject);
    const events = log.map((line) => line.event);
    expect(events).toContain('nats.disconnected');
    expect(events).toContain('nats.reconnected');
  });

  it('holds what is published while the server is away, and stores it once it is back', async () => {
    const subject = `once.held${++run}`;
    await server.kill9();
    await until('the bus notices', () => !bus.connected);
    const publish = bus.publish(subject, 'kept');
    await server.restart();
    expect((await publish).stream).toBe('ONCE');
    expect(bus.connected).toBe(true);
    expect((await bus.last('ONCE', subject))?.data).toBe('kept');
  });

  it('lets the caller give up while the server is away', async () => {
    const abort = new AbortController();
    await server.kill9();
    await until('the bus notices', () => !bus.connected);
    const publish = codeOf(bus.publish(`once.given-up${++run}`, 'x', { signal: abort.signal }));
    abort.abort();
    expect(await publish).toBe('aborted');
    await server.restart();
    await until('it is back', () => bus.connected);
    expect(await bus.last('ONCE', `once.given-up${run}`)).toBeNull();
  });

  it('sends again, with pauses, while no stream takes the subject', async () => {
    const spec = { ...once, name: 'LATER', subjects: ['later.>'] };
    const publish = bus.publish('later.a', 'x');
    await until('it says that it waits', () =>
      log.some((line) => line.event === 'nats.waiting' && line.fields.subject === 'later.a'),
    );
    const said = log.find((line) => line.fields.subject === 'later.a');
    expect(said?.fields.attempts).toBeGreaterThanOrEqual(6);
    // Pauses double to half a second: a hot loop would be far beyond this.
    expect(said?.fields.attempts).toBeLessThan(30);
    await bus.ensureStream(spec);
    expect(await publish).toEqual({ stream: 'LATER', seq: 1 });
  });

  it('is not misled by somebody else who answers on the subject', async () => {
    const meddler = await connectTo(server);
    const service = meddler.serve('once.meddled', async () => 'hello');
    await meddler.flush();
    expect((await bus.publish('once.meddled', 'x')).stream).toBe('ONCE');
    await service.stop();
    await meddler.close();
  });

  it('refuses more than the server takes, counting headers, and takes exactly the limit', async () => {
    const limit = 64 * 1024;
    expect(await codeOf(bus.publish('once.large1', 'x'.repeat(limit + 1)))).toBe('too_large');
    expect(await codeOf(bus.publish('once.large2', 'ü'.repeat(limit / 2 + 1)))).toBe('too_large');
    expect(await codeOf(bus.publish('once.large3', 'x'.repeat(limit), { headers: { A: 'b' } }))).toBe('too_large');
    expect(await codeOf(bus.publish('once.large4', 'ü'.repeat(limit / 2)))).toBe('no error');
    const headers = { A: 'b' };
    const overhead = 'NATS/1.0\r\nA: b\r\n\r\n'.length;
    expect(await codeOf(bus.publish('once.large5', 'x'.repeat(limit - overhead), { headers }))).toBe('no error');
    expect(bus.connected).toBe(true);
  });

  it('refuses subjects and headers that cannot be sent', async () => {
    expect(await codeOf(bus.publish('once.with space', 'x'))).toBe('invalid');
    expect(await codeOf(bus.publish('once.header', 'x', { headers: { A: 'b\r\nEvil: c' } }))).toBe('invalid');
  });

  it('rejects everything that is pending when the bus is closed, with or without a server', async () => {
    const mine = await connectTo(server);
    const pending = Array.from({ length: 50 }, (_, i) => codeOf(mine.publish(`nowhere.${i}`, 'x')));
    await mine.close();
    expect(new Set(await Promise.all(pending))).toEqual(new Set(['closed']));

    const lonely = await connectTo(server);
    await server.kill9();
    await until('both notice', () => !lonely.connected && !bus.connected);
    const held = codeOf(lonely.publish('once.never', 'x'));
    await lonely.close();
    expect(await held).toBe('closed');
    await server.restart();
    await until('the other one is back', () => bus.connected);
    expect(await bus.last('ONCE', 'once.never')).toBeNull();
  });

  it('fails requests at once when the connection breaks, and sends those made meanwhile when it is back', async () => {
    const service = bus.serve('ask.me', async (request) => (request.data === 'silence' ? null : 'answer'));
    await bus.flush();
    const cut = codeOf(bus.request('ask.me', 'silence', { timeoutMs: 60_000 }));
    await bus.flush();
    await server.kill9();
    expect(await cut).toBe('unavailable');
    expect(await codeOf(bus.request('ask.me', '', { timeoutMs: 50 }))).toBe('no_responders');
    const waiting = bus.request('ask.me', '', { timeoutMs: 20_000 });
    const reading = bus.last('ONCE', 'once.nothing', { authoritative: true });
    await server.restart();
    expect((await waiting).data).toBe('answer');
    expect(await reading).toBeNull();
    await service.stop();
  });
});
