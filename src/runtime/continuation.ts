import { idempotencyKey } from '../../machines/agent-run/calls.ts';
import type { AgentDefinition } from '../core/agent.ts';
import { AppError } from '../core/errors.ts';
import { type Continues, MAX_CONTINUED, type RunEventOf } from '../core/events.ts';
import { runIdOfContinuation } from '../core/ids.ts';
import type { InboxBody } from '../core/inbox-wire.ts';
import { exceededLimits, type LimitOverrides, overrideLimits } from '../core/limits.ts';
import { type RunContext, WINDOW_STEPS } from '../core/run-state.ts';
import { MAX_OPEN_CALLS, type OpenCall, type StepRef } from '../core/step-ref.ts';
import { unknownAgent } from './agent-doors.ts';
import { taintFrom } from './delegate.ts';
import type { NodeDeps } from './deps.ts';
import type { RunFold } from './fold.ts';
import { runOfKey } from './run-keys.ts';
import { type Birth, publishActivation, writeEntryZero } from './starting.ts';
import { storeStatus } from './store-status.ts';
import { killed, scopesOf } from './switched.ts';
import { unknownOutcomes } from './views.ts';

/**
 * Lets a run that ended short of its answer go on (RUN-13), as a new run: its first entry refers to the steps, the plan
 * and the results in the journal of the old one. The order is stored in the old run's inbox before anything is done, so
 * that a node that dies half way is followed by another; all that is written is write-once under names that follow
 * from the order.
 */

export interface ContinueOrder {
  by: string;
  why: string;
  limits?: LimitOverrides | undefined;
  /** Two orders with one key are one run. */
  key?: string | undefined;
  /** A person's consent to make calls anew of which nobody knows whether they took effect. */
  repeat_unknown: boolean;
}

export interface Continued {
  ok: true;
  run: string;
  continues: string;
  state: string;
}

type Accepted = RunEventOf<'accepted'>;

/**
 * Throws AppError `not_ended`, `already_completed`, `not_allowed`, `outcome_unknown`, `continued_too_often`,
 * `unknown_agent`, `invalid_request`, and `killed` while a kill is in force over the next run.
 * @param asker a submitter may not pass what the agent allows, nor undo what an operator ended
 */
export async function continueRun(
  deps: NodeDeps,
  accepted: Accepted,
  order: ContinueOrder,
  asker: 'submitter' | 'operator',
): Promise<Continued> {
  const { bus, subjects, ids, clock, journal } = deps;
  const fold = await ended(deps, accepted.run);
  if (asker === 'submitter') await refuseUndoing(deps, fold, accepted);
  refuseUnknown(fold.context, order);
  const agent = await deps.agents.find(accepted.agent.name);
  if (agent === undefined) throw unknownAgent(deps, accepted.agent.name, 'run');
  refuseKilled(deps, accepted, agent);
  const limits = order.limits ?? {};
  const over = exceededLimits(agent.limits, limits)[0];
  if (over !== undefined && asker === 'submitter') {
    const text = `limits.${over}: expected at most ${agent.limits[over]}, which agent ${agent.name} allows; an operator may go beyond`;
    throw new AppError('invalid_request', text, { field: `limits.${over}` });
  }
  const at = clock.now();
  const hash = ids.hash(accepted.user, 'continue', accepted.run, order.key ?? ids.random());
  const fresh = runIdOfContinuation(at, hash);
  const run = order.key === undefined ? fresh : await runOfKey(deps, accepted.user, hash, fresh);
  const continued = (state: string): Continued => ({ ok: true, run, continues: accepted.run, state });
  const before = await journal.load(run);
  before?.stop();
  if (before !== null) return continued(before.path);
  const body = { v: 1 as const, as: run, at, by: order.by, why: order.why, limits };
  try {
    await bus.publish(subjects.inbox({ run: accepted.run, kind: 'continue', id: hash }), JSON.stringify(body));
    deps.faults.hit('continue.stored');
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'taken') throw error;
  }
  await carryOut(deps, accepted, body);
  return continued('idle.accepted');
}

/** What an order in the inbox asks for; doing it again changes nothing. */
export async function carryOut(deps: NodeDeps, accepted: Accepted, order: InboxBody<'continue'>): Promise<void> {
  const fold = await ended(deps, accepted.run);
  const agent = (await deps.agents.find(accepted.agent.name)) ?? accepted.agent;
  const { key: _key, not_before: _past, limits: _old, retry_of: _other, ...task } = accepted.task;
  const birth: Birth = {
    run: order.as,
    agent,
    user: accepted.user,
    task: { ...task, limits: order.limits },
    limits: overrideLimits(agent.limits, order.limits),
    continues: takenOver(fold.context, accepted, order),
    ...(accepted.above === undefined ? {} : { above: accepted.above }),
    policy: accepted.above === undefined ? deps.policies.version : (accepted.policy ?? 0),
    taint: taintFrom(fold.context),
    ancestors: accepted.ancestors,
    lineage: accepted.lineage,
    at: order.at,
  };
  const wrote = await writeEntryZero(deps, birth);
  deps.faults.hit('continue.entry_written');
  const born = await deps.journal.loadNew(order.as);
  if (born !== null && wrote) await storeStatus(deps, { ...accepted, run: order.as, agent }, born, []);
  born?.stop();
  await publishActivation(deps, birth, { first: wrote });
  deps.faults.hit('continue.activated');
  const { by, why } = order;
  if (wrote) deps.log.info('run.continued', { run_id: order.as, continues: accepted.run, by, why });
}

