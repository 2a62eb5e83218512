import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import { MemoryBroker } from '../../src/adapters/memory/memory-broker.ts';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { remoteToolSource } from '../../src/adapters/remote-tools/source.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { ToolCall } from '../../src/ports/tools.ts';
import { defineTool } from '../../src/worker/define-tool.ts';
import { serveTools, type Worker } from '../../src/worker/serve-tools.ts';
import { toolError } from '../../src/worker/tool-error.ts';
import type { WorkerCallContext, WorkerTool } from '../../src/worker/worker-tool.ts';
import { open, RUN, recordingLog, toolCall } from './support.ts';

const subjects = new Subjects();
let clock: SimulatedClock;
let broker: MemoryBroker;
let caller: MemoryBus;
let workers: Worker[];

beforeEach(() => {
  clock = new SimulatedClock();
  broker = new MemoryBroker({ clock });
  caller = new MemoryBus(broker, 'caller');
  workers = [];
});

afterEach(async () => {
  const stopped = Promise.all(workers.map((worker) => worker.stop()));
  await clock.advance(200_000);
  await stopped;
});

async function serve(tools: WorkerTool[], more: { concurrency?: number } = {}): Promise<void> {
  const bus = new MemoryBus(broker, 'worker');
  workers.push(await serveTools({ bus, subjects, clock, tools, log: recordingLog(), id: 'w1', ...more }));
}

const source = () => remoteToolSource({ bus: caller, subjects, clock, log: recordingLog(), random: cryptoIds.random });

async function call(tool: string, args: ToolCall['args'] = {}, more: Partial<ToolCall> = {}): Promise<unknown> {
  return source().call(toolCall(tool, clock, { args, timeoutMs: 5000, ...more }));
}

const greet = defineTool({
  name: 'greet',
  description: 'Greets somebody.',
  parameters: z.object({ name: z.string().min(1).describe('whom'), loud: z.boolean().default(false) }),
  result: z.object({ greeting: z.string() }),
  effect: 'read',
  idempotent: true,
  timeoutMs: 5_000,
  handler: ({ name, loud }) => ({ greeting: loud ? `HELLO, ${name.toUpperCase()}!` : `Hello, ${name}!` }),
});

