import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MemoryBroker } from '../../src/adapters/memory/memory-broker.ts';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { MAX_BLOB_BYTES } from '../../src/core/blob.ts';
import { AppError } from '../../src/core/errors.ts';
import { type Json, MAX_RESULT_BYTES } from '../../src/core/json.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { parseToolReply, type WireCall } from '../../src/core/tool-wire.ts';
import { serveTools, type Worker } from '../../src/worker/serve-tools.ts';
import type { WorkerTool } from '../../src/worker/worker-tool.ts';
import { open, RUN, recordingLog, toolNamed, wireCall } from './support.ts';

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
  await clock.advance(100_000);
  await stopped;
});

async function serve(tools: WorkerTool[], id = 'w1'): Promise<Worker> {
  const worker = await serveTools({ bus: new MemoryBus(broker, id), subjects, clock, tools, log: recordingLog(), id });
  workers.push(worker);
  return worker;
}

async function call(tool: string, more: Partial<WireCall> = {}): Promise<Json> {
  const { data, headers } = wireCall({ startBy: clock.now() + 1000, deadline: clock.now() + 5000, ...more });
  const reply = await caller.request(subjects.toolCall(tool), data, { headers, timeoutMs: 60_000 });
  const said = parseToolReply(reply.data);
  if ('large' in said) throw new Error('the result is to be fetched');
  return said.result;
}

async function ask(subject: string): Promise<Record<string, unknown>> {
  return JSON.parse((await caller.request(subject, '', { timeoutMs: 1000 })).data);
}

