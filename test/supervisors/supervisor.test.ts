import { describe, expect, it } from 'vitest';
import { type AnyStateMachine, createMachine, fromCallback, fromPromise } from 'xstate';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { AppError } from '../../src/core/errors.ts';
import { exitWith, failure, IGNORE, SHUTDOWN } from '../../supervisors/exit-reason.ts';
import type { SupervisorOptions } from '../../supervisors/host/options.ts';
import type { Report } from '../../supervisors/reports.ts';
import type { ChildContext, ChildInput, SupervisorInput } from '../../supervisors/spec-types.ts';
import { Supervisor } from '../../supervisors/supervisor.ts';

interface Stage {
  clock: SimulatedClock;
  supervisor: Supervisor;
  reports: string[];
}

function stage(input: SupervisorInput, options: Partial<SupervisorOptions> = {}): Stage {
  const clock = new SimulatedClock();
  const reports: string[] = [];
  const onReport = (report: Report): void => {
    if (report.context !== 'progress') reports.push(`${report.context} ${report.offender.id}`);
  };
  return { clock, reports, supervisor: new Supervisor(input, { clock, onReport, ...options }) };
}

interface Sendable {
  send(event: { type: string }): void;
}

const idle = fromPromise(() => new Promise(() => undefined));

describe('a child that is an actor', () => {
  it('is restarted when it throws, and what it had invoked does not run on beside its successor', async () => {
    const running = new Set<number>();
    let started = 0;
    const worker = fromCallback(() => {
      started += 1;
      const own = started;
      running.add(own);
      return () => running.delete(own);
    });
    const logic = createMachine({
      invoke: { src: worker },
      on: {
        boom: {
          actions: () => {
            throw new AppError('boom', 'the agent failed');
          },
        },
      },
    });
    const { supervisor, reports } = stage({ children: [{ id: 'agent', logic }] });
    await supervisor.start();
    expect([...running]).toEqual([1]);
    supervisor.send('agent', { type: 'boom' });
    expect([...running]).toEqual([2]);
    expect(reports).toEqual(['child_terminated agent']);
    await supervisor.stop();
    expect([...running]).toEqual([]);
  });

  it('is not up before it says so, and one that fails until then has not started', async () => {
    let self: Sendable | null = null;
    const logic = createMachine({
      context: (given) => {
        self = given.self;
        return {};
      },
      initial: 'connecting',
      states: {
        connecting: {
          on: {
            connected: 'up',
            refused: {
              actions: () => {
                throw new AppError('refused', 'no connection');
              },
            },
          },
        },
        up: {},
      },
    });
    const ready = (snapshot: unknown): boolean => (snapshot as { value: string }).value === 'up';
    for (const [event, expected] of [
      ['connected', 'up'],
      ['refused', 'shutdown(failed_to_start_child(link, refused)): no connection'],
    ] as const) {
      const { supervisor } = stage({ children: [{ id: 'link', logic, ready }] });
      const start = supervisor.start().catch((error: Error) => error.message);
      expect(supervisor.tree()?.phase).toBe('starting');
      (self as Sendable | null)?.send({ type: event });
      expect(await start).toBe(expected);
      supervisor.kill();
    }
  });

  it('that somebody else stops has ended abnormally: a killed run must not look like a success', async () => {
    let self: { stop(): void } | null = null;
    const logic = createMachine({
      context: (given) => {
        self = given.self as unknown as { stop(): void };
        return {};
      },
    });
    const { supervisor, reports } = stage({ children: [{ id: 'run', logic, restart: 'transient' }] });
    await supervisor.start();
    (self as unknown as { stop(): void }).stop();
    expect(reports).toEqual(['child_terminated run']);
    expect(supervisor.tree()?.children[0]).toMatchObject({ status: 'running', restarts: 1 });
    await supervisor.stop();
  });

  it('ends as it says: with a reason in its output, normally without, or not at all when it ignores its start', async () => {
    const ending = (output: unknown): AnyStateMachine =>
      createMachine({ initial: 'a', states: { a: { on: { end: 'b' } }, b: { type: 'final' } }, output });
    const { supervisor, reports } = stage({
      intensity: 5,
      children: [
        { id: 'plain', logic: ending(undefined), restart: 'transient' },
        { id: 'own', logic: ending(exitWith(failure('own'))), restart: 'transient' },
        { id: 'none', logic: createMachine({ initial: 'a', states: { a: { type: 'final' } }, output: IGNORE }) },
      ],
    });
    await supervisor.start();
    supervisor.send('plain', { type: 'end' });
    supervisor.send('own', { type: 'end' });
    const states = supervisor.tree()?.children.map(({ id, status }) => `${id} ${status}`);
    expect(states).toEqual(['plain stopped', 'own running', 'none stopped']);
    expect(reports).toEqual(['child_terminated own']);
    await supervisor.stop();
  });

  it('that is killed is stopped and its promise is told to give up', async () => {
    let aborted = false;
    const logic = fromPromise(
      ({ signal }) =>
        new Promise<never>(() => {
          signal.addEventListener('abort', () => {
            aborted = true;
          });
        }),
    );
    const { supervisor, reports } = stage({ children: [{ id: 'call', logic, shutdown: 'brutal_kill' }] });
    await supervisor.start();
    expect(await supervisor.stop()).toEqual(SHUTDOWN);
    expect({ aborted, reports }).toEqual({ aborted: true, reports: [] });
  });
});

