import type { LoopRule } from '../../src/core/loops.ts';
import { foldLoops, noLoops } from '../../src/policy/loops/detector.ts';
import { countsOf } from '../../src/policy/loops/verdict.ts';
import { round } from '../support/numbers.ts';
import type { Row } from './rows.ts';
import { eventsOf } from './watch-row.ts';

/**
 * Whether thresholds that are chosen on some domains hold on the others: each domain in turn is kept aside, thresholds
 * are chosen on the rest by a fixed procedure, and only what they do on the domain kept aside is counted.
 */

type Peaks = Partial<Record<LoopRule, number>>;

interface Run {
  row: Row;
  /** The highest count that each rule came to. */
  peaks: Peaks;
}

const CANDIDATES = [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15];
/** Of runs that succeeded, the share that a stop may reach; of those with 10 steps or more. */
const MOST_STOPPED = 0.003;
const MOST_LONG_STOPPED = 0.02;
const LONG_RUN = 10;

function peaksOf(row: Row): Peaks {
  const state = noLoops();
  const peaks: Peaks = {};
  row.steps.forEach((step, i) => {
    for (const event of eventsOf(step, i, false)) foldLoops(state, event, i);
    for (const [rule, count] of Object.entries(countsOf(state)) as [LoopRule, number][]) {
      peaks[rule] = Math.max(peaks[rule] ?? 0, count);
    }
  });
  return peaks;
}

const reaches = ({ peaks }: Run, rule: LoopRule, at: number) => (peaks[rule] ?? 0) >= at;
const succeeded = (runs: Run[]) => runs.filter(({ row }) => row.success === true);
const long = (runs: Run[]) => runs.filter(({ row }) => row.steps.length >= LONG_RUN);
const share = (runs: Run[], hit: (run: Run) => boolean) =>
  runs.length === 0 ? 0 : runs.filter(hit).length / runs.length;

/** The lowest threshold that stops few enough of the runs that succeeded; rules share what is allowed. */
function lowestStop(runs: Run[], rule: LoopRule): number {
  const good = succeeded(runs);
  const holds = (at: number) =>
    share(good, (run) => reaches(run, rule, at)) <= MOST_STOPPED / 2 &&
    share(long(good), (run) => reaches(run, rule, at)) <= MOST_LONG_STOPPED / 2;
  return CANDIDATES.find(holds) ?? Number.POSITIVE_INFINITY;
}

function counts(runs: Run[], warns: (run: Run) => boolean) {
  const found = { hits: 0, false: 0, missed: 0 };
  for (const run of runs) {
    const chain = run.row.labels.max_repetition_chain;
    if (chain === undefined) continue;
    const loops = chain >= 2;
    if (warns(run)) found[loops ? 'hits' : 'false']++;
    else if (loops) found.missed++;
  }
  return found;
}

const f1 = ({ hits, false: wrong, missed }: ReturnType<typeof counts>) =>
  hits === 0 ? 0 : (2 * hits) / (2 * hits + wrong + missed);

/** The pair of thresholds that finds labelled loops best; the lower when several do. */
function bestWarn(runs: Run[]): { repeat: number; similar: number } {
  let best = { repeat: 3, similar: 3, score: -1 };
  for (const repeat of CANDIDATES) {
    for (const similar of CANDIDATES) {
      const score = f1(counts(runs, (run) => reaches(run, 'repeat', repeat) || reaches(run, 'similar', similar)));
      if (score > best.score) best = { repeat, similar, score };
    }
  }
  return best;
}

export function crossValidated(rows: Row[]): Record<string, unknown> {
  const runs = rows.map((row) => ({ row, peaks: peaksOf(row) }));
  const domains = [...new Set(rows.map((row) => row.domain))];
  const total = { hits: 0, false: 0, missed: 0 };
  let stopped = 0;
  let longStopped = 0;
  const chosen: Record<string, Record<string, number>> = {};
  for (const domain of domains) {
    const aside = runs.filter(({ row }) => row.domain === domain);
    const rest = runs.filter(({ row }) => row.domain !== domain);
    const stop = { repeat: lowestStop(rest, 'repeat'), error: lowestStop(rest, 'error') };
    const stops = (run: Run) => reaches(run, 'repeat', stop.repeat) || reaches(run, 'error', stop.error);
    stopped += succeeded(aside).filter(stops).length;
    longStopped += long(succeeded(aside)).filter(stops).length;
    chosen[domain] = { stop_repeat: stop.repeat, stop_error: stop.error };
    if (!aside.some(({ row }) => row.labels.max_repetition_chain !== undefined)) continue;
    const warn = bestWarn(rest);
    Object.assign(chosen[domain], { warn_repeat: warn.repeat, warn_similar: warn.similar });
    const found = counts(aside, (run) => reaches(run, 'repeat', warn.repeat) || reaches(run, 'similar', warn.similar));
    for (const name of ['hits', 'false', 'missed'] as const) total[name] += found[name];
  }
  return {
    runF1: round(f1(total)),
    stopOnSuccess: round(stopped / Math.max(1, succeeded(runs).length)),
    stopOnLongSuccess: round(longStopped / Math.max(1, long(succeeded(runs)).length)),
    chosen,
  };
}
