import { z } from 'zod';

/**
 * The limits of one run (RUN-5, RUN-7). Reaching a limit is allowed, passing it is not: with `steps: 20` the 21st step
 * is refused. A task may only lower what its agent allows.
 */
export const Limits = z.strictObject({
  steps: z.int().min(1).max(100_000).default(20),
  /** Wall clock of the run, milliseconds; time spent waiting for a person does not count (RUN-6). */
  wall_ms: z.int().min(100).max(2_592_000_000).default(300_000),
  /** One model call or one tool call, milliseconds; never more than the run has left. */
  step_ms: z.int().min(10).max(86_400_000).default(30_000),
  output_tokens_per_step: z.int().min(1).max(1_000_000).default(4_000),
  tokens: z.int().min(1).max(1_000_000_000).default(100_000),
  cost_usd: z.number().min(0).max(1_000_000).default(1),
  tool_calls: z.int().min(0).max(1_000_000).default(100),
  /** Failing steps in a row after which the run ends `max_retries`. */
  failing_steps: z.int().min(1).max(100_000).default(3),
  /** Deepest chain of delegated runs that it may stand in as the one who delegates (SUP-8). */
  depth: z.int().min(0).max(16).default(5),
  /** Most runs that it may delegate to (SUP-8); those that are started again do not count. */
  children: z.int().min(0).max(1_000).default(20),
});
export type Limits = z.infer<typeof Limits>;

/** What a task may say about its limits: any of them, each at most what the agent allows. */
export const LimitOverrides = z
  .strictObject({
    steps: Limits.shape.steps.unwrap(),
    wall_ms: Limits.shape.wall_ms.unwrap(),
    step_ms: Limits.shape.step_ms.unwrap(),
    output_tokens_per_step: Limits.shape.output_tokens_per_step.unwrap(),
    tokens: Limits.shape.tokens.unwrap(),
    cost_usd: Limits.shape.cost_usd.unwrap(),
    tool_calls: Limits.shape.tool_calls.unwrap(),
    failing_steps: Limits.shape.failing_steps.unwrap(),
    depth: Limits.shape.depth.unwrap(),
    children: Limits.shape.children.unwrap(),
  })
  .partial();
export type LimitOverrides = z.infer<typeof LimitOverrides>;

export const DEFAULT_LIMITS: Limits = Limits.parse({});

/** The names of the limits that the task sets above what the agent allows. */
export function exceededLimits(agent: Limits, task: LimitOverrides): (keyof Limits)[] {
  return (Object.keys(task) as (keyof Limits)[]).filter((name) => (task[name] ?? 0) > agent[name]);
}

export function applyLimits(agent: Limits, task: LimitOverrides | undefined): Limits {
  return overridden(agent, task, (allowed, wanted) => Math.min(allowed, wanted));
}

/** What an operator says goes, also above what the agent allows. */
export function overrideLimits(agent: Limits, operator: LimitOverrides | undefined): Limits {
  return overridden(agent, operator, (_allowed, wanted) => wanted);
}

function overridden(
  agent: Limits,
  by: LimitOverrides | undefined,
  choose: (allowed: number, wanted: number) => number,
): Limits {
  if (by === undefined) return agent;
  const out: Limits = { ...agent };
  for (const name of Object.keys(by) as (keyof Limits)[]) out[name] = choose(agent[name], by[name] ?? agent[name]);
  return out;
}
