import { z } from 'zod';
import { AnomalySettings } from './anomalies.ts';
import { ApprovalRules } from './approval-rules.ts';
import { Fallback } from './fallback.ts';
import { Limits } from './limits.ts';
import { LoopSettings } from './loops.ts';
import { Name } from './task.ts';

/** How the model of an agent is reached and asked. Keys never stand here: they come from the node's environment. */
export const ModelOptions = z.strictObject({
  /** Address of an OpenAI-compatible server, such as `http://localhost:11434/v1`; the provider's own when absent. */
  base_url: z
    .url({ protocol: /^https?$/ })
    .max(1024)
    .optional(),
  /** Name of the environment variable that holds the key; the provider's usual one when absent. */
  api_key_env: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]{0,120}_API_KEY$/, 'expected the name of an environment variable that ends in _API_KEY')
    .optional(),
  temperature: z.number().min(0).max(2).optional(),
  /** Reads the reply as it is written, so that a server that went silent is noticed; default false. */
  stream: z.boolean().optional(),
});
export type ModelOptions = z.infer<typeof ModelOptions>;

/**
 * How the runs that an agent delegates to in one step are supervised (SUP-8). They are transient: one that fails or runs
 * out of time is started again, as the strategy has it; one that somebody cancelled or killed is not.
 */
export const TeamRules = z.strictObject({
  /** Who is started again with the one that failed: nobody else, all, those after it. */
  strategy: z.enum(['one_for_one', 'one_for_all', 'rest_for_one']).default('one_for_one'),
  /** Restarts within `period_ms`; one more, and the team is given up. */
  intensity: z.int().min(0).max(100).default(1),
  period_ms: z.int().min(1).max(86_400_000).default(60_000),
});
export type TeamRules = z.infer<typeof TeamRules>;

/** How an agent works: its model, the tools that it may see and call, its limits. */
export const AgentDefinition = z.strictObject({
  name: Name,
  /** Raised whenever anything else changes: what is stored under a version stays as it is. */
  version: z
    .string()
    .regex(/^[A-Za-z0-9._+-]{1,32}$/, 'expected 1 to 32 letters, digits, ., _, + or -')
    .default('1'),
  description: z.string().max(1024).default(''),
  /**
   * Who decides: `plan` follows the plan that the task brings; `<provider>/<model>` asks a model, where the provider
   * is `openai`, `anthropic` or `compatible` (any server that speaks OpenAI's chat completions).
   */
  model: z.string().min(1).max(128),
  model_options: ModelOptions.optional(),
  /** What the model is told before the task: its role, its rules. */
  instructions: z.string().max(65_536).optional(),
  /** Tools by name; a trailing `*` matches the rest. Nothing else can be called. */
  tools: z
    .array(
      z
        .string()
        .regex(
          /^(?:[A-Za-z0-9_-]{1,64}\*?|\*)$/,
          'expected the name of a tool, 1 to 64 letters, digits, _ and -; a * at its end matches the rest',
        ),
    )
    .max(256)
    .default([]),
  /** Agents that it may delegate to, by name. */
  delegates_to: z.array(Name).max(64).default([]),
  /** Supervision of those; without it none is started again, and a failure is for the model to see. */
  team: TeamRules.optional(),
  planning: z.boolean().default(false),
  review: z.boolean().default(false),
  limits: Limits.default(Limits.parse({})),
  /** Which of its calls need an approval, and whose; without it the defaults hold (`approval-rules.ts`). */
  approvals: ApprovalRules.optional(),
  /** When loop detection warns, nudges, asks and stops (SUP-4); the defaults when absent. */
  loops: LoopSettings.optional(),
  /** From what use on a run is remarked on (SUP-5); the defaults when absent. */
  anomalies: AnomalySettings.optional(),
  /** What its runs fall back on; without it they end when a model, a budget or a tool does (DEG-1). */
  fallback: Fallback.optional(),
  /** Unit of waits: after the n-th failing step in a row `retry_backoff_ms * 2^n` (RUN-7), and between retries (TOOL-6). */
  retry_backoff_ms: z.int().min(0).max(3_600_000).default(1_000),
});
export type AgentDefinition = z.infer<typeof AgentDefinition>;

/** A definition as it is written down: everything that has a default may be left out. */
export type AgentInput = z.input<typeof AgentDefinition>;

/** Name of the agent that comes with Proctor: nobody else's may have it. */
export const BUILT_IN_AGENT = 'plan';

/** One version of an agent as it is stored; `by` is the node or the person who stored it, `source` where it came from. */
export const AgentRecord = z.strictObject({
  v: z.literal(1),
  definition: AgentDefinition,
  by: z.string().min(1).max(128),
  source: z.string().max(512),
});
export type AgentRecord = z.infer<typeof AgentRecord>;

/** Makes a version that is stored already the current one. */
export const AgentChoice = z.strictObject({
  v: z.literal(1),
  version: AgentDefinition.shape.version.unwrap(),
  by: z.string().min(1).max(128),
});

/** Whether two definitions are the same. Both were parsed, so their fields stand in one order. */
export function sameAgent(a: AgentDefinition, b: AgentDefinition): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** What a run above this one was allowed: nobody gives more than they have. */
export const Allowance = z.strictObject({ agent: Name, tools: AgentDefinition.shape.tools.unwrap() });
export type Allowance = z.infer<typeof Allowance>;

/** Whether an agent's list names a tool. */
export function listsTool(agent: { tools: string[] }, tool: string): boolean {
  return agent.tools.some((pattern) =>
    pattern.endsWith('*') ? tool.startsWith(pattern.slice(0, -1)) : pattern === tool,
  );
}
