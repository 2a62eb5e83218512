import { randomUUID } from 'node:crypto';
import { connect, type NatsConnection, RequestStrategy } from 'nats';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectNats } from '../../src/adapters/nats/connect.ts';
import { remoteToolSource } from '../../src/adapters/remote-tools/source.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { parseAnnouncement } from '../../src/core/tool-wire.ts';
import { type ToolCall, type ToolSource, UNKNOWN_EFFECT } from '../../src/ports/tools.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { failure, recordingLog, toolCall } from './support.ts';
import { startWorkerProcess, type WorkerProcess } from './worker-process.ts';

const subjects = new Subjects();
const clock = systemClock();
const log = recordingLog();
let server: NatsServer;
let bus: NatsBus;
let tools: ToolSource;
let workers: WorkerProcess[] = [];

beforeAll(async () => {
  server = await startNatsServer();
  bus = await connectNats({ servers: server.url, name: 'test', subjects, log, random: randomUUID });
  tools = remoteToolSource({ bus, subjects, clock, log, random: cryptoIds.random });
});

afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.end('SIGKILL')));
  workers = [];
});

afterAll(async () => {
  await bus.close();
  await server.stop();
});

async function start(id: string): Promise<WorkerProcess> {
  const worker = await startWorkerProcess(server.url, id);
  workers.push(worker);
  return worker;
}

const callOf = (tool: string, more: Partial<ToolCall> = {}): ToolCall => toolCall(tool, clock, more);

describe('a worker process on a real server', () => {
  it('is found, called, and answers with results and errors', async () => {
    expect(await tools.find('upper')).toBeNull();
    await start('w1');
    expect(await tools.find('upper')).toMatchObject({ name: 'upper', description: 'the tool upper' });
    expect(await tools.call(callOf('upper', { args: { text: 'größer ✓' } }))).toBe('GRÖSSER ✓');
    const faulty = tools.call(callOf('upper', { args: { text: 1 } }));
    expect(await failure(faulty)).toMatchObject({ code: 'invalid_arguments', field: 'text' });
    const late = tools.call(callOf('upper', { args: { text: 'x' }, startBy: clock.now() - 1000 }));
    expect(await failure(late)).toMatchObject({ code: 'too_late' });
  });

  it('is listed by the micro client of NATS', async () => {
    await start('w1');
    const nc: NatsConnection = await connect({ servers: server.url });
    try {
      await tools.call(callOf('whoami'));
      await failure(tools.call(callOf('upper', { args: {} })));
      const asking = (answers: number) =>
        nc.services.client({ maxWait: 10_000, strategy: RequestStrategy.Count, maxMessages: answers });
      const names = new Set<string>();
      for await (const ping of await asking(3).ping()) names.add(ping.name);
      expect(names).toEqual(new Set(['tool_hang', 'tool_upper', 'tool_whoami']));
      for await (const info of await asking(1).info('tool_whoami', 'w1')) {
        expect(info).toMatchObject({ id: 'w1', version: '2.1.0', endpoints: [{ queue_group: 'tool_whoami' }] });
        expect(parseAnnouncement(JSON.stringify(info), 'whoami').definition.name).toBe('whoami');
      }
      const figures: unknown[] = [];
      for await (const stats of await asking(1).stats('tool_upper')) figures.push(stats.endpoints?.[0]);
      expect(figures).toMatchObject([{ num_requests: 1, num_errors: 1, last_error: /^invalid_arguments/ }]);
    } finally {
      await nc.close();
    }
  });

  it('shares the calls with its twin, and the twin takes all of them when it stops', async () => {
    const first = await start('w1');
    await start('w2');
    const ids = async (calls: number): Promise<Set<string>> => {
      const results = await Promise.all(Array.from({ length: calls }, () => tools.call(callOf('whoami'))));
      return new Set(results.map((result) => (result as { id: string }).id));
    };
    expect(await ids(100)).toEqual(new Set(['w1', 'w2']));
    expect(await first.end('SIGTERM')).toBe(0);
    expect(await ids(20)).toEqual(new Set(['w2']));
  });

  it('stops the handler when the caller gives up', async () => {
    const worker = await start('w1');
    const controller = new AbortController();
    const outcome = failure(tools.call(callOf('hang', { signal: controller.signal })));
    await worker.said('hang runs');
    controller.abort();
    expect(await outcome).toMatchObject({ code: 'aborted' });
    await worker.said('hang aborted: aborted');
  });

  it('stops the handler at the deadline, though nobody waits for it any more', async () => {
    const worker = await start('w1');
    expect(await failure(tools.call(callOf('hang', { timeoutMs: 1500 })))).toMatchObject({ code: 'timeout' });
    await worker.said('hang aborted: timeout');
  });

  it('killed in the middle of a call, leaves the caller with an open outcome in bounded time', async () => {
    const worker = await start('w1');
    const outcome = failure(tools.call(callOf('hang', { timeoutMs: 2000 })));
    await worker.said('hang runs');
    expect(await worker.end('SIGKILL')).toBeNull();
    const { code } = await outcome;
    expect(['timeout', 'worker_lost']).toContain(code);
    expect(UNKNOWN_EFFECT.has(code)).toBe(true);
    expect(await failure(tools.call(callOf('hang')))).toMatchObject({ code: 'no_worker' });
  });

  it('is served again after the server was killed and came back', async () => {
    const worker = await start('w1');
    const outcome = failure(tools.call(callOf('hang', { timeoutMs: 5000 })));
    await worker.said('hang runs');
    await server.kill9();
    const { code } = await outcome;
    expect(['timeout', 'worker_lost']).toContain(code);
    await server.restart();
    await expect
      .poll(() => tools.call(callOf('upper', { args: { text: 'back' }, timeoutMs: 1000 })).catch(() => null), {
        timeout: 60_000,
      })
      .toBe('BACK');
  });

  it('may be of the service library of any NATS client: its numbers are understood', async () => {
    const nc: NatsConnection = await connect({ servers: server.url });
    try {
      const definition = { name: 'stock', description: 'x', parameters: { type: 'object' } };
      const metadata = { 'proctor.definition': JSON.stringify(definition) };
      const service = await nc.services.add({ name: 'tool_stock', version: '1.0.0', metadata });
      service.addEndpoint('call', {
        subject: subjects.toolCall('stock'),
        queue: 'tool_stock',
        handler: (error, msg) => {
          const { args } = msg.json<{ args: { code?: number } }>();
          if (error === null && args.code === undefined) msg.respond('{"v":1,"result":"plain"}');
          else msg.respondError(args.code ?? 500, 'as it says');
        },
      });
      await nc.flush();
      expect(await tools.find('stock')).toMatchObject(definition);
      expect(await tools.call(callOf('stock'))).toBe('plain');
      const codes = { 403: 'forbidden', 404: 'not_found', 429: 'rate_limit', 500: 'error', 504: 'timeout' };
      for (const [number, code] of Object.entries(codes)) {
        const refused = tools.call(callOf('stock', { args: { code: Number(number) } }));
        expect(await failure(refused)).toMatchObject({ code });
      }
    } finally {
      await nc.close();
    }
  });
});
