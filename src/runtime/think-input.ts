import { listsTool } from '../core/agent.ts';
import { AppError } from '../core/errors.ts';
import { isPlain, modelOf, withModel } from '../core/fallback.ts';
import type { Json } from '../core/json.ts';
import type { LoopVerdict } from '../core/loops.ts';
import type { Plan } from '../core/plan.ts';
import type { ToolDefinition } from '../core/tool.ts';
import { PLAIN_NOTICE } from '../policy/degrade.ts';
import { isStale } from '../policy/freshness.ts';
import { nudgeOf } from '../policy/loops/verdict.ts';
import type { CompiledPolicy } from '../policy/permissions/compile.ts';
import { isOffered, isTrusted, promotionText } from '../policy/permissions/judge.ts';
import { gateDelegation } from '../policy/tool-gate.ts';
import type { Observation, ThinkInput, WindowStep } from '../ports/model.ts';
import type { EffectScope } from './effects.ts';
import { offeredTools } from './live-tools.ts';
import { type EntryReader, readerAt, readStep, resultOf } from './steps.ts';
import { wholeResult } from './whole-results.ts';

/** What a model is shown of a run: read from the journal when it asks, never kept. */

/** Most output tokens of a plan (RUN-4). */
const PLANNING_TOKENS = 2_000;

export async function thinkInput(
  scope: EffectScope,
  phase: ThinkInput['phase'],
  loop: LoopVerdict | null,
): Promise<ThinkInput> {
  const { accepted, context, effort } = scope;
  const { limits } = context;
  const last = isPlain(context);
  const plan = context.plan === null ? null : await planOf(scope);
  const draft = phase === 'reviewing' ? await draftOf(scope) : undefined;
  return {
    run: context.run,
    agent: withModel(accepted.agent, modelOf(accepted.agent, context)),
    user: accepted.user,
    task: accepted.task,
    phase,
    plan,
    window: async () => (await windowOf(scope)).map((step) => withAge(step, scope.deps.clock.now())),
    tools: () => (last ? Promise.resolve([]) : toolsOf(scope)),
    delegates: last ? [] : delegatesOf(scope),
    ...(draft === undefined ? {} : { draft }),
    ...noticeOf(last, loop),
    limits,
    maxOutputTokens: maxOutputOf(accepted, context, phase),
    remaining: remainingOf(scope),
    step: context.steps + 1,
    get signal() {
      return effort.signal;
    },
  };
}

/** The last steps, oldest first. */
export async function windowOf(scope: EffectScope): Promise<WindowStep[]> {
  const steps = await Promise.all(scope.context.window.map((ref) => readStep(ref, readerFor(scope, ref.from))));
  return steps.filter((step) => step !== null);
}

/** Says of each result whether it is too old to be acted on. */
function withAge(step: WindowStep, now: number): WindowStep {
  const isOld = ({ at, valid_ms }: Observation) => at !== undefined && isStale({ at, valid_ms }, now);
  if (!step.observations.some(isOld)) return step;
  return { ...step, observations: step.observations.map((one) => (isOld(one) ? { ...one, stale: true } : one)) };
}

function noticeOf(last: boolean, loop: LoopVerdict | null): Pick<ThinkInput, 'notice'> {
  if (last) return { notice: PLAIN_NOTICE };
  return loop === null || loop.rung === 'warn' ? {} : { notice: nudgeOf(loop) };
}

/** Most output tokens that a model is asked for. */
export function maxOutputOf(
  { agent }: EffectScope['accepted'],
  context: EffectScope['context'],
  phase: ThinkInput['phase'],
): number {
  const most = context.limits.output_tokens_per_step;
  if (isPlain(context)) return Math.min(most, agent.fallback?.plain?.output_tokens ?? most);
  return phase === 'planning' ? Math.min(most, PLANNING_TOKENS) : most;
}

function readerFor({ deps, context, read }: EffectScope, from: number | undefined): EntryReader {
  return readerAt(from, read, deps.journal, context);
}

/** The agents that it may delegate to now: nobody is offered who would be refused. */
function delegatesOf({ deps, accepted, context }: EffectScope): ThinkInput['delegates'] {
  const { agent, ancestors } = accepted;
  const { children, limits } = context;
  return agent.delegates_to.flatMap((to) => {
    const known = deps.agents.get(to);
    const refused = gateDelegation({
      agent,
      to,
      known: known !== undefined,
      depth: ancestors.length,
      children,
      limits,
    });
    return known === undefined || refused !== null ? [] : [{ name: to, description: known.description }];
  });
}

