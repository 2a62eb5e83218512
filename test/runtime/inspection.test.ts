import { describe, expect, it } from 'vitest';
import { type AnyActor, assign, createActor, createMachine, fromPromise, setup } from 'xstate';
import { API_ANSWERS } from '../../src/client/answers.ts';
import { ask } from '../../src/client/ask.ts';
import {
  type ActorAddress,
  ActorState,
  type Inspected,
  MAX_EVENT_DATA,
  MAX_MACHINES,
  MAX_TOLD_EVENTS,
  MAX_WATCHED,
  TELL_EVERY_MS,
  WATCH_LEASE_MS,
} from '../../src/core/inspect-wire.ts';
import { drive } from '../client/support.ts';
import { largeMachine } from '../console/chart/machines.ts';
import { Cluster, chain } from './support.ts';

/** The charts of what lives on a node: told while somebody watches, and not a moment longer. */

const lamp = setup({ types: { context: {} as { switched: number; api_key: string } } }).createMachine({
  id: 'lamp',
  initial: 'off',
  context: { switched: 0, api_key: 'sk-abcdefghijklmnop1234' },
  states: {
    off: { on: { SWITCH: { target: 'on', actions: assign({ switched: ({ context }) => context.switched + 1 }) } } },
    on: { initial: 'dim', states: { dim: { on: { MORE: 'bright' } }, bright: {} }, on: { SWITCH: 'off' } },
  },
});

interface Stage {
  cluster: Cluster;
  heard: ActorState[];
  watch(address: ActorAddress, chart?: boolean): Promise<Inspected>;
  show(name: string, actor: AnyActor): () => void;
}

async function stage(): Promise<Stage> {
  const cluster = new Cluster();
  const { node } = await cluster.node();
  const heard: ActorState[] = [];
  cluster.client.subscribe('proctor.insp.>', ({ data }) => void heard.push(ActorState.parse(JSON.parse(data))));
  return {
    cluster,
    heard,
    watch: ({ kind, path }, chart = true) => {
      const body = { node: 'n1', kind, path, chart };
      return drive(cluster, ask(cluster.client, cluster.subjects.api('inspect'), body, API_ANSWERS.inspect));
    },
    show: (name, actor) => node.inspectable(name, actor),
  };
}

const LAMP: ActorAddress = { kind: 'machine', path: ['lamp'] };

/** How many observers XState calls for an actor: it keeps them to itself, so it is seen by what an event costs. */
function observersOf(actor: AnyActor): () => number {
  let attached = 0;
  const { inspect } = actor.system;
  actor.system.inspect = (observer: Parameters<typeof inspect>[0]) => {
    attached++;
    const subscription = inspect.call(actor.system, observer);
    return {
      unsubscribe: () => {
        attached--;
        subscription.unsubscribe();
      },
    };
  };
  return () => attached;
}

