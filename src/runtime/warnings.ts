import { type Anomaly, DEFAULT_ANOMALY_SETTINGS } from '../core/anomalies.ts';
import type { Usage } from '../core/decision.ts';
import type { LoopState, LoopVerdict } from '../core/loops.ts';
import { anomaliesOf, wordsOfAnomaly } from '../policy/anomalies.ts';
import { wordsOfLoop } from '../policy/loops/verdict.ts';
import type { EffectScope } from './effects.ts';

/** Warnings of SUP-5: on each step of the trace, in the status, and once in the log when one is new. */

/** As a field of the event of a step. */
export function anomalies(
  { deps, accepted, context, loops, log }: EffectScope,
  usage: Usage,
  calls: number,
): { anomalies?: Anomaly[] } {
  const { name, anomalies: over = DEFAULT_ANOMALY_SETTINGS } = accepted.agent;
  const found = anomaliesOf(context, usage, calls, over, deps.costs.usual(name));
  if (found === undefined) return {};
  const known = loops.said.anomalies ?? [];
  for (const one of found) {
    if (known.some(({ code }) => code === one.code)) continue;
    log.warn('run.anomaly', { code: one.code, step: context.steps + 1, what: wordsOfAnomaly(one) });
  }
  return { anomalies: found };
}

/** What each rung does, for who reads the log. */
const CONSEQUENCE: Record<LoopVerdict['rung'], string> = {
  warn: 'nothing is done yet',
  nudge: 'the model is told',
  ask: 'a call that goes on with it waits for an approval',
  stop: 'the run ends with loop_detected',
};

export function tellLoop({ context, loops, log }: EffectScope, loop: LoopVerdict | null): void {
  if (loop === null) return;
  const { said } = loops;
  if (said.loop?.rung === loop.rung && said.loop.rule === loop.rule) return;
  const { rung, rule } = loop;
  log.warn('run.loop', {
    rung,
    rule,
    step: context.steps + 1,
    what: wordsOfLoop(loop),
    consequence: CONSEQUENCE[rung],
  });
}

/** Of one step or of where a run stands, each beginning with its code. */
export function warningsOf({ loop, anomalies: found = [] }: LoopState['said']): string[] {
  const circles = loop === undefined ? [] : [`POSSIBLE_LOOP: ${wordsOfLoop(loop)} (${loop.rule}, ${loop.rung})`];
  return [...circles, ...found.map((one) => `${one.code}: ${wordsOfAnomaly(one)}`)];
}