/** The tools that the agent's list names, and those that its patterns find; each once. Nobody is offered what the policy never allows. */
async function toolsOf(scope: EffectScope): Promise<ToolDefinition[]> {
  const { deps, accepted } = scope;
  const { agent, above = [] } = accepted;
  const named = agent.tools.filter((name) => !name.endsWith('*'));
  const [found, listed] = await Promise.all([
    Promise.all(named.map((name) => deps.tools.find(name))),
    named.length === agent.tools.length ? [] : offeredTools(deps),
  ]);
  const byName = new Map<string, ToolDefinition>();
  for (const definition of found) if (definition !== null) byName.set(definition.name, definition);
  for (const definition of listed) {
    if (!byName.has(definition.name) && listsTool(agent, definition.name)) byName.set(definition.name, definition);
  }
  const policy = await deps.policies.over(accepted.policy);
  const agents = [agent.name, ...above.map((one) => one.agent)];
  const mine = [...byName.values()].filter((definition) => above.every((one) => listsTool(one, definition.name)));
  tellWithheld(scope, policy, agents, mine);
  return mine.filter((definition) => isOffered({ policy, user: accepted.user, agents, definition }));
}

/**
 * A model does not ask for what it is not shown, so nothing else would tell why an agent leaves a tool alone: said once a
 * run, before its model is asked for the first time.
 */
function tellWithheld(
  { context, log }: EffectScope,
  policy: CompiledPolicy,
  agents: string[],
  tools: ToolDefinition[],
) {
  if (context.thinks > 0) return;
  const [first, ...more] = tools.filter((definition) => !isTrusted({ policy, agents, definition }));
  if (first === undefined) return;
  // Whoever applied a policy knows what it keeps from whom.
  const tell = policy.version === 0 ? log.warn : log.info;
  tell.call(log, 'tools.withheld', {
    tools: [first, ...more].map(({ name }) => name),
    ...policy.level(agents),
    todo: promotionText({ policy, agents, definition: first }),
  });
}

function remainingOf({ deps, context }: EffectScope): ThinkInput['remaining'] {
  const { limits } = context;
  const left = (limit: number, used: number) => Math.max(0, limit - used);
  return {
    steps: left(limits.steps, context.steps),
    ms: context.deadline_at === null ? limits.wall_ms : left(context.deadline_at, deps.clock.now()),
    tokens: left(limits.tokens, context.input_tokens + context.output_tokens),
    cost_usd: left(limits.cost_usd, context.cost_usd),
    tool_calls: left(limits.tool_calls, context.tool_calls),
  };
}

async function planOf(scope: EffectScope): Promise<ThinkInput['plan']> {
  const plan = await planInForce(scope);
  const done = scope.context.plan?.done ?? {};
  if (plan === null) return null;
  return {
    plan,
    done: new Set(Object.keys(done)),
    result: async (step) => {
      const where = Object.hasOwn(done, step) ? done[step] : undefined;
      if (where === undefined) throw new AppError('bad_reference', `plan step "${step}" has no result yet`);
      const [entry, c, from] = where;
      const { deps, context } = scope;
      const run = from === undefined ? context.run : (context.runs[from] ?? context.run);
      return resultOf(c, entry, readerFor(scope, from), (ref) => wholeResult(deps, run, c, ref));
    },
  };
}

/** The task's own plan, or the last one that the model made. */
export async function planInForce(scope: EffectScope): Promise<Plan | null> {
  const { context, accepted } = scope;
  if (context.plan === null) return null;
  const { entry, from } = context.plan;
  if (entry === 0) return accepted.task.plan ?? null;
  const decided = (await readerFor(scope, from)(entry)).events.find((event) => event.type === 'decided');
  return decided?.decision.action === 'plan' ? decided.decision.plan : null;
}

async function draftOf({ context, read }: EffectScope): Promise<Json | undefined> {
  if (context.answer === null) return undefined;
  const decided = (await read(context.answer)).events.find((event) => event.type === 'decided');
  return decided?.decision.action === 'final_answer' ? decided.decision.answer : undefined;
}