describe('a child that is a resource', () => {
  it('is started in order with others and stopped in reverse, each confirmed before the next', async () => {
    const log: string[] = [];
    const resource = (id: string): ChildInput => ({
      id,
      start: async ({ signal }) => {
        await Promise.resolve();
        log.push(`+${id}`);
        signal.addEventListener('abort', () => log.push(`abort ${id}`));
        return {
          stop: async () => {
            log.push(`stopping ${id}`);
            await Promise.resolve();
            log.push(`-${id}`);
          },
        };
      },
    });
    const { supervisor, reports } = stage({ children: [resource('a'), resource('b')] });
    expect(await supervisor.start()).toBe('up');
    await supervisor.stop();
    expect(log).toEqual(['+a', '+b', 'stopping b', '-b', 'stopping a', '-a']);
    expect(reports).toEqual([]);
  });

  it('whose start is given up is ended when it comes up after all, and that is reported', async () => {
    let closed = 0;
    let aborted = false;
    const { supervisor, clock, reports } = stage({});
    await supervisor.start();
    const start = async ({ signal }: ChildContext): Promise<{ stop(): void }> => {
      await new Promise<void>((resolve) => {
        clock.after(500, resolve);
      });
      aborted = signal.aborted;
      return {
        stop: () => {
          closed += 1;
        },
      };
    };
    const reply = supervisor.call({ type: 'start_child', spec: { id: 'slow', start, startMs: 100 } });
    await clock.advance(100);
    expect(await reply).toMatchObject({
      ok: false,
      error: 'start_failed',
      reason: { error: { code: 'start_timeout' } },
    });
    await clock.advance(400);
    expect({ closed, aborted, reports }).toEqual({ closed: 1, aborted: true, reports: ['zombie slow'] });
    await supervisor.stop();
  });

  it('that hangs in its stop is fenced at its deadline; what it says afterwards changes nothing', async () => {
    const contexts: ChildContext[] = [];
    let finish: () => void = () => undefined;
    const { supervisor, clock, reports } = stage({
      children: [
        {
          id: 'bus',
          shutdown: 1_000,
          start: (context) => {
            contexts.push(context);
            return {
              stop: () =>
                new Promise<void>((resolve) => {
                  finish = resolve;
                }),
            };
          },
        },
      ],
    });
    await supervisor.start();
    const reply = supervisor.call({ type: 'terminate_child', id: 'bus' });
    await clock.advance(999);
    expect(contexts[0]?.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(await reply).toEqual({ ok: true });
    expect(contexts[0]?.signal.aborted).toBe(true);
    await supervisor.call({ type: 'restart_child', id: 'bus' });
    contexts[0]?.exit(failure('late'));
    finish();
    await clock.settle();
    expect(reports).toEqual(['shutdown_error bus', 'zombie bus']);
    expect(supervisor.tree()?.children[0]).toMatchObject({ status: 'running', ref: contexts[1]?.ref });
    supervisor.kill();
  });

  it('that says twice that it has ended has ended once', async () => {
    let context: ChildContext | null = null;
    let starts = 0;
    const { supervisor } = stage({
      intensity: 5,
      children: [
        {
          id: 'a',
          start: (given) => {
            starts += 1;
            context ??= given;
            return {};
          },
        },
      ],
    });
    await supervisor.start();
    for (let times = 0; times < 3; times++) (context as ChildContext | null)?.exit(failure('x'));
    expect(starts).toBe(2);
    await supervisor.stop();
  });

  it.each([
    [
      'throws',
      () => {
        throw new AppError('no_server', 'nobody there');
      },
      'no_server',
    ],
    ['rejects', () => Promise.reject(new AppError('no_server', 'nobody there')), 'no_server'],
    [
      'throws what is no error',
      () => {
        throw Object.create(null);
      },
      'error',
    ],
    ['returns nothing', () => undefined as never, 'bad_return'],
  ])('fails to start when its start function %s', async (_how, start, code) => {
    const { supervisor } = stage({ children: [{ id: 'a', start }] });
    await expect(supervisor.start()).rejects.toThrow(`shutdown(failed_to_start_child(a, ${code}))`);
    expect(await supervisor.whenEnded).toMatchObject({ type: 'shutdown' });
  });
});

describe('a supervisor', () => {
  it('shows its phases as the states of a chart', async () => {
    const seen: string[] = [];
    const inspect: SupervisorOptions['inspect'] = (event) => {
      if (event.type !== '@xstate.snapshot' || !('value' in event.snapshot)) return;
      const value = String(event.snapshot.value);
      if (seen.at(-1) !== value) seen.push(value);
    };
    let up: () => void = () => undefined;
    const { supervisor, clock } = stage(
      {
        children: [
          {
            id: 'a',
            backoff: { minMs: 100, maxMs: 100 },
            start: ({ exit }) =>
              new Promise((resolve) => {
                up = () => resolve({ receive: () => exit(failure('x')), stop: () => clock.settle() });
              }),
          },
        ],
      },
      { inspect },
    );
    const started = supervisor.start();
    up();
    await started;
    supervisor.send('a', 'die');
    await clock.advance(100);
    up();
    await clock.settle();
    await supervisor.stop();
    expect(seen).toEqual(['idle', 'starting', 'running', 'restarting', 'running', 'stopping', 'ended']);
    expect(supervisor.actor?.getSnapshot()).toMatchObject({ status: 'done', output: { reason: SHUTDOWN } });
  });

  it('is not harmed by those who watch it', async () => {
    const fail = (): never => {
      throw new Error('the watcher fails');
    };
    const { supervisor } = stage({ children: [{ id: 'a', logic: idle }] }, { onReport: fail, observe: fail });
    await supervisor.start();
    expect(await supervisor.stop()).toEqual(SHUTDOWN);
  });

  it('that was never started stops at once, and none is started twice', async () => {
    const { supervisor } = stage({ children: [{ id: 'a', logic: idle }] });
    expect(await supervisor.call({ type: 'which_children' })).toEqual({ ok: false, error: 'stopping' });
    expect(await supervisor.stop()).toEqual(SHUTDOWN);
    await expect(supervisor.start()).rejects.toThrow('started once only');
  });

  it('knows a nested supervisor as long as it runs, and can kill it though it is suspended', async () => {
    const { supervisor } = stage({ children: [{ id: 's', supervisor: { children: [{ id: 'a', logic: idle }] } }] });
    await supervisor.start();
    const first = supervisor.nested('s');
    first?.suspend();
    first?.kill();
    expect(await first?.whenEnded).toEqual({ type: 'killed' });
    const second = supervisor.nested('s');
    expect(second?.name).toBe('root:0.2');
    expect(supervisor.nested('root:0.2')).toBe(second);
    expect(supervisor.nested('root:0.1')).toBeNull();
    await supervisor.stop();
    expect(await second?.whenEnded).toEqual(SHUTDOWN);
  });

  it('asks again for a timer that fires before its time', async () => {
    const clock = new SimulatedClock();
    let early = 40;
    const hasty = {
      now: () => clock.now(),
      after: (ms: number, action: () => void) => {
        const cancel = clock.after(Math.max(0, ms - early), action);
        early = 0;
        return cancel;
      },
    };
    const children: ChildInput[] = [
      { id: 'a', backoff: { minMs: 100, maxMs: 100 }, start: ({ exit }) => ({ receive: () => exit(failure('x')) }) },
    ];
    const { supervisor } = stage({ children }, { clock: hasty });
    await supervisor.start();
    supervisor.send('a', 'die');
    await clock.advance(99);
    expect(supervisor.tree()?.children[0]).toMatchObject({ status: 'restarting', retryAt: clock.now() + 1 });
    await clock.advance(1);
    expect(supervisor.tree()?.children[0]).toMatchObject({ status: 'running', restarts: 1, retryAt: null });
    await supervisor.stop();
  });

  it('gives each nested supervisor chance of its own, so that those that fail together do not return together', async () => {
    const { supervisor } = stage({
      children: [
        { id: 'a', supervisor: {} },
        { id: 'b', supervisor: {} },
      ],
    });
    await supervisor.start();
    const seeds = ['a', 'b'].map((id) => supervisor.nested(id)?.state?.seed);
    expect(seeds[0]).not.toBe(seeds[1]);
    await supervisor.stop();
  });

  it('answers every call after its end with stopping', async () => {
    const { supervisor } = stage({ children: [{ id: 'a', logic: idle }] });
    await supervisor.start();
    await supervisor.stop();
    expect(await supervisor.call({ type: 'count_children' })).toEqual({ ok: false, error: 'stopping' });
  });

  it('starts and stops ten thousand children', { timeout: 120_000 }, async () => {
    const { supervisor, clock, reports } = stage({ strategy: 'dynamic' });
    await supervisor.start();
    for (let n = 0; n < 10_000; n++) {
      const spec: ChildInput = { id: 'run', logic: idle, restart: 'temporary' };
      expect(await supervisor.call({ type: 'start_child', spec })).toMatchObject({ ok: true });
    }
    expect(await supervisor.call({ type: 'count_children' })).toMatchObject({ counts: { active: 10_000 } });
    await supervisor.stop();
    expect({ reports, timers: clock.pending }).toEqual({ reports: [], timers: 0 });
  });
});
