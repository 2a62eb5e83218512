import { beforeEach, describe, expect, it } from 'vitest';
import { cryptoIds } from '../../../src/adapters/crypto/ids.ts';
import { MemoryBroker } from '../../../src/adapters/memory/memory-broker.ts';
import { MemoryBus } from '../../../src/adapters/memory/memory-bus.ts';
import { SimulatedClock } from '../../../src/adapters/memory/simulated-clock.ts';
import { remoteToolSource } from '../../../src/adapters/remote-tools/source.ts';
import { AppError } from '../../../src/core/errors.ts';
import { Subjects } from '../../../src/core/subjects.ts';
import type { Bus } from '../../../src/ports/bus.ts';
import { type ToolCall, type ToolSource, UNKNOWN_EFFECT } from '../../../src/ports/tools.ts';
import { combinedTools } from '../../../src/runtime/tool-sources.ts';
import { serveTools } from '../../../src/worker/serve-tools.ts';
import type { WorkerTool } from '../../../src/worker/worker-tool.ts';
import { RUN, recordingLog, toolNamed } from '../../worker/support.ts';

const subjects = new Subjects();
let clock: SimulatedClock;
let broker: MemoryBroker;
let bus: MemoryBus;
let source: ToolSource;
let log: ReturnType<typeof recordingLog>;

beforeEach(() => {
  clock = new SimulatedClock();
  broker = new MemoryBroker({ clock });
  bus = new MemoryBus(broker, 'node');
  log = recordingLog();
  source = remoteToolSource({ bus, subjects, clock, log, random: cryptoIds.random });
});

const serve = (tools: WorkerTool[], id = 'w1') =>
  serveTools({ bus: new MemoryBus(broker, id), subjects, clock, tools, log: recordingLog(), id });

function callOf(tool: string, more: Partial<ToolCall> = {}): ToolCall {
  const common = { run: RUN, c: '1-0', agent: 'a', user: 'u', args: {}, idempotencyKey: `${RUN}:1-0` };
  const signal = new AbortController().signal;
  return { tool, ...common, startBy: clock.now() + 1000, timeoutMs: 5000, attempt: 1, refresh: false, signal, ...more };
}