describe('a tool defined with zod', () => {
  it('announces JSON Schemas of what comes in and what goes out', async () => {
    await serve([greet]);
    expect(await source().find('greet')).toEqual({
      name: 'greet',
      version: '1.0.0',
      description: 'Greets somebody.',
      parameters: {
        type: 'object',
        properties: {
          name: { type: 'string', minLength: 1, description: 'whom' },
          loud: { type: 'boolean', default: false },
        },
        required: ['name'],
      },
      result: {
        type: 'object',
        properties: { greeting: { type: 'string' } },
        required: ['greeting'],
        additionalProperties: false,
      },
      effect: 'read',
      risk: 'low',
      requires_approval: false,
      idempotent: true,
      timeout_ms: 5_000,
    });
  });

  it('gets its arguments as the schema makes them, and answers', async () => {
    await serve([greet]);
    expect(await call('greet', { name: 'Ada' })).toEqual({ greeting: 'Hello, Ada!' });
    expect(await call('greet', { name: 'Ada', loud: true })).toEqual({ greeting: 'HELLO, ADA!' });
    await expect(call('greet', { name: '' })).rejects.toMatchObject({ code: 'invalid_arguments', field: 'name' });
  });

  it('that answers something else than it says fails with bad_result, naming the path', async () => {
    const handler = () => ({ greeting: 7 }) as unknown as { greeting: string };
    const { name, description } = greet.definition;
    const result = z.object({ greeting: z.string() });
    await serve([defineTool({ name, description, parameters: z.object({}), result, handler })]);
    await expect(call('greet')).rejects.toMatchObject({ code: 'bad_result', field: 'greeting' });
  });

  it('gets to know who calls, which try it is, and the trace', async () => {
    const seen: WorkerCallContext[] = [];
    const handler = (_: object, context: WorkerCallContext) => {
      seen.push(context);
      return null;
    };
    await serve([defineTool({ name: 'spy', description: 'x', parameters: z.object({}), handler })]);
    const deadline = clock.now() + 5000;
    await call('spy', {}, { c: '4-2', attempt: 3, traceparent: '00-ab-cd-01', idempotencyKey: 'k' });
    expect(seen).toMatchObject([
      {
        run: RUN,
        call: '4-2',
        agent: 'a',
        user: 'u',
        attempt: 3,
        traceparent: '00-ab-cd-01',
        idempotencyKey: 'k',
        deadline,
      },
    ]);
  });

  it('renews its credentials before the handler runs, and only when it is asked to', async () => {
    const done: string[] = [];
    const note = (what: string) => () => {
      done.push(what);
      return null;
    };
    const texts = { name: 'api', description: 'x', parameters: z.object({}) };
    await serve([defineTool({ ...texts, refresh: async () => void note('refresh')(), handler: note('call') })]);
    await call('api');
    await call('api', {}, { refresh: true, attempt: 2 });
    expect(done).toEqual(['call', 'refresh', 'call']);
  });

  it('can say how long it wants to be left alone', async () => {
    const handler = () => Promise.reject(toolError('rate_limit', 'too many today', { retryAfterMs: 90_000 }));
    await serve([defineTool({ name: 'api', description: 'x', parameters: z.object({}), handler })]);
    await expect(call('api')).rejects.toMatchObject({ code: 'rate_limit', retryable: true, retryAfterMs: 90_000 });
  });

  it('does not start a worker when anything is wrong with it: all faults of all tools are told at once', async () => {
    const parameters = z.object({ at: z.date() });
    const tools = [
      defineTool({ name: 'no spaces', description: 'x', parameters, timeoutMs: 1, handler: () => null }),
      defineTool({ name: 'b', description: 'x', parameters: { n: 1 } as never, handler: 7 as never }),
      defineTool({ name: 'c', description: 'x', parameters: z.object({}), concurrency: 0, handler: () => null }),
      defineTool({ name: 'd', description: 'x', parameters: z.object({}), cacheMs: 1_000, handler: () => null }),
    ];
    const error = await serve(tools).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: 'bad_worker' });
    const { message } = error as Error;
    for (const fault of ['"no spaces": parameters: ', '"no spaces": name: ', '"no spaces": timeoutMs: ']) {
      expect(message).toContain(fault);
    }
    expect(message).toContain('"d": cacheMs: expected nothing, as the effect is write');
    for (const fault of ['"b": parameters: ', '"b": handler: ', '"c": concurrency: ']) {
      expect(message).toContain(fault);
    }
  });
});

describe('a worker that is full', () => {
  it('refuses with busy and a time to come back, having done nothing, and takes calls again afterwards', async () => {
    const gate = open<null>();
    let ran = 0;
    const handler = () => {
      ran++;
      return gate.promise;
    };
    await serve([defineTool({ name: 'job', description: 'x', parameters: z.object({}), concurrency: 2, handler })]);
    const running = [call('job'), call('job')];
    await clock.settle();
    await expect(call('job')).rejects.toMatchObject({ code: 'busy', retryable: true, retryAfterMs: 100 });
    expect(ran).toBe(2);
    gate.resolve(null);
    await Promise.all(running);
    expect(await call('job')).toBeNull();
    expect(ran).toBe(3);
  });

  it('is full for all its tools together, but lets a repeat of a running call join', async () => {
    const gate = open<null>();
    const tool = (name: string) =>
      defineTool({ name, description: 'x', parameters: z.object({}), handler: () => gate.promise });
    await serve([tool('one'), tool('two')], { concurrency: 1 });
    const running = [call('one', {}, { idempotencyKey: 'same' })];
    await clock.settle();
    await expect(call('two')).rejects.toMatchObject({ code: 'busy' });
    running.push(call('one', {}, { idempotencyKey: 'same' }));
    await clock.settle();
    gate.resolve(null);
    expect(await Promise.all(running)).toEqual([null, null]);
  });
});
