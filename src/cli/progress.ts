import type { Client } from '../client/client.ts';
import type { RunResult, StepSummary } from '../core/result.ts';
import type { StatusEvent } from '../core/status.ts';
import { duration, line, preview } from './format.ts';
import type { Io } from './io.ts';

/** Tells on stderr what a run does until it ends; its result. */
export async function follow(io: Io, client: Client, run: string, signal?: AbortSignal): Promise<RunResult> {
  let last = '';
  let told = 0;
  const tell = (steps: StepSummary[]) => {
    for (const step of steps) {
      if (step.step <= told) continue;
      io.err(stepLine(step));
      told = step.step;
    }
  };
  for await (const status of client.watch(run, signal)) {
    tell(status.steps ?? []);
    const now = `${status.state} ${status.requires?.text ?? ''}`;
    if (now !== last && worthTelling(status)) io.err(`  ${line(waitLine(status))}`);
    last = now;
  }
  const result = await client.result(run, { wait: true, ...(signal === undefined ? {} : { signal }) });
  // Steps that were over before anybody listened.
  tell(result.step_log);
  return result;
}

function worthTelling({ state }: StatusEvent): boolean {
  return state.startsWith('waiting.') && state !== 'waiting.backing_off';
}

function waitLine({ state, requires }: StatusEvent): string {
  return requires === undefined ? state : `${state}: ${requires.text}`;
}

function stepLine(step: StepSummary): string {
  const calls = step.calls.map((call) => `${call.tool} ${call.status} ${duration(call.ms)}`).join(', ');
  const error = step.error === undefined ? '' : preview(step.error.message);
  return `  step ${step.step}  ${line([step.action, calls, error].filter((part) => part !== '').join('  '))}`;
}
