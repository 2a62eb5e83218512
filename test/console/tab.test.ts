import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { madeRuns } from '../../bench/console/statuses.ts';
import { SILENT } from '../../src/app/local.ts';
import { Figures } from '../../src/console/gateway/figures.ts';
import { Follows } from '../../src/console/gateway/follows.ts';
import { RunIndex } from '../../src/console/gateway/run-index.ts';
import { Tab } from '../../src/console/gateway/tab.ts';
import { Tabs } from '../../src/console/gateway/tabs.ts';
import type { Watch } from '../../src/console/wire.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';
import { endedRun } from './journals.ts';

/** One tab and the run that it watches, while reading a journal takes its time. */

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const MISSING = '20260101-missing-1';
const NOTHING = { overview: false, cluster: false, approvals: false, list: false, runs: [], run: null, actor: null };
const WATCH: Watch = { n: 1, ...NOTHING };

/** A tab whose journals are read when `open` is called; that of any run but the missing one has two entries. */
async function stage() {
  const { run, journal } = await endedRun(1);
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  async function* entries(of: string, from: number, max?: number): AsyncGenerator<JournalEntry> {
    await opened;
    if (of !== MISSING) yield* journal.slice(from, max === undefined ? 2 : from + max);
  }
  let ring: (n: number) => void = () => {};
  const hear = (_run: string, told: (n: number) => void) => {
    ring = told;
    return { stop: () => {} };
  };
  const follows = new Follows({ entries, hear }, SILENT);
  const index = new RunIndex();
  const figures = new Figures(index, () => 0);
  const sources = { index, figures, cluster: null, approvals: null, inspections: null, follows };
  const tab = new Tab('tab', 'olga', false, sources);
  const told: { event: string; data: unknown }[] = [];
  const sink = { send: (event: string, data: unknown) => void told.push({ event, data }), behind: () => 0 };
  tab.connect(sink, '');
  return { tab, told, sink, sources, follows, index, open, ring: (n: number) => ring(n), run };
}

it('is not told that a run is gone which it left before that was known', async () => {
  const { tab, told, open, run } = await stage();
  const watches = [
    tab.watch({ ...WATCH, n: 1, run: { id: MISSING, from: 0 } }),
    tab.watch({ ...WATCH, n: 2, run: { id: run, from: 0 } }),
  ];
  open();
  await Promise.all(watches);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told).toMatchObject([{ event: 'run', data: { id: run, frames: [{ n: 0 }, { n: 1 }] } }]);
  tab.close();
});

it('is told that the run which it watches is not there', async () => {
  const { tab, told, open } = await stage();
  open();
  await tab.watch({ ...WATCH, run: { id: MISSING, from: 0 } });
  expect(told).toMatchObject([{ event: 'gone', data: { id: MISSING, code: 'unknown_run' } }]);
  tab.close();
});

it('listens to nothing once it is closed, also when the run was asked for before', async () => {
  const { tab, open, follows, run } = await stage();
  const watch = tab.watch({ ...WATCH, run: { id: run, from: 0 } });
  tab.close();
  open();
  await watch;
  const { listeners, failed } = await follows.get(run);
  expect([listeners.size, failed.size]).toEqual([0, 0]);
});

it('is told that the run is not there once more when its stream was away at that moment', async () => {
  const { tab, told, sink, open } = await stage();
  tab.disconnect(sink);
  open();
  await tab.watch({ ...WATCH, run: { id: MISSING, from: 0 } });
  expect(told).toEqual([]);
  tab.connect(sink, '');
  expect(told).toMatchObject([{ event: 'gone', data: { id: MISSING } }]);
  tab.close();
});

it('gets each entry once also when it begins to watch while others are being told', async () => {
  const { tab, told, follows, open, ring, run } = await stage();
  open();
  const { view } = await follows.get(run);
  const listener = () => {};
  const follow = await follows.get(run);
  follow.listeners.add(listener);
  ring(2);
  // Folded, and told to those who listen only after the tab has joined.
  const push = view.push.bind(view);
  view.push = (entry) => {
    const frame = push(entry);
    void tab.watch({ ...WATCH, run: { id: run, from: 2 } });
    return frame;
  };
  await vi.advanceTimersByTimeAsync(1_000);
  const frames = told.flatMap(({ data }) => (data as { frames: { n: number }[] }).frames);
  expect(frames.map(({ n }) => n)).toEqual([2]);
  tab.close();
});

it('hears that runs come while it shows a list without any, and of none when it shows no list', async () => {
  const { tab, told, index } = await stage();
  index.onChange((row) => tab.runChanged(row));
  const [first, second] = madeRuns(2, 0).statuses;
  if (first === undefined || second === undefined) throw new Error('no statuses');
  await tab.watch({ ...WATCH, n: 1 });
  index.push(first);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told).toEqual([]);
  await tab.watch({ ...WATCH, n: 2, list: true });
  index.push(second);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told).toEqual([{ event: 'runs', data: { rows: [] } }]);
  tab.close();
});

it('is told figures of the last minutes also when nothing happens', async () => {
  const { told, sink, sources } = await stage();
  const tabs = new Tabs(sources);
  const id = 'tab-of-the-overview';
  tabs.connect(id, 'olga', false, sink, '');
  await tabs.watch(id, 'olga', { ...WATCH, overview: true });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told.map(({ event }) => event)).toEqual(['hello', 'overview']);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(told.map(({ event }) => event)).toEqual(['hello', 'overview', 'overview', 'overview']);
  tabs.stop();
});