async function failure(call: Promise<unknown>): Promise<AppError> {
  const thrown: unknown = await call.then(
    (value) => new Error(`expected a failure, got ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (thrown instanceof AppError) return thrown;
  throw thrown;
}

/** A bus whose requests end in a given way. */
function busWhere(request: Bus['request'], connected = true): Bus {
  const subscribe: Bus['subscribe'] = (subject, handler) => bus.subscribe(subject, handler);
  return Object.create(bus, {
    request: { value: request },
    subscribe: { value: subscribe },
    connected: { value: connected },
  });
}
const sourceOn = (other: Bus) => remoteToolSource({ bus: other, subjects, clock, log, random: cryptoIds.random });

describe('finding a tool', () => {
  it('takes the definition that its worker announces', async () => {
    const tool = toolNamed('greet', () => 'hi');
    await serve([tool]);
    expect(await source.find('greet')).toEqual(tool.definition);
  });

  it('finds nothing while nobody offers the tool, and finds it as soon as somebody does', async () => {
    expect(await source.find('greet')).toBeNull();
    await serve([toolNamed('greet', () => 'hi')]);
    expect(await source.find('greet')).toMatchObject({ name: 'greet' });
  });

  it.each(['', '*', '>', 'a.b', 'a b', 'ä', 'x'.repeat(65)])(
    'asks nobody for "%s", which is no tool name',
    async (name) => {
      const asked = sourceOn(busWhere(() => Promise.reject(new Error('asked'))));
      expect(await asked.find(name)).toBeNull();
    },
  );

  it('believes an announcement for its time to live and then asks again', async () => {
    const worker = await serve([toolNamed('greet', () => 'hi')]);
    await source.find('greet');
    await worker.stop();
    await clock.advance(4999);
    expect(await source.find('greet')).not.toBeNull();
    await clock.advance(1);
    expect(await source.find('greet')).toBeNull();
  });

  it('asks once for those who ask at the same time', async () => {
    await serve([toolNamed('greet', () => 'hi')]);
    let requests = 0;
    const counted = sourceOn(
      busWhere((...args) => {
        requests++;
        return bus.request(...args);
      }),
    );
    const found = await Promise.all([counted.find('greet'), counted.find('greet'), counted.find('greet')]);
    expect(found.map((definition) => definition?.name)).toEqual(['greet', 'greet', 'greet']);
    expect(requests).toBe(1);
  });

  it('fails when nobody can say whether the tool is there', async () => {
    bus.serve('$SRV.INFO.tool_mute', () => Promise.resolve(null));
    const found = failure(source.find('mute'));
    await clock.advance(2000);
    expect(await found).toMatchObject({ code: 'timeout', retryable: true });
  });

  it('does not call a tool missing while there is no connection', async () => {
    const nobody = new AppError('no_responders', 'not connected');
    const cut = busWhere(() => Promise.reject(nobody), false);
    expect(await failure(sourceOn(cut).find('greet'))).toMatchObject({ code: 'unavailable', retryable: true });
  });

  it.each<[string, unknown]>([
    ['is no JSON', undefined],
    ['has no definition', { name: 'tool_odd', id: 'x', version: '1.0.0', metadata: {} }],
    [
      'has a definition that is none',
      { name: 'tool_odd', id: 'x', version: '1.0.0', metadata: { 'proctor.definition': '{}' } },
    ],
    [
      'defines another tool',
      {
        name: 'tool_odd',
        id: 'x',
        version: '1.0.0',
        metadata: { 'proctor.definition': JSON.stringify(toolNamed('other', () => 1).definition) },
      },
    ],
  ])('treats a tool as missing whose announcement %s, and says so in the log', async (_, info) => {
    bus.serve('$SRV.INFO.tool_odd', () => Promise.resolve(info === undefined ? '{' : JSON.stringify(info)));
    expect(await source.find('odd')).toBeNull();
    expect(log.events).toEqual(['tool.bad_definition']);
  });
});

describe('calling a tool', () => {
  it('brings arguments there and the result back', async () => {
    await serve([toolNamed('double', (args) => ({ is: Number(args.n) * 2 }))]);
    expect(await source.call(callOf('double', { args: { n: 21 } }))).toEqual({ is: 42 });
  });

  it('says who calls, under which key, and until when', async () => {
    const seen: unknown[] = [];
    bus.serve(subjects.toolCall('spy'), ({ data, headers }) => {
      seen.push(JSON.parse(data), headers);
      return Promise.resolve('{"v":1,"result":null}');
    });
    await source.call(callOf('spy', { args: { x: 1 }, attempt: 2, refresh: true, traceparent: '00-a-b-01' }));
    expect(seen).toEqual([
      { v: 1, run: RUN, c: '1-0', agent: 'a', user: 'u', args: { x: 1 } },
      {
        'Proctor-Idempotency-Key': `${RUN}:1-0`,
        'Proctor-Start-By': String(clock.now() + 1000),
        'Proctor-Deadline': String(clock.now() + 5000),
        'Proctor-Run': RUN,
        'Proctor-Attempt': '2',
        'Proctor-Beat': expect.stringMatching(/^[0-9a-f]{16}\.[0-9a-f]{16}$/),
        'Proctor-Refresh': '1',
        traceparent: '00-a-b-01',
        'Proctor-Call': '1-0',
      },
    ]);
  });

  it('without a worker fails with no_worker: nothing was done', async () => {
    const error = await failure(source.call(callOf('gone')));
    expect(error).toMatchObject({ code: 'no_worker', retryable: true });
    expect(UNKNOWN_EFFECT.has(error.code)).toBe(false);
  });

  it('forgets the announcement of a tool whose workers are gone', async () => {
    const worker = await serve([toolNamed('greet', () => 'hi')]);
    await source.find('greet');
    await worker.stop();
    await failure(source.call(callOf('greet')));
    expect(await source.find('greet')).toBeNull();
  });

  it('passes on what the worker says', async () => {
    await serve([toolNamed('shop', () => Promise.reject(new AppError('out_of_stock', 'none', { field: 'item' })))]);
    expect(await failure(source.call(callOf('shop')))).toMatchObject({
      code: 'out_of_stock',
      message: 'none',
      field: 'item',
    });
    const late = callOf('shop', { startBy: clock.now() - 1 });
    expect(await failure(source.call(late))).toMatchObject({ code: 'too_late' });
  });

  it('when nobody answers in time fails with timeout: nobody knows', async () => {
    bus.serve(subjects.toolCall('mute'), () => Promise.resolve(null));
    const outcome = failure(source.call(callOf('mute')));
    await clock.advance(5000);
    const error = await outcome;
    expect(error).toMatchObject({ code: 'timeout' });
    expect(UNKNOWN_EFFECT.has(error.code)).toBe(true);
  });

  it('when the connection is lost fails with worker_lost: nobody knows', async () => {
    const lost = sourceOn(busWhere(() => Promise.reject(new AppError('unavailable', 'disconnected'))));
    const error = await failure(lost.call(callOf('any')));
    expect(error.code).toBe('worker_lost');
    expect(UNKNOWN_EFFECT.has(error.code)).toBe(true);
  });

  it.each(['', '{', '[]', '{"v":2,"result":1}', '{"v":1}', `{"v":1,"result":${'['.repeat(99)}${']'.repeat(99)}}`])(
    'takes the reply %j for a bad result: nobody knows',
    async (reply) => {
      bus.serve(subjects.toolCall('odd'), () => Promise.resolve(reply));
      const error = await failure(source.call(callOf('odd')));
      expect(error.code).toBe('bad_result');
      expect(UNKNOWN_EFFECT.has(error.code)).toBe(true);
    },
  );

  describe('whose worker announced signs of life', () => {
    const silent = async () => {
      const tool = toolNamed('job', () => new Promise<never>(() => undefined));
      const workerBus = new MemoryBus(broker, 'w');
      await serveTools({
        bus: workerBus,
        subjects,
        clock,
        tools: [tool],
        log: recordingLog(),
        id: 'w',
        heartbeatMs: 1000,
      });
      await source.find('job');
      return workerBus;
    };

    it('fails with worker_lost once five in a row are missing: nobody knows', async () => {
      const workerBus = await silent();
      const outcome = failure(source.call(callOf('job', { timeoutMs: 60_000 })));
      let over = false;
      void outcome.then(() => {
        over = true;
      });
      await clock.advance(20_000);
      expect(over).toBe(false);
      workerBus.crash();
      await clock.advance(4_000);
      expect(over).toBe(false);
      await clock.advance(1_500);
      expect(over).toBe(true);
      const error = await outcome;
      expect(error).toMatchObject({ code: 'worker_lost', retryable: true });
      expect(UNKNOWN_EFFECT.has(error.code)).toBe(true);
    });

    it('still ends at the deadline while they come', async () => {
      await silent();
      const outcome = failure(source.call(callOf('job', { timeoutMs: 60_000 })));
      await clock.advance(59_999);
      await clock.advance(1);
      expect(await outcome).toMatchObject({ code: 'timeout' });
    });

    it('takes no sign of life of another call for one of its own, and none for an answer', async () => {
      const workerBus = await silent();
      let beat = '';
      bus.serve(subjects.toolCall('job'), ({ headers }) => {
        beat = headers['Proctor-Beat'] ?? '';
        return Promise.resolve(null);
      });
      const outcome = failure(source.call(callOf('job', { timeoutMs: 60_000 })));
      await clock.settle();
      workerBus.crash();
      const [own] = beat.split('.');
      for (let i = 0; i < 12; i++) {
        bus.emit(subjects.beat(`${own}.0000000000000000`), '{"v":1,"result":"forged"}');
        await clock.advance(500);
      }
      expect(await outcome).toMatchObject({ code: 'worker_lost' });
    });
  });

  it('whose worker announced none waits until the deadline', async () => {
    bus.serve(subjects.toolCall('mute'), () => Promise.resolve(null));
    const outcome = failure(source.call(callOf('mute', { timeoutMs: 60_000 })));
    await clock.advance(60_000);
    expect(await outcome).toMatchObject({ code: 'timeout' });
  });

  it('tells the worker when the caller gives up', async () => {
    const aborted: unknown[] = [];
    await serve([
      toolNamed('wait', (_, { signal }) => {
        return new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            aborted.push((signal.reason as AppError).code);
            resolve(null);
          });
        });
      }),
    ]);
    const controller = new AbortController();
    const outcome = failure(source.call(callOf('wait', { signal: controller.signal })));
    await clock.settle();
    controller.abort();
    expect(await outcome).toMatchObject({ code: 'aborted' });
    await clock.settle();
    expect(aborted).toEqual(['aborted']);
  });

  it('sends no cancel for a call that is over', async () => {
    await serve([toolNamed('quick', () => 1)]);
    const cancels: string[] = [];
    bus.serve(subjects.toolCancel('quick', '*', '*'), ({ subject }) => {
      cancels.push(subject);
      return Promise.resolve(null);
    });
    const controller = new AbortController();
    await source.call(callOf('quick', { signal: controller.signal }));
    controller.abort();
    await clock.settle();
    expect(cancels).toEqual([]);
  });

  it('survives an abort after the bus was closed', async () => {
    const closed = Object.assign(
      busWhere((_subject, _data, { signal }) => {
        return new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(new AppError('aborted', 'given up')));
        });
      }),
      {
        emit: () => {
          throw new AppError('closed', 'the bus was closed');
        },
      },
    );
    const controller = new AbortController();
    const outcome = failure(sourceOn(closed).call(callOf('any', { signal: controller.signal })));
    controller.abort();
    expect(await outcome).toMatchObject({ code: 'aborted' });
    expect(log.events).toContain('tool.cancel_not_sent');
  });
});

describe('combined tool sources', () => {
  const fixed = (name: string, result: string): ToolSource => ({
    find: async (asked) => (asked === name ? toolNamed(name, () => result).definition : null),
    call: async () => result,
  });

  it('gives each tool to the first source that has it', async () => {
    const tools = combinedTools([fixed('a', 'first'), fixed('b', 'second'), fixed('a', 'third')]);
    expect(await tools.find('b')).toMatchObject({ name: 'b' });
    expect(await tools.call(callOf('a'))).toBe('first');
    expect(await tools.call(callOf('b'))).toBe('second');
  });

  it('knows no other tools', async () => {
    const tools = combinedTools([fixed('a', 'first')]);
    expect(await tools.find('z')).toBeNull();
    expect(await failure(tools.call(callOf('z')))).toMatchObject({ code: 'unknown_tool' });
  });

  it('keeps unknown tools and tools without a worker apart', async () => {
    const tools = combinedTools([fixed('local', 'x'), source]);
    const worker = await serve([toolNamed('remote', () => 'y')]);
    expect(await tools.find('remote')).toMatchObject({ name: 'remote' });
    expect(await tools.call(callOf('remote'))).toBe('y');
    await worker.stop();
    // Past the time for which the announcement is believed.
    await clock.advance(6000);
    expect(await failure(tools.call(callOf('remote')))).toMatchObject({ code: 'no_worker' });
  });
});
