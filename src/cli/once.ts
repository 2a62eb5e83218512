import { type Stack, startStack } from '../app.ts';
import { type Client, createClient } from '../client/client.ts';
import { AppError, type ErrorInfo, toAppError } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import type { RunResult } from '../core/result.ts';
import { readTaskFile } from './arguments.ts';
import { policyText } from './banner.ts';
import { withClient } from './connect.ts';
import { Ended, EXIT, failureLine, sentence } from './failure.ts';
import type { Io } from './io.ts';
import { follow } from './progress.ts';
import { forceQuit, onQuit, type Quit } from './quit.ts';
import { type NamedStackOptions, opsOf, stackOptions, type UpOptions } from './up-options.ts';

/**
 * `up --once FILE`: brings everything up, runs one task, says how it ended, and stops. Whatever happens, the last line
 * of stdout is one JSON object with the outcome.
 */

interface Outcome {
  status: 'completed' | 'failed';
  outcome: string;
  run: string | null;
  steps: number;
  toolsUsed: string[];
  answer: Json;
  code: string;
  error?: ErrorInfo | RunResult['error'];
}

/** What refuses a task before it is a run. */
const REFUSALS = new Set(['invalid_task', 'unknown_agent', 'task_too_large', 'too_large']);

export async function once(io: Io, options: UpOptions, file: string): Promise<void> {
  const progress: { run: string | null } = { run: null };
  let outcome: Outcome;
  let exitCode: number = EXIT.failed;
  try {
    const task = await readTaskFile(file).catch((thrown: unknown) => {
      // Of this file the outcome speaks, so its code is one that outcomes have.
      throw new AppError('invalid_task', toAppError(thrown).message, { cause: thrown });
    });
    const settings = await stackOptions(io, options);
    const result = await withStack(io, options, settings, async (client, signal) => {
      const submitted = await client.submit(task as Parameters<typeof client.submit>[0], options.agent);
      progress.run = submitted.run;
      io.err(`run ${submitted.run}`);
      return follow(io, client, submitted.run, signal);
    });
    outcome = outcomeOf(result);
    exitCode = result.status === 'completed' ? EXIT.fine : EXIT.failed;
    if (result.error !== null) io.err(`proctor: ${sentence(result.error.reason)}`);
  } catch (thrown) {
    io.err(failureLine(thrown));
    outcome = failedOutcome(thrown, progress.run);
    if (toAppError(thrown).code === 'interrupted') exitCode = EXIT.interrupted;
  }
  io.out(JSON.stringify(outcome));
  if (exitCode !== EXIT.fine) throw new Ended(exitCode);
}

type Work<T> = (client: Client, signal: AbortSignal) => Promise<T>;

async function withStack<T>(io: Io, asked: UpOptions, options: NamedStackOptions, work: Work<T>): Promise<T> {
  let stack: Stack | null = null;
  const ops = await opsOf(asked, options, () => stack);
  const quit = onQuit(() => forceQuit(stack));
  try {
    stack = await startStack({ ...options, telemetry: ops.telemetry }).catch((thrown: unknown) => {
      if (toAppError(thrown).code !== 'held') throw thrown;
      io.err(`${failureLine(thrown)} Using the one that runs there.`);
      return null;
    });
    const user = options.users[0] ?? 'default';
    if (stack === null)
      return await withClient({ dir: options.dir, user }, (client) => untilQuit(quit, null, client, work));
    io.err(`up: ${stack.url}, node ${options.name}`);
    io.err(`policy: ${policyText(stack.node.policy)}`);
    const client = createClient({ bus: stack.bus, subjects: stack.subjects, user });
    return await untilQuit(quit, stack, client, work);
  } finally {
    await stack?.stop();
    await ops.stop();
    quit.release();
  }
}

/** Does the work unless a signal or the end of the server comes first. */
async function untilQuit<T>(quit: Quit, stack: Stack | null, client: Client, work: Work<T>): Promise<T> {
  const given = new AbortController();
  const never = new Promise<never>(() => {});
  const ended = Promise.race([quit.asked, stack?.failed ?? never]).then((why) => {
    given.abort();
    throw why instanceof AppError
      ? why
      : new AppError('interrupted', 'stopped before the run ended: it goes on at the next start');
  });
  const working = work(client, given.signal);
  // Whichever loses the race ends unheard.
  working.catch(() => undefined);
  ended.catch(() => undefined);
  return Promise.race([working, ended]);
}

function outcomeOf(result: RunResult): Outcome {
  return {
    status: result.status,
    outcome: result.outcome,
    run: result.run,
    steps: result.steps,
    toolsUsed: result.tools_used,
    answer: result.answer,
    code: result.code,
    ...(result.error === null ? {} : { error: result.error }),
  };
}

function failedOutcome(thrown: unknown, run: string | null): Outcome {
  const error = toAppError(thrown).toInfo();
  const code = REFUSALS.has(error.code) ? 'invalid_task' : error.code;
  return { status: 'failed', outcome: 'failure', run, steps: 0, toolsUsed: [], answer: null, code, error };
}
