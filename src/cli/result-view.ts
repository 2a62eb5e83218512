import type { PersonAnswer } from '../core/human-wire.ts';
import type { RunResult } from '../core/result.ts';
import { counted, duration, line, moment, type Paint, pretty, preview } from './format.ts';
import { selfCommand } from './io.ts';
import { facts } from './table.ts';

/** The word of the person who took the run over, when it was handed to one. */
export async function personOf(
  client: { personAnswer(run: string): Promise<PersonAnswer | null> },
  { run, code }: RunResult,
): Promise<PersonAnswer | null> {
  return code === 'queued_for_human' ? client.personAnswer(run) : null;
}

/** How a run ended, for people; and what a person said to it since. */
export function resultText(result: RunResult, paint: Paint, person: PersonAnswer | null): string {
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
  if (result.notice !== undefined) pairs.push(['notice', line(result.notice)]);
  if (result.partial !== null) pairs.push(['so far', preview(result.partial, 1_000)]);
  if (result.status === 'completed') pairs.push(['answer', pretty(result.answer)]);
  if (result.code === 'queued_for_human') pairs.push(...personFacts(result, paint, person));
  return facts(pairs);
}

function personFacts(
  { run, fallbacks = [] }: RunResult,
  paint: Paint,
  person: PersonAnswer | null,
): [string, string][] {
  if (person === null) {
    const queue = fallbacks.findLast(({ to }) => to === 'person')?.queue ?? '';
    return [['person', `nobody has answered yet; queue ${queue}: ${selfCommand()} queue show ${run}`]];
  }
  const { by, at, outcome, answer, note } = person;
  const word = outcome === 'solved' ? paint.good('solved') : paint.bad('not solved');
  const pairs: [string, string][] = [['person', `${word} by ${line(by)} at ${moment(at)}`]];
  if (note !== undefined) pairs.push(['note', pretty(note)]);
  if (answer !== undefined) pairs.push(['answer', pretty(answer)]);
  return pairs;
}
