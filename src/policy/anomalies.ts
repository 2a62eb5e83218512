import type { Anomaly, AnomalyCode, AnomalySettings } from '../core/anomalies.ts';
import type { Usage } from '../core/decision.ts';
import type { RunContext } from '../core/run-state.ts';

/** Completed runs of an agent whose costs are looked at, and how many it takes to say what is usual. */
export const USUAL_RUNS = 100;
const ENOUGH_RUNS = 20;

/** What runs of an agent cost in the middle: the median; null while too few are known, or when they cost nothing. */
export function usualCost(costs: readonly number[]): number | null {
  if (costs.length < ENOUGH_RUNS) return null;
  const sorted = costs.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? 0;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? 0) + upper) / 2;
  return median > 0 ? median : null;
}

/**
 * What a run has used beyond the usual (SUP-5), asked with what a model call has used and the calls that it wants made.
 * It warns at each step from there on; undefined when there is nothing to say.
 * @param usual what runs of its agent cost in the middle
 */
export function anomaliesOf(
  context: RunContext,
  usage: Usage,
  calls: number,
  over: AnomalySettings,
  usual: number | null,
): Anomaly[] | undefined {
  const found: Anomaly[] = [];
  const look = (code: AnomalyCode, value: number, most: number) => {
    if (value > most) found.push({ code, value, over: most });
  };
  const cost = context.cost_usd + usage.cost_usd;
  look('HIGH_COST', cost, over.cost_usd);
  const tokens = context.input_tokens + context.output_tokens + usage.input_tokens + usage.output_tokens;
  look('HIGH_TOKEN_USAGE', tokens, over.tokens);
  const made = context.tool_calls + calls;
  // A number of calls is reached rather than passed; who has made none has no surge.
  if (made >= Math.max(1, over.tool_calls)) found.push({ code: 'TOOL_CALL_SURGE', value: made, over: over.tool_calls });
  if (usual !== null) look('COST_OUTLIER', cost, usual * over.cost_times);
  return found.length === 0 ? undefined : found;
}

/** What it says, for people. */
export function wordsOfAnomaly({ code, value, over }: Anomaly): string {
  switch (code) {
    case 'HIGH_COST':
      return `${value.toFixed(4)} USD spent by this run, over ${over}`;
    case 'HIGH_TOKEN_USAGE':
      return `${value} tokens used by this run, over ${over}`;
    case 'TOOL_CALL_SURGE':
      return `${value} tool calls of this run; said from ${over} on`;
    case 'COST_OUTLIER':
      return `${value.toFixed(4)} USD spent by this run, over ${over.toFixed(4)}: far more than the last runs of its agent`;
  }
}