describe('a machine of a user', () => {
  it('is told with its chart, where it stands, what it is sent and which transitions it takes', async () => {
    const { cluster, heard, watch, show } = await stage();
    const actor = createActor(lamp).start();
    show('lamp', actor);
    const { state, chart } = await watch(LAMP);
    expect(chart?.nodes.map(({ id }) => id)).toEqual(['', 'off', 'on', 'on.dim', 'on.bright']);
    expect(state).toMatchObject({ status: 'active', active: ['off'], heard: 0, n: 0 });
    actor.send({ type: 'SWITCH', by: 'olga', token: 'geheim' } as { type: 'SWITCH' });
    await cluster.clock.advance(TELL_EVERY_MS);
    expect(heard).toHaveLength(1);
    expect(heard[0]).toMatchObject({
      actor: state.actor,
      active: ['on.dim'],
      via: ['off/0'],
      n: 1,
      heard: 1,
      events: [{ type: 'SWITCH', data: '{"by":"olga","token":"***REDACTED***"}' }],
      context: { switched: 1, api_key: '***REDACTED***' },
    });
    const again = await watch(LAMP, false);
    expect(again.chart).toBeUndefined();
    expect(again.state).toMatchObject({ actor: state.actor, n: 1, active: ['on.dim'] });
  });

  it('has nothing attached to it before it is watched, nor when nobody has renewed the watch', async () => {
    const { cluster, heard, watch, show } = await stage();
    const actor = createActor(lamp).start();
    const observers = observersOf(actor);
    show('lamp', actor);
    actor.send({ type: 'SWITCH' });
    await cluster.clock.advance(WATCH_LEASE_MS);
    expect([observers(), heard.length]).toEqual([0, 0]);
    await watch(LAMP);
    expect(observers()).toBe(1);
    await cluster.clock.advance(WATCH_LEASE_MS - 1_000);
    await watch(LAMP, false);
    await cluster.clock.advance(WATCH_LEASE_MS - 1_000);
    expect(observers()).toBe(1);
    await cluster.clock.advance(2_000);
    expect(observers()).toBe(0);
    actor.send({ type: 'SWITCH' });
    await cluster.clock.advance(WATCH_LEASE_MS);
    expect(heard).toEqual([]);
  });

  it('is told four times a second at most, however much happens, with the newest events', async () => {
    const { cluster, heard, watch, show } = await stage();
    const actor = createActor(lamp).start();
    show('lamp', actor);
    await watch(LAMP);
    for (let n = 0; n < 500; n++) {
      actor.send({ type: 'SWITCH', n, text: 'x'.repeat(5_000) } as { type: 'SWITCH' });
      await cluster.clock.advance(2);
    }
    await cluster.clock.advance(TELL_EVERY_MS);
    expect(heard.length).toBeGreaterThanOrEqual(4);
    expect(heard.length).toBeLessThanOrEqual(6);
    const last = heard.at(-1);
    expect(last).toMatchObject({ heard: 500, active: ['off'] });
    expect(last?.events.length).toBeLessThanOrEqual(MAX_TOLD_EVENTS);
    expect(last?.events.at(-1)?.data).toContain('"n":499');
    expect(Math.max(...heard.flatMap(({ events }) => events.map(({ data }) => data.length)))).toBeLessThanOrEqual(
      MAX_EVENT_DATA,
    );
  });

  it('is harmed by no watcher: what it holds may be endless, or throw when it is read', async () => {
    const { cluster, heard, watch, show } = await stage();
    const endless: Record<string, unknown> = { rows: Array.from({ length: 100_000 }, (_, n) => ({ n })) };
    endless.self = endless;
    Object.defineProperty(endless, 'trap', {
      enumerable: true,
      get: () => {
        throw new Error('do not look');
      },
    });
    const machine = createMachine({ id: 'hoard', context: endless, on: { MORE: { actions: () => {} } } });
    const actor = createActor(machine).start();
    show('lamp', actor);
    await watch(LAMP);
    actor.send({ type: 'MORE', what: endless } as { type: 'MORE' });
    await cluster.clock.advance(TELL_EVERY_MS);
    expect(actor.getSnapshot().status).toBe('active');
    expect(heard).toHaveLength(1);
    expect(JSON.stringify(heard).length).toBeLessThan(64 * 1024);
    expect(heard[0]?.context).toMatchObject({ trap: '[unreadable]' });
    const trap = { type: 'MORE' as const };
    Object.defineProperty(trap, 'what', Object.getOwnPropertyDescriptor(endless, 'trap') ?? {});
    actor.send(trap);
    await cluster.clock.advance(TELL_EVERY_MS);
    expect(heard[1]?.events).toMatchObject([{ type: 'MORE', data: '{"what":"[unreadable]"}' }]);
  });

  it('of 60 states, parallel ones among them, is told whole, and its end as well', async () => {
    const { cluster, heard, watch, show } = await stage();
    const heat = fromPromise(() => new Promise<void>(() => {}));
    const actor = createActor(largeMachine().provide({ actors: { heat } })).start();
    show('plant', actor);
    const { chart } = await watch({ kind: 'machine', path: ['plant'] });
    expect(chart?.nodes.length).toBeGreaterThan(60);
    actor.send({ type: 'START' });
    await cluster.clock.advance(TELL_EVERY_MS);
    expect(heard.at(-1)?.active).toEqual(['mill.heating']);
    actor.send({ type: 'EMERGENCY' });
    await cluster.clock.advance(TELL_EVERY_MS);
    expect(heard.at(-1)).toMatchObject({ status: 'done', active: ['stopped'] });
  });

  it('that takes the place of another is another one', async () => {
    const { cluster, watch, show } = await stage();
    const hide = show('lamp', createActor(lamp).start());
    const first = await watch(LAMP);
    hide();
    await expect(watch(LAMP)).rejects.toMatchObject({ code: 'unknown_actor' });
    show('lamp', createActor(createMachine({ id: 'other', initial: 'x', states: { x: {} } })).start());
    const second = await watch(LAMP);
    expect(second.state.actor).not.toBe(first.state.actor);
    expect(second.chart?.name).toBe('other');
    // Taking back what is gone already takes nothing else.
    hide();
    expect((await watch(LAMP)).chart?.name).toBe('other');
    await cluster.clock.advance(1);
  });

  it('is refused by name when it is none, or too much', async () => {
    const { cluster, watch, show } = await stage();
    const idle = createActor(fromPromise(() => Promise.resolve()));
    expect(() => show('idle', idle)).toThrow(/an actor of an XState 5 machine/);
    expect(() => show('', createActor(lamp))).toThrow(/1 to 128 characters/);
    show('lamp', createActor(lamp).start());
    expect(() => show('lamp', createActor(lamp))).toThrow(/shown as "lamp" already/);
    const states = Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`s${n}`, {}]));
    show('huge', createActor(createMachine({ id: 'huge', initial: 's0', states })).start());
    await expect(watch({ kind: 'machine', path: ['huge'] })).rejects.toMatchObject({ code: 'too_large' });
    for (let n = 2; n < MAX_MACHINES; n++) show(`lamp-${n}`, createActor(lamp).start());
    expect(() => show('one more', createActor(lamp))).toThrow(/at most 200 machines/);
    for (let n = 2; n < 2 + MAX_WATCHED; n++) await watch({ kind: 'machine', path: [`lamp-${n}`] });
    await expect(watch(LAMP)).rejects.toMatchObject({ code: 'too_many', retryable: true });
    // The watches end by themselves.
    await cluster.clock.advance(WATCH_LEASE_MS);
    await watch(LAMP);
  });
});

