import { BUILT_IN_AGENT } from '../core/agent.ts';
import type { ApiBody } from '../core/door-wire.ts';
import { type Effect, effectsIn } from '../core/effect-report.ts';
import { AppError } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import type { Json } from '../core/json.ts';
import { Task } from '../core/task.ts';
import type { Compensation } from '../core/tool.ts';
import { argumentAt } from '../policy/permissions/resource.ts';
import type { NodeDeps } from './deps.ts';
import type { RunFold } from './fold.ts';
import { wholeResult } from './whole-results.ts';

/**
 * Hands in the call that makes up for one that took effect (OPS-8): a task of the same user for the agent that carries
 * out plans. It goes through the gates like any other call, also those for approvals. The key follows from the call, so
 * that it is made up for once however often somebody says so.
 */
export async function compensate(
  deps: NodeDeps,
  { run, user }: RunEventOf<'accepted'>,
  fold: RunFold,
  { c, by, why }: ApiBody<'compensate'>,
) {
  const { bus, subjects, tools, journal, log } = deps;
  const { effects } = await effectsIn(journal.entries(run, 0), fold.ended);
  const effect = effects.find((one) => one.c === c);
  if (effect?.state !== 'done') throw nothingDone(run, c, effect);
  const compensation = (await tools.find(effect.tool))?.compensation;
  if (compensation === undefined) {
    const text = `the tool ${effect.tool} declares no call that makes up for it, or no worker announces it now`;
    throw new AppError('no_compensation', text, { field: 'c' });
  }
  const result = effect.blob === undefined ? effect.result : await wholeResult(deps, run, c, effect.blob);
  const args = argumentsFor(compensation, { args: effect.args, result: result ?? null });
  const step = { id: 'compensate', tool: compensation.tool, args };
  const input = `make up for call ${c} of run ${run} (${effect.tool}): asked for by ${by}`;
  const task = Task.parse({
    input: why === '' ? input : `${input}, as ${why}`,
    key: `compensate ${run} ${c}`,
    context: { compensates: { run, c } },
    plan: { steps: [step] },
  });
  const { seq } = await bus.publish(subjects.task(BUILT_IN_AGENT, user), JSON.stringify(task));
  log.warn('effect.compensated', {
    run_id: run,
    user_id: user,
    call: c,
    tool: compensation.tool,
    by,
    why,
    task_seq: seq,
  });
  return { ok: true, compensates: { run, c }, tool: compensation.tool, user, seq };
}

function nothingDone(run: string, c: string, effect: Effect | undefined): AppError {
  if (effect === undefined) {
    return new AppError('no_effect', `run ${run} made no call ${c} that changes anything`, { field: 'c' });
  }
  const known =
    effect.state === 'open' ? 'nobody knows whether it took effect: find out first' : `it is ${effect.state}`;
  return new AppError('no_effect', `call ${c} of run ${run} is not known to have taken effect: ${known}`, {
    field: 'c',
  });
}

function argumentsFor({ tool, args }: Compensation, from: { args: Record<string, Json>; result: Json }) {
  return Object.fromEntries(
    Object.entries(args).map(([name, path]): [string, Json] => {
      const value = argumentAt(from, path);
      if (value !== undefined) return [name, value];
      const text = `${name} of ${tool} is to be ${path}, and the call has no such value: make it by hand`;
      throw new AppError('no_compensation', text, { field: 'c' });
    }),
  );
}
