import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../client/client.ts';
import { toAppError } from '../core/errors.ts';
import type { RunResult, StepSummary } from '../core/result.ts';
import { duration, line, preview } from './format.ts';
import type { Io } from './io.ts';

/** How often, and how soon, nodes that do not answer are asked again. */
const TRIES = 6;
const PAUSE_MS = 2_000;

/**
 * Tells on stderr what a run does until it ends; its result. A node has just accepted the run, so when none answers for
 * a moment, as while servers elect a leader, one is waited for. Throws AppError `aborted` when the signal ends it, and
 * `no_node` when none comes back.
 */
export async function follow(io: Io, client: Client, run: string, signal?: AbortSignal): Promise<RunResult> {
  const told = { step: 0 };
  for (let tried = 1; ; tried++) {
    try {
      return await followOnce(io, client, run, told, signal);
    } catch (thrown) {
      if (tried >= TRIES || signal?.aborted === true || toAppError(thrown).code !== 'no_node') throw thrown;
      await delay(PAUSE_MS, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
    }
  }
}

async function followOnce(
  io: Io,
  client: Client,
  run: string,
  told: { step: number },
  signal: AbortSignal | undefined,
): Promise<RunResult> {
  const given = signal === undefined ? {} : { signal };
  for await (const update of client.watch(run, given)) {
    if (update.type === 'step' && update.step.step > told.step) {
      told.step = update.step.step;
      io.err(stepLine(update.step));
    }
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
