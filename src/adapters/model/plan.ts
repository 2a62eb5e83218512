import { type Decision, MAX_PARALLEL_CALLS, NO_USAGE } from '../../core/decision.ts';
import { AppError, clip } from '../../core/errors.ts';
import { depthOf, type Json, MAX_DEPTH } from '../../core/json.ts';
import { dependenciesOf, type Plan, type PlanStep } from '../../core/plan.ts';
import type { Model, ThinkInput } from '../../ports/model.ts';
import { type Allowance, type OpenQueries, queriesHere, TIME_LIMIT_MS } from './query.ts';
import { type ReadResult, resolveReferences } from './references.ts';

/**
 * The model that needs no model (RUN-4): it follows the plan that the task brings. Every decision asks for all steps
 * whose dependencies are done, in plan order; a step that failed is simply not done, so the next decision asks for it
 * again, until the run's limit of failing steps ends it. The same input gives the same decision, at no cost.
 */

/** Characters of resolved arguments in one decision: it must fit a journal entry, further steps wait for the next. */
const MAX_DECISION_CHARS = 400_000;
const MODEL = 'plan';

/**
 * Follows plans. Throws AppError `no_plan` or `bad_reference`, neither retryable.
 * @param open where queries are evaluated @param now by which their time is counted, milliseconds
 */
export function planModel(open: OpenQueries = queriesHere, now: () => number = () => performance.now()): Model {
  return {
    async think(input) {
      const queries = open(input.signal);
      try {
        return { decision: await decide(input, { queries, now }), usage: NO_USAGE, model: MODEL };
      } finally {
        await queries.close();
      }
    },
  };
}

/** How the queries of one decision are evaluated. */
type Means = Pick<Allowance, 'queries' | 'now'>;

async function decide(input: ThinkInput, means: Means): Promise<Decision> {
  if (input.signal.aborted) throw new AppError('aborted', 'the run no longer waits for this decision');
  const plan = input.plan?.plan ?? input.task.plan;
  if (plan === undefined) {
    throw new AppError('no_plan', 'the model "plan" follows the plan of a task: give the task a `plan` with its steps');
  }
  if (input.phase === 'planning') return { action: 'plan', plan };
  if (input.phase === 'reviewing') return { action: 'review', verdict: 'accept' };

  const done = input.plan?.done ?? new Set<string>();
  const read = remembering(input.plan?.result);
  const open = plan.steps.filter((step) => !done.has(step.id));
  if (open.length === 0) return { action: 'final_answer', answer: await answerOf(plan, read, input, means) };
  const ready = open.filter((step) => dependenciesOf(step).every((id) => done.has(id)));
  await refuseHopeless(ready, input);
  return callReady(ready, read, means);
}

/**
 * A step is asked for again only when its last call says that this can help. A call that a person counted as failed, or
 * that was refused, would otherwise be made once more under a new key, without anybody's consent.
 */
async function refuseHopeless(ready: PlanStep[], input: ThinkInput): Promise<void> {
  const last = (await input.window()).at(-1);
  // Who lets a run go on wants what failed before tried anew.
  if (last?.earlier === true) return;
  for (const { plan_step, status, error } of last?.observations ?? []) {
    if (status === 'ok' || error?.retryable === true || !ready.some((step) => step.id === plan_step)) continue;
    throw new AppError('step_failed', `plan step "${plan_step}" failed: ${error?.message ?? status}`, {
      field: `plan.steps.${plan_step}`,
    });
  }
}

async function callReady(ready: PlanStep[], read: ReadResult, means: Means): Promise<Decision> {
  const calls: { tool: string; args: Record<string, Json>; plan_step: string }[] = [];
  const reasons: string[] = [];
  let left = MAX_DECISION_CHARS;
  const time = { ms: TIME_LIMIT_MS };
  for (const step of ready.slice(0, MAX_PARALLEL_CALLS)) {
    const allowance = { left: calls.length === 0 ? left : MAX_DECISION_CHARS, time, ...means };
    let args: Record<string, Json>;
    try {
      args = (await resolved(step.args, `${step.id}.args`, read, allowance)) as Record<string, Json>;
    } catch (thrown) {
      // What came before it took the time: the next decision begins with it.
      if (time.ms <= 0 && calls.length > 0) break;
      throw thrown;
    }
    left -= MAX_DECISION_CHARS - allowance.left;
    if (left < 0 && calls.length > 0) break;
    calls.push({ tool: step.tool, args, plan_step: step.id });
    if (step.reasoning !== undefined) reasons.push(`${step.id}: ${step.reasoning}`);
  }
  return {
    action: 'tool_call',
    calls,
    ...(reasons.length === 0 ? {} : { reasoning: clip(reasons.join('\n'), 16_384) }),
  };
}

async function answerOf(plan: Plan, read: ReadResult, input: ThinkInput, means: Means): Promise<Json> {
  const last = plan.steps.at(-1);
  if (plan.answer === undefined && last !== undefined) {
    const large = await largeResultOf(last, input);
    if (large !== null) return large;
  }
  const whole = last === undefined ? null : { $ref: last.id };
  const answer = plan.answer === undefined ? whole : plan.answer;
  return resolved(answer, 'answer', read, { left: MAX_DECISION_CHARS, time: { ms: TIME_LIMIT_MS }, ...means });
}

/**
 * What stands for a result that is too large to be an answer, when the plan names no answer: where it lies, and how it
 * begins. Failing now would throw away a run whose work is done.
 */
async function largeResultOf(step: PlanStep, input: ThinkInput): Promise<Json> {
  for (const { observations } of (await input.window()).toReversed()) {
    const seen = observations.find((one) => one.plan_step === step.id && one.status === 'ok');
    if (seen === undefined) continue;
    if (seen.large !== undefined) return { step: step.id, call: seen.c, bytes: seen.large.bytes, preview: seen.result };
    const chars = JSON.stringify(seen.result).length;
    if (chars <= MAX_DECISION_CHARS) return null;
    return { step: step.id, call: seen.c, bytes: chars, preview: clip(JSON.stringify(seen.result), 2_000) };
  }
  return null;
}

async function resolved(value: Json, path: string, read: ReadResult, allowance: Allowance): Promise<Json> {
  const out = await resolveReferences(value, path, read, allowance);
  if (depthOf(out) > MAX_DEPTH) {
    throw new AppError(
      'bad_reference',
      `${path}: with its references resolved it is nested more than ${MAX_DEPTH} deep`,
      {
        field: path,
      },
    );
  }
  return out;
}

/** Keeps the result that was read last, and no other: each may be large. */
function remembering(read: ReadResult | undefined): ReadResult {
  let last: { step: string; result: Promise<Json> } | undefined;
  return (step) => {
    if (last?.step !== step) {
      const result =
        read?.(step) ?? Promise.reject(new AppError('bad_reference', `step "${step}" has no result to refer to`));
      last = { step, result };
    }
    return last.result;
  };
}
