import type { RunResult } from '../core/result.ts';
import { counted, duration, type Paint, pretty, preview } from './format.ts';
import { facts } from './table.ts';

/** How a run ended, for people. */
export function resultText(result: RunResult, paint: Paint): string {
  const ended = `${result.code}, ${counted(result.steps, 'step')}, ${counted(result.tool_calls, 'tool call')}, ${duration(result.duration_ms)}`;
  const pairs: [string, string][] = [
    ['run', result.run],
    ['status', result.status === 'completed' ? paint.good(result.status) : paint.bad(result.status)],
    ['ended', ended],
  ];
  if (result.tools_used.length > 0) pairs.push(['tools', result.tools_used.join(', ')]);
  if (result.error !== null) pairs.push(['error', paint.bad(preview(result.error.reason, 1_000))]);
  if (result.degraded !== null) pairs.push(['degraded', paint.warn(preview(result.degraded))]);
  if (result.unknown_outcomes.length > 0) {
    pairs.push(['unknown', `nobody knows whether these calls took effect: ${result.unknown_outcomes.join(', ')}`]);
  }
  if (result.partial !== null) pairs.push(['so far', preview(result.partial, 1_000)]);
  if (result.status === 'completed') pairs.push(['answer', pretty(result.answer)]);
  return facts(pairs);
}
