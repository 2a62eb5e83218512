import type { Overview, RunQuery, RunRow, SeriesPoint } from '../wire.ts';
import { isOver, type RunIndex, topOf } from './run-index.ts';

/** Figures over all runs, kept up to date change by change; the series begins when the gateway does. */

const BUCKET_MS = 10_000;
/** As many of each as the page shows. */
const BUCKETS = 60;
const ATTENTION = 8;
const RECENT = 12;
const AGENTS = 8;

export class Figures {
  private readonly index: RunIndex;
  private readonly agents = new Map<string, { live: number; ended: number; failed: number; cost_usd: number }>();
  private readonly series: SeriesPoint[] = [];
  private readonly now: () => number;
  private last: { version: number; at: number; overview: Overview } | null = null;
  /** What was there before the gateway counts into no bucket. */
  live = false;

  constructor(index: RunIndex, now: () => number) {
    this.index = index;
    this.now = now;
    index.onChange((row, before) => this.change(row, before));
  }

  private change(row: RunRow, before: RunRow | null): void {
    if (before !== null) this.count(before, -1);
    this.count(row, 1);
    if (!this.live) return;
    const bucket = this.bucket();
    if (before === null) bucket.started++;
    if (isOver(row.state) && (before === null || !isOver(before.state))) {
      bucket.ended++;
      if (topOf(row.state) === 'failed') bucket.failed++;
    }
    bucket.cost_usd += Math.max(0, row.cost_usd - (before?.cost_usd ?? 0));
    bucket.steps += Math.max(0, row.step - (before?.step ?? 0));
  }

  private count(row: RunRow, by: 1 | -1): void {
    const agent = this.agents.get(row.agent) ?? { live: 0, ended: 0, failed: 0, cost_usd: 0 };
    if (isOver(row.state)) agent.ended += by;
    else agent.live += by;
    if (topOf(row.state) === 'failed') agent.failed += by;
    agent.cost_usd = Math.max(0, agent.cost_usd + by * row.cost_usd);
    this.agents.set(row.agent, agent);
  }

  private bucket(): SeriesPoint {
    const at = Math.floor(this.now() / BUCKET_MS) * BUCKET_MS;
    let last = this.series.at(-1);
    if (last === undefined || last.at < at) {
      last = { at, started: 0, ended: 0, failed: 0, cost_usd: 0, steps: 0 };
      this.series.push(last);
      if (this.series.length > BUCKETS) this.series.shift();
    }
    return last;
  }

  /** Made once for all tabs that are told of the same change. */
  overview(): Overview {
    const { index } = this;
    const { at } = this.bucket();
    if (this.last?.version === index.version && this.last.at === at) return this.last.overview;
    const find = (query: Pick<RunQuery, 'needs' | 'sort' | 'limit'>) =>
      index.query({ text: '', states: [], offset: 0, ...query }).rows;
    const overview: Overview = {
      counts: index.counts,
      total: index.size,
      needs: index.needs,
      attention: index.needs === 0 ? [] : find({ needs: true, sort: 'age', limit: ATTENTION }),
      recent: find({ needs: false, sort: 'newest', limit: RECENT }),
      byAgent: [...this.agents]
        .map(([agent, figures]) => ({ agent, ...figures }))
        .sort((a, b) => b.live - a.live || b.ended - a.ended)
        .slice(0, AGENTS),
      agents: this.agents.size,
      cost_usd: [...this.agents.values()].reduce((sum, { cost_usd }) => sum + cost_usd, 0),
      series: this.filled(),
    };
    this.last = { version: index.version, at, overview };
    return overview;
  }

  /** With the buckets in which nothing happened. */
  private filled(): SeriesPoint[] {
    const [first, last] = [this.series[0], this.series.at(-1)];
    if (first === undefined || last === undefined) return [];
    const from = Math.max(first.at, last.at - (BUCKETS - 1) * BUCKET_MS);
    const byTime = new Map(this.series.map((point) => [point.at, point]));
    return Array.from({ length: (last.at - from) / BUCKET_MS + 1 }, (_, i) => {
      const at = from + i * BUCKET_MS;
      return byTime.get(at) ?? { at, started: 0, ended: 0, failed: 0, cost_usd: 0, steps: 0 };
    });
  }
}
