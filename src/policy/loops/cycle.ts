import { type Cycle, MAX_PERIOD } from '../../core/loops.ts';

/** Periodic endings of a row of steps: for each period one count, so a step costs the same however many came before. */

export function noCycle(): Cycle {
  return { asked: [], steps: [], runs: [0, 0, 0, 0, 0] };
}

/** Adds a step. @param asked what it asked for; `step`: that together with what came of it */
export function addStep(cycle: Cycle, asked: number, step: number): void {
  for (let i = 0; i < MAX_PERIOD; i++) {
    cycle.runs[i] = cycle.steps[i] === step ? (cycle.runs[i] as number) + 1 : 0;
  }
  put(cycle.asked, asked);
  put(cycle.steps, step);
}

function put(row: number[], value: number): void {
  row.unshift(value);
  if (row.length > MAX_PERIOD) row.pop();
}

const NO_ROUNDS = { period: 1, count: 1 };

/** The shortest period that the last steps repeat most often with, and how often its round was made. */
export function roundsOf(cycle: Cycle): { period: number; count: number } {
  let best = NO_ROUNDS;
  for (let i = 0; i < MAX_PERIOD; i++) {
    const count = Math.floor((cycle.runs[i] as number) / (i + 1)) + 1;
    if (count > best.count) best = { period: i + 1, count };
  }
  return best;
}
