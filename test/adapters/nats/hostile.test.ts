import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NatsBus } from '../../../src/adapters/nats/bus.ts';
import type { Delivery } from '../../../src/ports/bus.ts';
import { type NatsServer, startNatsServer } from '../../support/nats-server.ts';
import { connectTo, until } from './support.ts';

/** A header block that no client library writes, and that the server passes on. */
const BAD_HEADERS = 'NATS/1.0\r\nnot a name: x\r\n: nothing\r\n\r\n';

describe('messages that no client library would send', () => {
  let server: NatsServer;
  let bus: NatsBus;
  let socket: Socket;
  let heard = '';

  beforeAll(async () => {
    server = await startNatsServer();
    bus = await connectTo(server);
    socket = connect(server.port, '127.0.0.1');
    socket.setEncoding('utf8').on('data', (text: string) => {
      heard += text;
      // Answers whatever it is asked, with those headers.
      const asked = /MSG rude \d+ (\S+) \d+\r\n/.exec(text)?.[1];
      if (asked !== undefined) socket.write(publish(asked, 'rude answer'));
    });
    socket.write('CONNECT {"verbose":false,"headers":true}\r\nSUB rude 1\r\nPING\r\n');
    await until('the raw client is there', () => heard.includes('PONG'));
  });
  afterAll(async () => {
    socket.destroy();
    await bus.close();
    await server.stop();
  });

  function publish(subject: string, data: string): string {
    return `HPUB ${subject} ${BAD_HEADERS.length} ${BAD_HEADERS.length + data.length}\r\n${BAD_HEADERS}${data}\r\n`;
  }

  it('are replies all the same, without headers', async () => {
    expect(await bus.request('rude', '', { timeoutMs: 5_000 })).toEqual({ data: 'rude answer', headers: {} });
  });

  it('are read and delivered all the same', async () => {
    await bus.ensureStream({
      name: 'BAD',
      subjects: ['bad.>'],
      retention: 'workqueue',
      perSubject: 'all',
      storage: 'file',
    });
    const spec = { stream: 'BAD', name: 'w', filter: 'bad.>', ackWaitMs: 30_000 };
    await bus.ensureQueue(spec);
    socket.write(publish('bad.a', 'body'));
    await until('it is stored', async () => (await bus.last('BAD', 'bad.a'))?.data === 'body');
    const got: Delivery[] = [];
    await (await bus.queue(spec)).pull(1, 5_000, (d) => got.push(d), new AbortController().signal);
    expect(got[0]).toMatchObject({ data: 'body', headers: {} });
    got[0]?.ack();
    await until('it is removed', async () => (await bus.bySequence('BAD', 1)) === null);
  });

  it('reach a service, and do not end the connection', async () => {
    const requests: string[] = [];
    const service = bus.serve('polite', async (request) => {
      requests.push(request.data);
      return '';
    });
    await bus.flush();
    socket.write(publish('polite', 'hello'));
    await until('it is heard', () => requests.length > 0);
    expect(requests).toEqual(['hello']);
    await bus.flush();
    expect(bus.connected).toBe(true);
    await service.stop();
  });

  it('keep bytes that are not UTF-8', async () => {
    await bus.ensureStream({
      name: 'RAW',
      subjects: ['raw.>'],
      retention: 'limits',
      perSubject: 'all',
      storage: 'file',
    });
    socket.write(Buffer.concat([Buffer.from('PUB raw.a 3\r\n'), Buffer.from([0xff, 0x00, 0xfe]), Buffer.from('\r\n')]));
    await until('it is stored', async () => (await bus.last('RAW', 'raw.a')) !== null);
    for (const authoritative of [false, true]) {
      const message = await bus.last('RAW', 'raw.a', { authoritative });
      expect([...(message?.bytes() ?? [])]).toEqual([0xff, 0x00, 0xfe]);
    }
  });
});
