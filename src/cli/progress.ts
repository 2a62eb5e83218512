import type { Client } from '../client/client.ts';
import type { RunResult, StepSummary } from '../core/result.ts';
import { duration, line, preview } from './format.ts';
import type { Io } from './io.ts';

/** Tells on stderr what a run does until it ends; its result. Throws AppError `aborted` when the signal ends it. */
export async function follow(io: Io, client: Client, run: string, signal?: AbortSignal): Promise<RunResult> {
  const given = signal === undefined ? {} : { signal };
  for await (const update of client.watch(run, given)) {
    if (update.type === 'step') io.err(stepLine(update.step));
    if (update.type === 'waiting') io.err(`  ${line(`${update.status.state}: ${update.requires.text}`)}`);
    if (update.type === 'ended') return update.result;
  }
  return client.result(run, { wait: true, ...given });
}

export function stepLine(step: StepSummary): string {
  const calls = step.calls.map((call) => `${call.tool} ${call.status} ${duration(call.ms)}`).join(', ');
  const error = step.error === undefined ? '' : preview(step.error.message);
  return `  step ${step.step}  ${line([step.action, calls, error].filter((part) => part !== '').join('  '))}`;
}
