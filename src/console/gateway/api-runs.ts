import { Hono } from 'hono';
import { AppError } from '../../core/errors.ts';
import { RunId } from '../../core/events.ts';
import { MAX_ACTIVE } from '../../core/inspect-wire.ts';
import { redact } from '../../core/redact.ts';
import type { ChartDetail } from '../chart.ts';
import type { RunView } from '../wire.ts';
import { type Env, isOwnPage } from './auth/guard.ts';
import { checked, QueryBody } from './bodies.ts';
import { mermaidOf } from './chart/mermaid.ts';
import { svgOf } from './chart/svg.ts';
import type { Charts } from './charts.ts';
import type { Follows } from './follows.ts';
import { runFileOf } from './run-file.ts';
import type { RunIndex } from './run-index.ts';

/** Runs and charts, for reading: from the gateway's own folds, at no cost to the nodes. */

export interface RunsApiOptions {
  index: RunIndex;
  follows: Follows;
  charts: Charts;
  now(): number;
}

const PAGE = 400;

export function runsApi({ index, follows, charts, now }: RunsApiOptions): Hono<Env> {
  const app = new Hono<Env>();
  const view = async (id: string) => (await follows.get(checked(RunId, id))).view;

  // A query, but too large for an address.
  app.post('/runs/query', async (c) => {
    if (!isOwnPage(c)) throw new AppError('csrf', 'the request did not come from this page');
    return c.json(index.query(checked(QueryBody, await c.req.json())));
  });
  app.get('/runs/:run', async (c) => {
    const follow = await follows.get(checked(RunId, c.req.param('run')));
    const head = follow.view.head(follow.reading);
    if (head === null) throw new AppError('unknown_run', 'the journal of this run does not begin as one does');
    const answer: RunView = { head, frames: follow.view.frames.slice(-PAGE), steps: follow.view.steps, now: now() };
    return c.json(answer);
  });
  app.get('/runs/:run/frames', async (c) => {
    const { frames } = await view(c.req.param('run'));
    const to = numberIn(c.req.query('to'), frames.length);
    return c.json(frames.slice(Math.max(0, to - PAGE), to));
  });
  app.get('/runs/:run/context', async (c) => {
    const run = await view(c.req.param('run'));
    const at = run.contextAt(numberIn(c.req.query('n'), run.next - 1));
    if (at === null) throw new AppError('unknown_entry', 'the run has no such entry');
    return c.json(at);
  });
  app.get('/runs/:run/journal', async (c) => {
    const { entries } = await view(c.req.param('run'));
    const n = numberIn(c.req.query('n'), 0);
    const entry = entries[n];
    if (entry === undefined) throw new AppError('unknown_entry', 'the run has no such entry');
    return c.json(redact(entry) as object);
  });
  app.get('/runs/:run/file', async (c) => {
    const run = c.req.param('run');
    const { entries } = await view(run);
    c.header('Content-Disposition', `attachment; filename="${run}.json"`);
    return c.json(runFileOf(run, entries));
  });
  app.get('/charts/:hash', async (c) => {
    const layout = await charts.layout(
      c.req.param('hash'),
      directionOf(c.req.query('direction')),
      detailOf(c.req.query('detail')),
    );
    c.header('Cache-Control', 'private, max-age=86400');
    return c.json(layout);
  });
  app.get('/charts/:hash/svg', async (c) => {
    const active = (c.req.query('active') ?? '').split(',', MAX_ACTIVE).filter(Boolean);
    const layout = await charts.layout(
      c.req.param('hash'),
      directionOf(c.req.query('direction')),
      detailOf(c.req.query('detail')),
    );
    c.header('Content-Disposition', 'attachment; filename="chart.svg"');
    return c.body(svgOf(layout, active), 200, { 'Content-Type': 'image/svg+xml' });
  });
  app.get('/charts/:hash/mermaid', (c) => {
    c.header('Content-Disposition', 'attachment; filename="chart.mmd"');
    return c.text(mermaidOf(charts.definition(c.req.param('hash'))));
  });
  return app;
}

function numberIn(text: string | undefined, otherwise: number): number {
  const number = Number(text ?? Number.NaN);
  return Number.isSafeInteger(number) && number >= 0 ? number : otherwise;
}

function directionOf(text: string | undefined): 'DOWN' | 'RIGHT' {
  return text === 'RIGHT' ? 'RIGHT' : 'DOWN';
}

function detailOf(text: string | undefined): ChartDetail {
  return text === 'outline' ? 'outline' : 'full';
}
