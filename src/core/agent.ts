import { z } from 'zod';
import { Limits } from './limits.ts';
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

/** How an agent works: its model, the tools that it may see and call, its limits. */
export const AgentDefinition = z.strictObject({
  name: Name,
  version: z.string().min(1).max(32).default('1'),
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
    .array(z.string().regex(/^(?:[A-Za-z0-9_-]{1,64}\*?|\*)$/))
    .max(256)
    .default([]),
  /** Agents that it may delegate to, by name. */
  delegates_to: z.array(Name).max(64).default([]),
  planning: z.boolean().default(false),
  review: z.boolean().default(false),
  limits: Limits.default(Limits.parse({})),
  /** Wait after the n-th failing step in a row: `retry_backoff_ms * 2^n` (RUN-7). */
  retry_backoff_ms: z.int().min(0).max(3_600_000).default(1_000),
});
export type AgentDefinition = z.infer<typeof AgentDefinition>;

/** Whether an agent's list names a tool. */
export function listsTool(agent: { tools: string[] }, tool: string): boolean {
  return agent.tools.some((pattern) =>
    pattern.endsWith('*') ? tool.startsWith(pattern.slice(0, -1)) : pattern === tool,
  );
}