describe('a tool worker', () => {
  it('carries out a call with its arguments and its idempotency key', async () => {
    await serve([toolNamed('greet', (args, { idempotencyKey }) => ({ hello: args.name ?? null, idempotencyKey }))]);
    expect(await call('greet', { args: { name: 'Ada' } })).toEqual({ hello: 'Ada', idempotencyKey: `${RUN}:1-0` });
  });

  it('serves each of its tools on its own subject', async () => {
    await serve([toolNamed('one', () => 1), toolNamed('two', () => 2)]);
    expect([await call('one'), await call('two')]).toEqual([1, 2]);
  });

  it('shares the calls of a tool among the workers that offer it: each goes to one', async () => {
    let ran = 0;
    const tool = toolNamed('count', () => ++ran);
    await serve([tool], 'w1');
    await serve([tool], 'w2');
    for (let i = 0; i < 10; i++) await call('count', { idempotencyKey: `k${i}` });
    expect(ran).toBe(10);
  });

  it('gives the handler what its schema makes of the arguments', async () => {
    const parameters = z.strictObject({ n: z.int(), unit: z.string().default('m') });
    await serve([toolNamed('measure', (args) => args, { parameters })]);
    expect(await call('measure', { args: { n: 2 } })).toEqual({ n: 2, unit: 'm' });
  });

  it('refuses arguments that do not fit its schema, naming the path, without running', async () => {
    let ran = 0;
    const parameters = z.strictObject({ to: z.array(z.strictObject({ mail: z.email() })) });
    await serve([toolNamed('send', () => ++ran, { parameters })]);
    const faulty = call('send', { args: { to: [{ mail: 'x' }] } });
    await expect(faulty).rejects.toMatchObject({ code: 'invalid_arguments', field: 'to.0.mail', retryable: false });
    expect(ran).toBe(0);
  });

  it('does not begin once the start-by time has passed', async () => {
    let ran = 0;
    await serve([toolNamed('slow', () => ++ran)]);
    await expect(call('slow', { startBy: clock.now() - 1 })).rejects.toMatchObject({ code: 'too_late' });
    await expect(call('slow', { deadline: clock.now() })).rejects.toMatchObject({ code: 'too_late' });
    expect(ran).toBe(0);
    expect(await call('slow', { startBy: clock.now() })).toBe(1);
  });

  it.each<[string, string, Record<string, string>, string]>([
    ['no JSON', '{', {}, 'not JSON'],
    ['another version', JSON.stringify({ v: 2 }), {}, 'v: '],
    ['no headers', wireCall({}).data, {}, 'Proctor-Idempotency-Key'],
    [
      'a start-by time that is no number',
      wireCall({}).data,
      { ...wireCall({}).headers, 'Proctor-Start-By': 'soon' },
      'Start-By',
    ],
  ])('refuses a request with %s, saying so', async (_, data, headers, reason) => {
    let ran = 0;
    await serve([toolNamed('t', () => ++ran)]);
    const refused = caller.request(subjects.toolCall('t'), data, { headers, timeoutMs: 1000 });
    await expect(refused).rejects.toMatchObject({ code: 'bad_request', message: expect.stringContaining(reason) });
    expect(ran).toBe(0);
  });

  it("passes on the handler's own error, and makes a tool_error of anything else", async () => {
    const thrown = [new AppError('out_of_stock', 'none left', { retryable: true }), new Error('boom')];
    await serve([
      toolNamed('shop', () => {
        throw thrown.shift();
      }),
    ]);
    await expect(call('shop')).rejects.toMatchObject({ code: 'out_of_stock', message: 'none left', retryable: true });
    await expect(call('shop')).rejects.toMatchObject({ code: 'tool_error', message: 'boom', retryable: false });
  });

  it('does not let a handler that ran claim that nothing was done', async () => {
    await serve([toolNamed('relay', () => Promise.reject(new AppError('no_responders', 'the other end is down')))]);
    await expect(call('relay')).rejects.toMatchObject({ code: 'tool_error', message: /no_responders/ });
  });

  it('answers a result that is not JSON, or larger than can be stored, with an error', async () => {
    const fits = 'x'.repeat(MAX_RESULT_BYTES - 2);
    const circular: Json[] = [];
    circular.push(circular);
    const results: Json[] = [fits, 'x'.repeat(MAX_BLOB_BYTES), circular, undefined as unknown as Json];
    await serve([toolNamed('dump', () => results.shift() as Json)]);
    expect(await call('dump')).toBe(fits);
    await expect(call('dump')).rejects.toMatchObject({ code: 'result_too_large', retryable: false });
    await expect(call('dump')).rejects.toMatchObject({ code: 'bad_result' });
    expect(await call('dump')).toBeNull();
  });

  it('lets a duplicate with the same key join the running call', async () => {
    const gate = open<Json>();
    let ran = 0;
    await serve([
      toolNamed('pay', () => {
        ran++;
        return gate.promise;
      }),
    ]);
    const both = [call('pay'), call('pay')];
    const other = call('pay', { idempotencyKey: 'another' });
    await clock.settle();
    expect(ran).toBe(2);
    gate.resolve('paid');
    expect(await Promise.all([...both, other])).toEqual(['paid', 'paid', 'paid']);
    await call('pay');
    expect(ran).toBe(3);
  });

  it('joins also after the start-by time: what runs has begun in time', async () => {
    const gate = open<Json>();
    await serve([toolNamed('pay', () => gate.promise)]);
    const first = call('pay');
    await clock.advance(2000);
    const late = call('pay', { startBy: clock.now() - 1 });
    await clock.settle();
    gate.resolve('paid');
    expect(await Promise.all([first, late])).toEqual(['paid', 'paid']);
  });

  const untilAborted = (signals: AbortSignal[]) =>
    toolNamed('wait', (_, { signal }) => {
      signals.push(signal);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('whatever the handler says then')));
      });
    });

  it('shows every two seconds that a call is in work, with how far it is, to all who wait for it', async () => {
    const gate = open<Json>();
    await serve([
      toolNamed('job', (_, { progress }) => {
        progress(0.25, 'a quarter');
        return gate.promise;
      }),
    ]);
    const beats: string[] = [];
    caller.subscribe(subjects.beat('>'), ({ subject, data }) => beats.push(`${subject} ${data}`));
    const [one, two] = ['aaaaaaaa.11111111', 'aaaaaaaa.22222222'];
    const both = [call('job', { beat: one }), call('job', { beat: two })];
    await clock.advance(2000);
    const said = '{"v":1,"progress":0.25,"text":"a quarter"}';
    expect(beats).toEqual([`proctor.beat.${one} ${said}`, `proctor.beat.${two} ${said}`]);
    gate.resolve('done');
    await Promise.all(both);
    await clock.advance(10_000);
    expect(beats).toHaveLength(2);
  });

  it('aborts the handler at the deadline, and says that the outcome is open', async () => {
    const signals: AbortSignal[] = [];
    await serve([untilAborted(signals)]);
    const outcome = expect(call('wait')).rejects.toMatchObject({ code: 'timeout' });
    await clock.advance(4999);
    expect(signals.map((signal) => signal.aborted)).toEqual([false]);
    await clock.advance(1);
    expect(signals.map((signal) => signal.aborted)).toEqual([true]);
    await outcome;
  });

  it('goes on until the later deadline when a duplicate has joined', async () => {
    const signals: AbortSignal[] = [];
    await serve([untilAborted(signals)]);
    const outcomes = [call('wait'), call('wait', { deadline: clock.now() + 9000 })].map((outcome) =>
      expect(outcome).rejects.toMatchObject({ code: 'timeout' }),
    );
    await clock.advance(8999);
    expect(signals.map((signal) => signal.aborted)).toEqual([false]);
    await clock.advance(1);
    await Promise.all(outcomes);
  });

  it('aborts the handler of the call that a cancel message names, and no other', async () => {
    const signals: AbortSignal[] = [];
    await serve([untilAborted(signals)]);
    const cancelled = expect(call('wait')).rejects.toMatchObject({ code: 'aborted' });
    const other = expect(call('wait', { c: '2-0', idempotencyKey: 'other' })).rejects.toMatchObject({
      code: 'timeout',
    });
    await clock.settle();
    caller.emit(subjects.toolCancel('wait', `${RUN}0`, '2-0'), '');
    caller.emit(subjects.toolCancel('wait', RUN, '1-0'), '');
    await cancelled;
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
    await clock.advance(5000);
    await other;
  });

  it('sends the result of a handler that finished in spite of the abort', async () => {
    const gate = open<Json>();
    await serve([toolNamed('deaf', () => gate.promise)]);
    const outcome = call('deaf');
    await clock.advance(6000);
    gate.resolve('done all the same');
    expect(await outcome).toBe('done all the same');
  });

  it('begins a repeat of a call that was cancelled once that one is over, and not before', async () => {
    const gates = [open<Json>(), open<Json>()];
    let began = 0;
    await serve([toolNamed('deaf', () => gates[began++]?.promise ?? null)]);
    const first = expect(call('deaf')).rejects.toMatchObject({ code: 'aborted' });
    await clock.settle();
    caller.emit(subjects.toolCancel('deaf', RUN, '1-0'), '');
    const again = call('deaf');
    await clock.advance(500);
    expect(began).toBe(1);
    gates[0]?.reject(new Error('stopped'));
    await first;
    gates[1]?.resolve('done');
    expect(await again).toBe('done');
    expect(began).toBe(2);
  });

  it('when stopped, takes no further calls and waits for the running ones', async () => {
    const gate = open<Json>();
    const worker = await serve([toolNamed('job', () => gate.promise)]);
    const running = call('job');
    await clock.settle();
    let stopped = false;
    const stopping = worker.stop().then(() => {
      stopped = true;
    });
    await clock.settle();
    await expect(call('job', { idempotencyKey: 'late' })).rejects.toMatchObject({ code: 'no_responders' });
    expect(stopped).toBe(false);
    gate.resolve('finished');
    expect(await running).toBe('finished');
    await stopping;
  });

  it('when stopped, keeps a large result until it is fetched, or a minute after its deadline', async () => {
    const worker = await serve([toolNamed('dump', () => 'x'.repeat(MAX_RESULT_BYTES))]);
    const { data, headers } = wireCall({ startBy: clock.now(), deadline: clock.now() + 5000 });
    await caller.request(subjects.toolCall('dump'), data, { headers, timeoutMs: 1000 });
    let stopped = false;
    const stopping = worker.stop().then(() => {
      stopped = true;
    });
    await clock.advance(64_999);
    const part = await caller.request(subjects.toolResult('dump', 'w1', '0'), '{"v":1,"part":0}', { timeoutMs: 1000 });
    expect(part.data).toHaveLength(MAX_RESULT_BYTES + 2);
    expect(stopped).toBe(false);
    await clock.advance(1);
    await stopping;
  });

  it('when stopped, does not wait past the deadline for a handler that hangs', async () => {
    const worker = await serve([toolNamed('hang', () => new Promise<Json>(() => undefined))]);
    const unanswered = expect(call('hang')).rejects.toMatchObject({ code: 'timeout' });
    await clock.settle();
    const stopping = worker.stop();
    await clock.advance(5000);
    await stopping;
    await clock.advance(60_000);
    await unanswered;
  });

  it.each([
    ['an id that is no subject token', { id: 'a.b' }],
    ['a version that is not semantic', { version: 'new' }],
    ['the same tool twice', { tools: [toolNamed('t', () => 1), toolNamed('t', () => 2)] }],
    ['a definition that is none', { tools: [{ ...toolNamed('t', () => 1), definition: { name: 'x y' } as never }] }],
  ])('does not start with %s', async (_, more) => {
    const options = { bus: caller, subjects, clock, tools: [toolNamed('t', () => 1)], log: recordingLog(), id: 'w' };
    await expect(serveTools({ ...options, ...more })).rejects.toMatchObject({ code: 'bad_worker' });
  });
});

