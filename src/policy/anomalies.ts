import type { Anomaly, AnomalyCode, AnomalySettings } from '../core/anomalies.ts';
import type { Usage } from '../core/decision.ts';
import type { RunContext } from '../core/run-state.ts';

/**
 * What a run has used beyond the usual (SUP-5), asked with what a model call has used and the calls that it wants made.
 * It warns at each step from there on; undefined when there is nothing to say.
 */
export function anomaliesOf(
  context: RunContext,
  usage: Usage,
  calls: number,
  over: AnomalySettings,
): Anomaly[] | undefined {
  const found: Anomaly[] = [];
  const look = (code: AnomalyCode, value: number, most: number) => {
    if (value > most) found.push({ code, value, over: most });
  };
  look('HIGH_COST', context.cost_usd + usage.cost_usd, over.cost_usd);
  const tokens = context.input_tokens + context.output_tokens + usage.input_tokens + usage.output_tokens;
  look('HIGH_TOKEN_USAGE', tokens, over.tokens);
  look('TOOL_CALL_SURGE', context.tool_calls + calls, over.tool_calls);
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
      return `${value} tool calls of this run, over ${over}`;
  }
}