async function ended(deps: NodeDeps, run: string): Promise<RunFold> {
  const fold = await deps.journal.load(run);
  if (fold === null) throw new AppError('unknown_run', `there is no run ${run}`, { field: 'run' });
  fold.stop();
  const { end, runs } = fold.context;
  if (end === null) {
    throw new AppError('not_ended', `run ${run} has not ended: it is ${fold.path}. It goes on by itself, or see why`);
  }
  if (fold.path.startsWith('completed')) {
    throw new AppError('already_completed', `run ${run} has given its answer: submit a new task`);
  }
  if (runs.length >= MAX_CONTINUED) {
    const text = `run ${run} is number ${runs.length} of runs that continue one another, which is the most: submit a new task`;
    throw new AppError('continued_too_often', text);
  }
  return fold;
}

/** It would be ended as soon as a node took it. */
function refuseKilled({ switches, clock }: NodeDeps, accepted: Accepted, agent: AgentDefinition): void {
  const verdict = switches.over(scopesOf({ ...accepted, agent }), clock.now());
  if (verdict?.mode === 'kill') throw killed(`what run ${accepted.run} belongs to`, verdict);
}

/** What an operator ended, or what was held for one, only an operator lets go on. */
async function refuseUndoing(deps: NodeDeps, fold: RunFold, { run, user }: Accepted): Promise<void> {
  if (fold.protocol.quarantine !== null) {
    throw new AppError('not_allowed', `run ${run} was held for an operator: ask one to let it go on`);
  }
  const last = await deps.journal.mustHave(run, fold.protocol.n);
  const by = last.events.find((event) => event.type === 'cancel' || event.type === 'kill')?.by;
  if (by === undefined || by === user) return;
  throw new AppError('not_allowed', `run ${run} was ended by ${by}: ask an operator to let it go on`);
}

function refuseUnknown(context: RunContext, { repeat_unknown }: ContinueOrder): void {
  const unknown = unknownOutcomes(context);
  if (unknown.length === 0 || repeat_unknown) return;
  const text =
    `nobody knows whether these calls of run ${context.run} took effect: ${unknown.join(', ')}. Find out; ` +
    'if they may be made again, continue with "repeat_unknown": true';
  throw new AppError('outcome_unknown', text, { field: 'repeat_unknown' });
}

/** The old run's own references point one run further back. */
function takenOver(context: RunContext, accepted: Accepted, { by, why }: { by: string; why: string }): Continues {
  const back = (from: number | undefined) => (from === undefined ? 0 : from + 1);
  const { run, plan, last_result, window, decision, calls } = context;
  const open: StepRef[] =
    decision === null
      ? []
      : [{ entry: decision, outcomes: calls.flatMap(({ outcome }) => (outcome === undefined ? [] : [outcome])) }];
  const steps = [...window, ...open].slice(-WINDOW_STEPS);
  const before = accepted.continues?.spent;
  return {
    runs: [context.run, ...context.runs],
    by,
    why,
    window: steps.map((ref) => ({ ...ref, from: back(ref.from) })),
    plan:
      plan === null
        ? null
        : {
            ...plan,
            from: back(plan.from),
            done: Object.fromEntries(
              Object.entries(plan.done).map(([step, [entry, c, from]]) => [step, [entry, c, back(from)]]),
            ),
          },
    last_result: last_result === null ? null : { ...last_result, from: back(last_result.from) },
    // What was in work at the end may have taken effect; of others than idempotent calls a person had to say so.
    open: [
      ...context.open,
      ...calls
        .filter(({ idempotent, status }) => idempotent && status === 'ready')
        .map((call): OpenCall => ({ c: call.c, tool: call.tool, key: idempotencyKey(run, call) })),
    ]
      .slice(-MAX_OPEN_CALLS)
      .map((call) => ({ ...call, from: back(call.from) })),
    spent: {
      steps: context.steps + (before?.steps ?? 0),
      tool_calls: context.tool_calls + (before?.tool_calls ?? 0),
      usage: {
        input_tokens: context.input_tokens + (before?.usage.input_tokens ?? 0),
        output_tokens: context.output_tokens + (before?.usage.output_tokens ?? 0),
        cost_usd: context.cost_usd + (before?.usage.cost_usd ?? 0),
      },
    },
  };
}
