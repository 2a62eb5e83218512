import { LOOP_RUNGS, type LoopRung, type LoopSettings, type LoopVerdict } from '../../src/core/loops.ts';
import { foldLoops, noLoops } from '../../src/policy/loops/detector.ts';
import { judgeLoops } from '../../src/policy/loops/verdict.ts';
import { quantile, round } from '../support/numbers.ts';
import type { Row } from './rows.ts';
import { eventsOf, verdictsOf } from './watch-row.ts';

/**
 * How well loop detection does on recorded runs: how often it speaks on runs that succeeded, at each rung, what it finds
 * of the loops that people labelled, and how many steps of failed runs it would have saved.
 */

/** Like steps in a row that make a loop in the eyes of those who labelled: each but the first repeats the one before. */
const LEAST_CHAIN = 2;
const LONG_RUN = 10;

export interface Watched {
  row: Row;
  verdicts: (LoopVerdict | null)[];
}

export function watched(rows: Row[], settings: LoopSettings, reads: boolean): Watched[] {
  return rows.map((row) => ({ row, verdicts: verdictsOf(row, settings, reads) }));
}

const heightOf = (verdict: LoopVerdict | null) => (verdict === null ? -1 : LOOP_RUNGS.indexOf(verdict.rung));

/** The step after which a rung is reached first; -1: never. */
function reached({ verdicts }: Watched, rung: LoopRung): number {
  return verdicts.findIndex((verdict) => heightOf(verdict) >= LOOP_RUNGS.indexOf(rung));
}

function share(runs: Watched[], rung: LoopRung): number {
  if (runs.length === 0) return 0;
  return round(runs.filter((run) => reached(run, rung) >= 0).length / runs.length);
}

interface Counts {
  hits: number;
  false: number;
  missed: number;
}

export interface Rates {
  precision: number;
  recall: number;
  f1: number;
}

function ratesOf({ hits, false: wrong, missed }: Counts): Rates {
  const ratio = (of: number) => (of === 0 ? 0 : hits / of);
  return {
    precision: round(ratio(hits + wrong)),
    recall: round(ratio(hits + missed)),
    f1: round(hits === 0 ? 0 : (2 * hits) / (2 * hits + wrong + missed)),
  };
}

/** Runs with human labels, and whether they loop. */
function labelled(runs: Watched[]): (Watched & { loops: boolean })[] {
  return runs.flatMap((run) => {
    const chain = run.row.labels.max_repetition_chain;
    return chain === undefined ? [] : [{ ...run, loops: chain >= LEAST_CHAIN }];
  });
}

export function byRun(runs: Watched[], rung: LoopRung): Rates {
  const counts = { hits: 0, false: 0, missed: 0 };
  for (const run of labelled(runs)) {
    const found = reached(run, rung) >= 0;
    if (found) counts[run.loops ? 'hits' : 'false']++;
    else if (run.loops) counts.missed++;
  }
  return ratesOf(counts);
}

/** A verdict is about all steps that it counts but the first; what is labelled are those that repeat the one before. */
export function byStep(runs: Watched[]): Rates {
  const counts = { hits: 0, false: 0, missed: 0 };
  for (const { row, verdicts } of labelled(runs)) {
    const found = new Set<number>();
    verdicts.forEach((verdict, i) => {
      if (verdict === null) return;
      const back = (verdict.count - 1) * (verdict.period ?? 1);
      for (let step = Math.max(1, i - back + 1); step <= i; step++) found.add(step);
    });
    const wanted = new Set(row.labels.repetition_steps ?? []);
    for (const step of found) counts[wanted.has(step) ? 'hits' : 'false']++;
    for (const step of wanted) if (!found.has(step)) counts.missed++;
  }
  return ratesOf(counts);
}

export function onSuccess(runs: Watched[], rung: LoopRung): { all: number; long: number } {
  const good = runs.filter(({ row }) => row.success === true);
  return {
    all: share(good, rung),
    long: share(
      good.filter(({ row }) => row.steps.length >= LONG_RUN),
      rung,
    ),
  };
}

/** One row a domain: shares of runs at each rung, and the steps that the stop saved. */
export function domainRow(runs: Watched[]): Record<string, number> {
  const good = runs.filter(({ row }) => row.success === true);
  const bad = runs.filter(({ row }) => row.success !== true);
  const steps = bad.reduce((sum, { row }) => sum + row.steps.length, 0);
  const saved = bad.reduce((sum, run) => {
    const at = reached(run, 'stop');
    return at < 0 ? sum : sum + run.row.steps.length - at - 1;
  }, 0);
  return {
    succeeded: good.length,
    failed: bad.length,
    ...Object.fromEntries(LOOP_RUNGS.map((rung) => [`ok_${rung}`, share(good, rung)])),
    ...Object.fromEntries(LOOP_RUNGS.map((rung) => [`failed_${rung}`, share(bad, rung)])),
    steps_saved: saved,
    saved_of_failed: steps === 0 ? 0 : round(saved / steps),
  };
}

/** Microseconds that a step costs: median and 99th percentile over the runs, once the code is warm. */
export function costOf(rows: Row[], settings: LoopSettings): { p50: number; p99: number } {
  const runs = rows.map((row) => row.steps.map((step, i) => eventsOf(step, i, false)));
  const pass = () =>
    runs.map((steps) => {
      const state = noLoops();
      const before = process.hrtime.bigint();
      steps.forEach((events, i) => {
        for (const event of events) foldLoops(state, event, i);
        judgeLoops(state, settings);
      });
      return Number(process.hrtime.bigint() - before) / 1_000 / steps.length;
    });
  pass();
  const times = pass();
  return { p50: round(quantile(times, 0.5)), p99: round(quantile(times, 0.99)) };
}