describe('a supervisor', () => {
  it('is told with its phases, and what it hears', async () => {
    const { cluster, heard, watch } = await stage();
    const { state, chart } = await watch({ kind: 'supervisor', path: ['agents'] });
    expect(chart?.nodes.map(({ id }) => id)).toContain('restarting');
    expect(state).toMatchObject({ status: 'active', active: ['running'] });
    expect((await watch({ kind: 'supervisor', path: [] })).state.active).toEqual(['running']);
    await expect(watch({ kind: 'supervisor', path: ['nowhere'] })).rejects.toMatchObject({ code: 'unknown_actor' });
    await cluster.clock.advance(1);
    expect(heard).toEqual([]);
  });

  it('that decides without an actor has one while it is watched, and goes on all the same before, meanwhile and after', async () => {
    const { cluster, heard, watch } = await stage();
    const type: ActorAddress = { kind: 'supervisor', path: ['agents', 'agent:plan'] };
    const done = async (runs: number) =>
      cluster.until(`${runs} results`, async () => (await cluster.results()).length === runs);
    await cluster.submit(chain(2));
    await done(1);
    const { state } = await watch(type);
    expect(state.active).toEqual(['running']);
    await cluster.submit(chain(2));
    await done(2);
    await cluster.clock.advance(TELL_EVERY_MS);
    const types = heard.flatMap(({ events }) => events.map((event) => event.type));
    expect(types).toEqual(expect.arrayContaining(['call', 'started', 'exited']));
    await cluster.clock.advance(WATCH_LEASE_MS);
    const before = heard.length;
    await cluster.submit(chain(2));
    await done(3);
    expect(heard.length).toBe(before);
    expect((await cluster.results()).map(({ outcome }) => outcome)).toEqual(['success', 'success', 'success']);
  });
});

describe('what nobody has', () => {
  it('is told as such: a node that is gone, one of another version', async () => {
    const { cluster } = await stage();
    const at = (node: string) =>
      drive(
        cluster,
        ask(
          cluster.client,
          cluster.subjects.api('inspect'),
          { node, kind: 'supervisor', path: [] },
          API_ANSWERS.inspect,
        ),
      );
    await expect(at('gone')).rejects.toMatchObject({ code: 'no_actor' });
    cluster.client.serve(cluster.subjects.node('newer', 'inspect'), () => Promise.resolve('{"v":7}'));
    await expect(at('newer')).rejects.toMatchObject({ code: 'no_actor' });
  });
});
