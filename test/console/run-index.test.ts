import { describe, expect, it } from 'vitest';
import { madeRuns, steppedOn } from '../../bench/console/statuses.ts';
import { seeded } from '../../bench/support/random.ts';
import { Figures } from '../../src/console/gateway/figures.ts';
import { isOver, RunIndex, topOf } from '../../src/console/gateway/run-index.ts';
import { RUN_SORTS, type RunQuery, type RunRow } from '../../src/console/wire.ts';
import type { StatusEvent } from '../../src/core/status.ts';

/** The index of runs against the same answers, worked out from nothing each time. */

const NOW = Date.UTC(2026, 0, 2);
const ALL: RunQuery = { text: '', states: [], needs: false, sort: 'newest', offset: 0, limit: 500 };

const QUERIES: Partial<RunQuery>[] = [
  {},
  { offset: 120, limit: 30 },
  { states: ['failed'] },
  { states: ['executing', 'waiting'], limit: 7 },
  { needs: true },
  { needs: true, states: ['waiting'], text: 'agent-1' },
  { text: 'USER-7 agent-3' },
  { text: 'node-2 executing', limit: 5 },
  { text: 'nothing like it' },
];

function expected(rows: RunRow[], { text, states, needs, sort, offset, limit }: RunQuery) {
  const words = text.toLowerCase().split(' ').filter(Boolean);
  const textOf = ({ run, agent, user, state, code, node }: RunRow) =>
    [run, agent, user, state, code, node].join('\n').toLowerCase();
  const matching = rows.filter((row) => words.every((word) => textOf(row).includes(word)));
  const counts: Record<string, number> = {};
  for (const { state } of matching) counts[topOf(state)] = (counts[topOf(state)] ?? 0) + 1;
  const newest = (a: RunRow, b: RunRow) => b.accepted_at - a.accepted_at || (a.run < b.run ? 1 : -1);
  const by: Record<RunQuery['sort'], (a: RunRow, b: RunRow) => number> = {
    newest,
    age: (a, b) => Number(isOver(a.state)) - Number(isOver(b.state)) || a.since - b.since || newest(a, b),
    cost: (a, b) => b.cost_usd - a.cost_usd || newest(a, b),
    steps: (a, b) => b.step - a.step || newest(a, b),
  };
  const found = matching
    .filter(({ state }) => states.length === 0 || states.includes(topOf(state)))
    .filter(({ requires }) => !needs || requires !== null)
    .sort(by[sort]);
  return {
    total: found.length,
    counts,
    needs: matching.filter(({ requires }) => requires !== null).length,
    rows: found.slice(offset, offset + limit),
  };
}

/** Runs that change all the time, and the index that hears of it. */
class Changing {
  readonly index = new RunIndex();
  readonly figures = new Figures(this.index, () => NOW);
  private readonly last: StatusEvent[];
  private readonly random = seeded(7);
  private at = NOW;

  constructor(runs: number) {
    this.last = madeRuns(runs, NOW).statuses;
    for (const status of this.last) this.index.push(status);
  }

  /** @param at always that run; default any */
  change(count: number, only?: number): void {
    for (let i = 0; i < count; i++) {
      const at = only ?? this.random.int(this.last.length);
      const before = this.last[at] as StatusEvent;
      const next = steppedOn(before, ++this.at);
      if (before.phase !== 'complete') this.last[at] = next;
      // One that has ended stays so, whatever comes late.
      this.index.push(next);
    }
  }

  get rows(): RunRow[] {
    return this.last.map(({ run }) => this.index.get(run) as RunRow);
  }

  check(): void {
    const { rows, index } = this;
    for (const sort of RUN_SORTS) {
      for (const query of QUERIES) {
        const asked = { ...ALL, sort, ...query };
        expect(index.query(asked), JSON.stringify(asked)).toEqual(expected(rows, asked));
      }
    }
  }
}

describe('the index of runs', () => {
  it('tells the newest by when they were accepted, whatever their ids are like', () => {
    const index = new RunIndex();
    const [made] = madeRuns(1, NOW).statuses as [StatusEvent];
    const ids = ['20260101-b-z', '20260101-kff00', '20260101-b-10', '20260101-d0011'];
    for (const [i, run] of ids.entries()) index.push({ ...made, run, accepted_at: NOW + i, at: NOW + 9 - i });
    expect(index.query(ALL).rows.map(({ run }) => run)).toEqual(ids.toReversed());
  });

  it('answers as if it sorted and counted everything each time, after few changes and after many', () => {
    const changing = new Changing(1_500);
    changing.check();
    for (const changes of [1, 3, 5, 700, 1, 2_000, 2]) {
      changing.change(changes);
      changing.check();
    }
    for (let at = 0; at < 10; at++) {
      changing.change(2, at);
      changing.check();
    }
    expect(new Set(changing.rows.map(({ run }) => run)).size).toBe(1_500);
  });

  it('forgets an order that nobody asks for, and makes it anew for who does', () => {
    const changing = new Changing(400);
    changing.check();
    changing.change(5_000);
    changing.check();
  });

  it('gives all tabs the same figures until something changes', () => {
    const { index, figures, rows } = new Changing(300);
    const overview = figures.overview();
    expect(figures.overview()).toBe(overview);
    const needing = expected(rows, { ...ALL, needs: true, sort: 'age', limit: 8 });
    expect(needing.needs).toBeGreaterThan(8);
    expect(overview).toMatchObject({ total: 300, counts: needing.counts, needs: needing.needs });
    expect(overview.attention).toEqual(needing.rows);
    expect(overview.recent).toEqual(expected(rows, { ...ALL, limit: 12 }).rows);
    const agents = new Set(rows.map(({ agent }) => agent));
    const live = (of: string) => rows.filter(({ agent, state }) => agent === of && !isOver(state)).length;
    const most = [...agents].map(live).sort((a, b) => b - a);
    expect(agents.size).toBeGreaterThan(8);
    expect(overview.agents).toBe(agents.size);
    expect(overview.byAgent.map((one) => one.live)).toEqual(most.slice(0, 8));
    expect(overview.cost_usd).toBeCloseTo(rows.reduce((sum, { cost_usd }) => sum + cost_usd, 0));
    index.push({ ...(madeRuns(1, NOW + 1).statuses[0] as StatusEvent), run: '20260102-new-1' });
    expect(figures.overview()).toMatchObject({ total: 301 });
  });

  it('tells of the last ten minutes, those included in which nothing happened, and no longer', () => {
    let now = NOW;
    const index = new RunIndex();
    const figures = new Figures(index, () => now);
    figures.live = true;
    const begin = (i: number) =>
      index.push({ ...(madeRuns(1, now).statuses[0] as StatusEvent), run: `20260102-new-${i}`, at: now });
    begin(0);
    now += 20_000;
    begin(1);
    expect(figures.overview().series.map(({ started }) => started)).toEqual([1, 0, 1]);
    now += 600_000 - 20_000;
    begin(2);
    const { series } = figures.overview();
    expect(series).toHaveLength(60);
    expect([series[0]?.at, series.at(-1)?.at]).toEqual([NOW + 10_000, NOW + 600_000]);
    expect(series.reduce((sum, { started }) => sum + started, 0)).toBe(2);
  });
});
