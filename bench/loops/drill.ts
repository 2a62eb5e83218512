import { DEFAULT_LOOP_SETTINGS, LOOP_RUNGS } from '../../src/core/loops.ts';
import { crossValidated } from './cross-validate.ts';
import { readLabelledRows } from './rows.ts';
import { byRun, byStep, costOf, domainRow, onSuccess, watched } from './score.ts';

/** Figures of loop detection with the default settings on recorded runs. Throws when `dir` has none. */
export function loopFigures(dir: string): Record<string, unknown> {
  const rows = readLabelledRows(dir);
  const runs = watched(rows, DEFAULT_LOOP_SETTINGS, false);
  const steps = rows.reduce((sum, row) => sum + row.steps.length, 0);
  const found = byRun(runs, 'warn');
  const stop = onSuccess(runs, 'stop');
  // As if every tool were declared to read: then results that stay the same count too.
  const reading = onSuccess(watched(rows, DEFAULT_LOOP_SETTINGS, true), 'stop');
  const { p50, p99 } = costOf(rows, DEFAULT_LOOP_SETTINGS);
  const { chosen, ...aside } = crossValidated(rows);
  return {
    runs: rows.length,
    steps,
    runF1: found.f1,
    stepF1: byStep(runs).f1,
    stopOnSuccess: stop.all,
    stopOnLongSuccess: stop.long,
    stopOnSuccessIfAllRead: reading.all,
    stopOnLongSuccessIfAllRead: reading.long,
    microsPerStepP50: p50,
    microsPerStepP99: p99,
    labelled: {
      ...Object.fromEntries(LOOP_RUNGS.map((rung) => [`runs, ${rung}`, byRun(runs, rung)])),
      'steps, warn': byStep(runs),
    },
    falseAlarms: Object.fromEntries(LOOP_RUNGS.map((rung) => [rung, onSuccess(runs, rung)])),
    byDomain: Object.fromEntries(
      [...new Set(rows.map((row) => row.domain))].map((domain) => [
        domain,
        domainRow(runs.filter(({ row }) => row.domain === domain)),
      ]),
    ),
    crossValidation: aside,
    crossValidationChose: chosen,
  };
}
