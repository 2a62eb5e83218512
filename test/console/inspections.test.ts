import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Charts } from '../../src/console/gateway/charts.ts';
import { Inspections } from '../../src/console/gateway/inspections.ts';
import type { ActorAt, ActorView } from '../../src/console/wire.ts';
import { AppError } from '../../src/core/errors.ts';
import type { ActorState, Inspected } from '../../src/core/inspect-wire.ts';
import { Subjects } from '../../src/core/subjects.ts';

/** How the gateway watches an actor of a node: once for all tabs, only while one looks, through whatever becomes of it. */

const AT: ActorAt = { node: 'n1', kind: 'machine', path: ['lamp'] };

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

const stateOf = (part: Partial<ActorState>): ActorState => ({
  ...{ v: 1, actor: 'a', n: 0, at: 1, status: 'active', active: ['off'], via: [], events: [], heard: 0, context: null },
  ...part,
});

/** A node behind a bus, which answers with what it is told to. */
function stage(answer: () => ActorState, now = () => 1_000) {
  const asked: { chart: boolean }[] = [];
  const ears = new Set<(message: { subject: string; data: string; headers: object }) => void>();
  const subjects = new Subjects();
  const inspections = new Inspections({
    subjects,
    charts: new Charts(),
    now,
    bus: {
      flush: () => Promise.resolve(),
      publish: () => Promise.reject(new Error('it writes nothing')),
      subscribe: (subject, hear) => {
        expect(subject).toBe('proctor.insp.n1.machine.lamp');
        ears.add(hear as never);
        return { stop: async () => void ears.delete(hear as never) };
      },
      request: (subject, data) => {
        expect(subject).toBe('proctor.api.inspect');
        const { chart } = JSON.parse(data) as { chart: boolean };
        asked.push({ chart });
        const state = answer();
        const told: Inspected = { state, lease_ms: 15_000 };
        if (chart) told.chart = { name: state.actor, nodes: [], edges: [] };
        return Promise.resolve({ data: JSON.stringify(told), headers: {} });
      },
    },
  });
  const tell = (part: Partial<ActorState> | string) => {
    const data = typeof part === 'string' ? part : JSON.stringify(stateOf(part));
    for (const hear of ears) hear({ subject: '', data, headers: {} });
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  return { inspections, asked, ears, tell, settled };
}

it('asks once for all who look, renews every five seconds, and not a moment longer than somebody does', async () => {
  const { inspections, asked, ears, settled } = stage(() => stateOf({}));
  const ends = [inspections.watch(AT, () => {}), inspections.watch(AT, () => {})];
  await settled();
  expect(asked).toEqual([{ chart: true }]);
  vi.advanceTimersByTime(5_000);
  await settled();
  vi.advanceTimersByTime(5_000);
  await settled();
  expect(asked).toEqual([{ chart: true }, { chart: false }, { chart: false }]);
  ends[0]?.();
  expect(ears.size).toBe(1);
  ends[1]?.();
  vi.advanceTimersByTime(60_000);
  await settled();
  expect([asked.length, ears.size]).toEqual([3, 0]);
});

it('tells every event once and in order, and passes over what is late or no word at all', async () => {
  const { inspections, tell, settled } = stage(() => stateOf({}));
  const views: ActorView[] = [];
  inspections.watch(AT, (view) => views.push(view));
  await settled();
  const event = (type: string) => ({ at: 1, type, data: '' });
  tell({ n: 1, active: ['on'], heard: 2, events: [event('A'), event('B')] });
  tell({ n: 2, active: ['off'], heard: 3, events: [event('C')] });
  tell({ n: 1, active: ['late'], heard: 2, events: [event('late')] });
  tell('{"v":9}');
  tell('no JSON');
  const last = views.at(-1);
  expect(last?.state).toMatchObject({ n: 2, active: ['off'], heard: 3 });
  expect(last?.events.map(({ k, type }) => `${k} ${type}`)).toEqual(['1001 A', '1002 B', '1003 C']);
  inspections.stop();
});

it('numbers the events of a later watch beyond those of an earlier one, so that a page keeps both', async () => {
  let at = 1_000;
  const { inspections, tell, settled } = stage(
    () => stateOf({}),
    () => at,
  );
  const numbers: number[] = [];
  for (const events of [3, 5]) {
    const views: ActorView[] = [];
    const end = inspections.watch(AT, (view) => views.push(view));
    await settled();
    tell({ n: 1, heard: events, events: Array.from({ length: events }, () => ({ at: 1, type: 'X', data: '' })) });
    numbers.push(...(views.at(-1)?.events.map(({ k }) => k) ?? []));
    end();
    at += 60_000;
  }
  expect(numbers).toEqual([1_001, 1_002, 1_003, 61_001, 61_002, 61_003, 61_004, 61_005]);
});

it('shows the actor that has taken the address, with its own chart', async () => {
  let actor = 'a';
  const { inspections, asked, tell, settled } = stage(() => stateOf({ actor, n: 0, active: [actor] }));
  const views: ActorView[] = [];
  inspections.watch(AT, (view) => views.push(view));
  await settled();
  const first = views.at(-1)?.chart;
  actor = 'b';
  tell({ actor, n: 1 });
  await settled();
  expect(asked.at(-1)).toEqual({ chart: true });
  expect(views.at(-1)).toMatchObject({ state: { actor: 'b', active: ['b'] }, error: null });
  expect(views.at(-1)?.chart).not.toBe(first);
  inspections.stop();
});

it('keeps what was seen last while nobody answers, with the reason, and goes on by itself', async () => {
  let away = false;
  const { inspections, settled } = stage(() => {
    if (away) throw new AppError('no_actor', 'node "n1": it is gone');
    return stateOf({ active: ['on'] });
  });
  const views: ActorView[] = [];
  inspections.watch(AT, (view) => views.push(view));
  await settled();
  away = true;
  vi.advanceTimersByTime(5_000);
  await settled();
  expect(views.at(-1)).toMatchObject({ state: { active: ['on'] }, error: { code: 'no_actor' } });
  // Who comes later sees the same.
  const late: ActorView[] = [];
  inspections.watch(AT, (view) => late.push(view));
  expect(late).toHaveLength(1);
  away = false;
  vi.advanceTimersByTime(5_000);
  await settled();
  expect(views.at(-1)).toMatchObject({ state: { active: ['on'] }, error: null });
  inspections.stop();
});
