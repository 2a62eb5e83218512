import {
  type Ladder,
  LOOP_RUNGS,
  type LoopRule,
  type LoopRung,
  type LoopSettings,
  type LoopState,
  type LoopVerdict,
} from '../../core/loops.ts';
import { roundsOf } from './cycle.ts';

/** The lowest threshold that there can be: mostly the question ends here. */
const LEAST_COUNT = 2;
/** The naive rule: fewer tools than this among the last calls, of at least so many. */
const FEW_TOOLS = 3;
const ENOUGH_CALLS = 5;

type Climbs = Exclude<LoopRule, 'few_tools'>;

/** How often it has happened, by each rule that climbs the ladder. */
export function countsOf({
  acts,
  thoughts,
  error,
  same,
  similar,
}: LoopState): Record<Exclude<Climbs, 'delegation'>, number> {
  return {
    repeat: Math.max(roundsOf(acts).count, roundsOf(thoughts).count),
    error: error.count,
    no_progress: same,
    similar,
  };
}

/** Asked before each model call: what the steps so far say; null when they say nothing. */
export function judgeLoops(state: LoopState, settings: LoopSettings): LoopVerdict | null {
  if (!settings.detect) return null;
  const { error, same, similar, last } = state;
  const acts = roundsOf(state.acts);
  const thoughts = roundsOf(state.thoughts);
  let worst: LoopVerdict | null = null;
  const look = (rule: Climbs, count: number, callee: string, period?: number) => {
    const rung = rungAt(settings[rule], count);
    if (rung === null || (worst !== null && heightOf(rung) <= heightOf(worst.rung))) return;
    worst = { rung, rule, count, ...(period === undefined ? {} : { period }), callee };
  };
  look('repeat', acts.count, last.callee, acts.period);
  look('repeat', thoughts.count, '', thoughts.period);
  look('error', error.count, last.callee);
  look('no_progress', same, last.callee);
  look('similar', similar, last.callee);
  if (worst !== null || !settings.few_tools || state.tools.length < ENOUGH_CALLS) return worst;
  const count = new Set(state.tools).size;
  return count < FEW_TOOLS ? { rung: 'warn', rule: 'few_tools', count, callee: last.callee } : null;
}

/** The highest rung that a count has reached. */
export function rungAt(ladder: Ladder, count: number): LoopRung | null {
  if (count < LEAST_COUNT) return null;
  return (
    LOOP_RUNGS.findLast((rung) => {
      const at = ladder[rung];
      return at !== null && count >= at;
    }) ?? null
  );
}

function heightOf(rung: LoopRung): number {
  return LOOP_RUNGS.indexOf(rung);
}

/** Whether a decision asks for what a loop would ask for next. */
export function continuesLoop(
  { acts, last }: LoopState,
  { rule, period }: LoopVerdict,
  next: { asked: number; tools: number },
): boolean {
  return rule === 'repeat' ? acts.asked[(period ?? 1) - 1] === next.asked : last.tools === next.tools;
}

/** What is the matter, for people and for the model. */
export function wordsOfLoop({ rule, count, period = 1, callee }: LoopVerdict): string {
  const who = callee === '' ? 'the model' : callee;
  switch (rule) {
    case 'repeat':
      return period === 1
        ? `the same step ${count} times in a row, with the same result: ${who}`
        : `the same ${period} steps ${count} times in a row, with the same results; the last was ${who}`;
    case 'error':
      return `${who} failed in the same way ${count} times in a row`;
    case 'no_progress':
      return `${count} calls of ${who} in a row brought the same result`;
    case 'similar':
      return `${count} nearly equal steps in a row: ${who}`;
    case 'delegation':
      return `${who} was given the same work before, ${count} times in this chain of runs with this one`;
    case 'few_tools':
      return `only ${count} ${count === 1 ? 'tool' : 'tools'} among the last calls`;
  }
}

/** What the model is told from the rung `nudge` on. */
export function nudgeOf(verdict: LoopVerdict): string {
  return (
    `You are going round in circles: ${wordsOfLoop(verdict)}. Doing it again will not help. Do something else: other ` +
    'arguments, another tool, ask a person; or give the answer that you can give, and say what is missing.'
  );
}
