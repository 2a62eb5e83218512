import { z } from 'zod';
import { Limits } from './limits.ts';
import { Name } from './task.ts';

/** How an agent works: its model, the tools that it may see and call, its limits. */
export const AgentDefinition = z.strictObject({
  name: Name,
  version: z.string().min(1).max(32).default('1'),
  description: z.string().max(1024).default(''),
  /** The model adapter that decides: `plan` follows the plan that the task brings. */
  model: z.string().min(1).max(128),
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
