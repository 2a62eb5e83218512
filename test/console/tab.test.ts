import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SILENT } from '../../src/app/local.ts';
import { Figures } from '../../src/console/gateway/figures.ts';
import { Follows } from '../../src/console/gateway/follows.ts';
import { RunIndex } from '../../src/console/gateway/run-index.ts';
import { Tab } from '../../src/console/gateway/tab.ts';
import type { Watch } from '../../src/console/wire.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';
import { Cluster, chain } from '../runtime/support.ts';

/** One tab and the run that it watches, while reading a journal takes its time. */

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const MISSING = '20260101-missing-1';
const WATCH: Watch = { n: 1, overview: false, cluster: false, approvals: false, runs: [], run: null, actor: null };

/** A tab whose journals are read when `open` is called; that of any run but the missing one has two entries. */
async function stage() {
  const cluster = new Cluster();
  await cluster.node();
  await cluster.submit(chain(1));
  const { run } = await cluster.result();
  const journal = await cluster.entries(run);
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  async function* entries(of: string, from: number): AsyncGenerator<JournalEntry> {
    await opened;
    if (of !== MISSING) yield* journal.slice(from, 2);
  }
  const follows = new Follows({ entries, hear: () => ({ stop: () => {} }) }, SILENT);
  const index = new RunIndex();
  const sources = { index, figures: new Figures(index, () => 0), cluster: null, approvals: null, inspections: null };
  const tab = new Tab('tab', 'olga', false, { ...sources, follows });
  const told: { event: string; data: unknown }[] = [];
  tab.connect({ send: (event, data) => told.push({ event, data }), behind: () => 0 }, '');
  return { tab, told, follows, open, run };
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