describe('what a tool worker says about itself', () => {
  it.each(['$SRV.PING', '$SRV.PING.tool_greet', '$SRV.PING.tool_greet.w1'])('answers %s', async (subject) => {
    const tool = toolNamed('greet', () => 'hi');
    await serve([tool]);
    expect(await ask(subject)).toEqual({
      type: 'io.nats.micro.v1.ping_response',
      name: 'tool_greet',
      id: 'w1',
      version: '1.0.0',
      metadata: { 'proctor.definition': JSON.stringify(tool.definition), 'proctor.heartbeat_ms': '2000' },
    });
  });

  it('does not answer for another name or another instance', async () => {
    await serve([toolNamed('greet', () => 'hi')]);
    await expect(ask('$SRV.PING.tool_other')).rejects.toMatchObject({ code: 'no_responders' });
    await expect(ask('$SRV.PING.tool_greet.w2')).rejects.toMatchObject({ code: 'no_responders' });
  });

  it('lists its endpoint and its queue group', async () => {
    await serve([toolNamed('greet', () => 'hi')]);
    expect(await ask('$SRV.INFO.tool_greet')).toMatchObject({
      type: 'io.nats.micro.v1.info_response',
      description: 'the tool greet',
      endpoints: [{ name: 'call', subject: 'proctor.tool.greet.call', queue_group: 'tool_greet' }],
    });
  });

  it('counts calls, errors and time', async () => {
    const started = new Date(clock.now()).toISOString();
    const gate = open<Json>();
    const results: (() => Json | Promise<Json>)[] = [
      () => gate.promise,
      () => {
        throw new Error('boom');
      },
    ];
    await serve([toolNamed('job', () => results.shift()?.() ?? null)]);
    const first = call('job');
    await clock.advance(30);
    gate.resolve(1);
    await first;
    await expect(call('job')).rejects.toThrow('boom');
    expect(await ask('$SRV.STATS.tool_job')).toMatchObject({
      type: 'io.nats.micro.v1.stats_response',
      started,
      endpoints: [
        {
          num_requests: 2,
          num_errors: 1,
          last_error: 'tool_error: boom',
          processing_time: 30_000_000,
          average_processing_time: 15_000_000,
        },
      ],
    });
  });
});

