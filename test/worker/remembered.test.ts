import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import { MemoryBroker } from '../../src/adapters/memory/memory-broker.ts';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { remoteToolSource } from '../../src/adapters/remote-tools/source.ts';
import { StoredResult } from '../../src/core/blob.ts';
import type { Json } from '../../src/core/json.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { serveIdempotency } from '../../src/runtime/idempotency.ts';
import { defineTool } from '../../src/worker/define-tool.ts';
import { serveTools, type Worker } from '../../src/worker/serve-tools.ts';
import { toolError } from '../../src/worker/tool-error.ts';
import { failure, open, recordingLog, toolCall } from './support.ts';

const subjects = new Subjects();
let clock: SimulatedClock;
let broker: MemoryBroker;
let node: MemoryBus;
let workers: Worker[];
let ran: number;

beforeEach(async () => {
  clock = new SimulatedClock();
  broker = new MemoryBroker({ clock });
  node = new MemoryBus(broker, 'node');
  await node.ensureStream(streamsOf(subjects).once);
  workers = [];
  ran = 0;
});

afterEach(async () => {
  const stopped = Promise.all(workers.map((worker) => worker.stop()));
  await clock.advance(200_000);
  await stopped;
});

const serveNode = () => serveIdempotency({ bus: node, subjects, clock, ids: cryptoIds });

/** A worker whose tool `pay` remembers; each has its own bus, which may crash. */
async function worker(id: string, handler: (signal: AbortSignal) => Promise<Json> | Json): Promise<MemoryBus> {
  const bus = new MemoryBus(broker, id, subjects.workerInbox);
  const pay = defineTool({
    name: 'pay',
    description: 'x',
    parameters: z.object({}),
    remember: true,
    handler: (_, { signal }) => {
      ran++;
      return handler(signal);
    },
  });
  workers.push(await serveTools({ bus, subjects, clock, tools: [pay], log: recordingLog(), id }));
  return bus;
}

const source = () => remoteToolSource({ bus: node, subjects, clock, log: recordingLog(), random: cryptoIds.random });
const pay = (key = 'one', timeoutMs = 5_000) =>
  source().call(toolCall('pay', clock, { idempotencyKey: key, timeoutMs, c: '1-0' }));

describe('a tool that remembers', () => {
  it('announces that it may be called again', async () => {
    await worker('w1', () => 'paid');
    expect(await source().find('pay')).toMatchObject({ idempotent: true });
  });

  it('runs once a key, and answers a repeat with what came of it, also in another worker', async () => {
    serveNode();
    const first = await worker('w1', () => ({ paid: 49.9 }));
    expect(await pay()).toEqual({ paid: 49.9 });
    expect(await pay()).toEqual({ paid: 49.9 });
    first.crash();
    await worker('w2', () => ({ paid: 'twice' }));
    expect(await pay()).toEqual({ paid: 49.9 });
    expect(ran).toBe(1);
    expect(await pay('another')).toEqual({ paid: 'twice' });
  });

  it('whose worker died in the middle is never run again: nobody knows the outcome', async () => {
    serveNode();
    const first = await worker('w1', () => new Promise<Json>(() => undefined));
    const lost = failure(pay('one', 60_000));
    await clock.settle();
    first.crash();
    await clock.advance(61_000);
    await lost;
    await worker('w2', () => 'paid twice');
    expect(await failure(pay())).toMatchObject({ code: 'outcome_unknown', retryable: false });
    expect(ran).toBe(1);
  });

  it('that was cut off at the deadline is not run again by the same worker either', async () => {
    serveNode();
    await worker('w1', (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal))));
    const late = failure(pay());
    await clock.advance(6_000);
    expect(await late).toMatchObject({ code: 'timeout' });
    expect(await failure(pay())).toMatchObject({ code: 'outcome_unknown' });
    expect(ran).toBe(1);
  });

  it('joins a repeat to the call that runs', async () => {
    serveNode();
    const gate = open<Json>();
    await worker('w1', () => gate.promise);
    const both = [pay(), pay()];
    await clock.settle();
    gate.resolve('paid');
    expect(await Promise.all(both)).toEqual(['paid', 'paid']);
    expect(ran).toBe(1);
  });

  it('may run again after it said that it did nothing, but not after it said that it does not know', async () => {
    serveNode();
    const thrown = [toolError('rate_limit', 'later'), toolError('unavailable', 'the line went dead')];
    await worker('w1', () => {
      throw thrown.shift();
    });
    expect(await failure(pay())).toMatchObject({ code: 'rate_limit' });
    expect(await failure(pay())).toMatchObject({ code: 'worker_lost', message: /the line went dead/ });
    expect(await failure(pay())).toMatchObject({ code: 'outcome_unknown' });
    expect(ran).toBe(2);
  });

  it('does not begin while no node keeps records: it says busy', async () => {
    await worker('w1', () => 'paid');
    const error = await failure(pay());
    expect(error).toMatchObject({ code: 'busy', retryable: true, retryAfterMs: 1_000 });
    serveNode();
    expect(await pay()).toBe('paid');
    expect(ran).toBe(1);
  });

  it('remembers that a large result was made, and gives it again while its worker keeps it', async () => {
    serveNode();
    const first = await worker('w1', () => 'x'.repeat(400_000));
    // Its first fetch fails, as if the node had died.
    broker.intercept = ({ kind, subject }) => (kind === 'request' && subject.includes('.result.') ? 'lost' : 'ok');
    const lost = failure(pay('one', 60_000));
    await clock.advance(40_000);
    expect(await lost).toMatchObject({ code: 'result_lost' });
    broker.intercept = () => 'ok';
    expect(await pay()).toBeInstanceOf(StoredResult);
    first.crash();
    await worker('w2', () => 'again');
    expect(await failure(pay())).toMatchObject({ code: 'result_too_large' });
    expect(ran).toBe(1);
  });

  it('forgets after a day', async () => {
    serveNode();
    await worker('w1', () => 'paid');
    await pay();
    await clock.advance(86_400_000);
    await pay();
    expect(ran).toBe(2);
  });

  it('lets nobody else say how a call ended', async () => {
    serveNode();
    const gate = open<Json>();
    const bus = await worker('w1', () => gate.promise);
    const running = pay();
    await clock.settle();
    const mine = { v: 1, key: 'one', claim: 'w2.0' };
    for (const [verb, body] of Object.entries({ done: { ...mine, result: 'forged' }, failed: mine })) {
      const asked = bus.request(subjects.idem('pay', verb), JSON.stringify(body), { timeoutMs: 100 });
      expect(await failure(asked)).toMatchObject({ code: 'forbidden' });
    }
    gate.resolve('paid');
    expect(await running).toBe('paid');
    expect(await pay()).toBe('paid');
  });
});