describe('a worker that hears of a kill', () => {
  const order = (scope: string, mode: string) => caller.emit(subjects.switchOf(scope), mode);

  it.each(['global', 'tool:count', 'agent:a', 'user:u', `run:${RUN}`])(
    'of %s lets go of its running calls and refuses later ones, until the revival',
    async (scope) => {
      let ran = 0;
      const reasons: unknown[] = [];
      const tool = toolNamed('count', (_args, { signal }) => {
        ran++;
        if (ran > 1) return ran;
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            reasons.push(signal.reason);
            reject(signal.reason as Error);
          });
        });
      });
      await serve([tool, toolNamed('other', () => 1)]);
      const running = call('count');
      const refused = expect(running).rejects.toMatchObject({ code: 'aborted' });
      await clock.settle();
      order(scope, 'kill');
      await clock.advance(900);
      expect(reasons).toEqual([]);
      await clock.advance(200);
      await refused;
      expect(reasons).toHaveLength(1);
      await expect(call('count', { idempotencyKey: 'later' })).rejects.toMatchObject({ code: 'killed' });
      expect(ran).toBe(1);
      order(scope, '{"mode":"revive"}');
      await clock.settle();
      expect(await call('count', { idempotencyKey: 'after' })).toBe(2);
    },
  );

  it('of other scopes carries on, and forgets a kill after a minute, as it may have missed the revival', async () => {
    await serve([toolNamed('count', () => 1)]);
    for (const scope of ['tool:other', 'agent:b', 'user:v', 'run:20260101-t-2', 'model:x/y', 'agent:a@1'])
      order(scope, 'kill');
    for (const scope of ['global', 'user:u']) order(scope, 'pause');
    expect(await call('count', { idempotencyKey: 'one' })).toBe(1);
    order('global', 'kill');
    await clock.advance(59_000);
    await expect(call('count', { idempotencyKey: 'two' })).rejects.toMatchObject({ code: 'killed' });
    await clock.advance(2_000);
    expect(await call('count', { idempotencyKey: 'three' })).toBe(1);
  });
});
