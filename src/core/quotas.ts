import { z } from 'zod';
import { AppError, describeFaults } from './errors.ts';
import { BreakerRule } from './ledger-wire.ts';
import { Name } from './task.ts';

/**
 * What all runs of the cluster share, and how much of it there is: money and tokens (COST-2), rates (TOOL-8), caps
 * (TOOL-13) and breakers (TOOL-7). What a single run may use stands in the limits of its agent.
 */

/** Most of each; what is absent is not limited. */
export const Budget = z.strictObject({
  usd: z.number().min(0).max(1_000_000).optional(),
  /** Input and output together. */
  tokens: z.int().min(0).max(1_000_000_000_000).optional(),
});
export type Budget = z.infer<typeof Budget>;

/** Days and months begin at 00:00 UTC. */
export const Budgets = z.strictObject({ day: Budget.optional(), month: Budget.optional() });
export type Budgets = z.infer<typeof Budgets>;

/** A tool or a model; a `*` at the end matches the rest. */
const Target = z
  .string()
  .max(160)
  .regex(
    /^(?:tool:[A-Za-z0-9_-]{0,64}\*?|model:[^\s*]{0,128}\*?)$/,
    'expected tool:NAME or model:NAME, perhaps with one * at its end',
  );

/** A token bucket for each tool or model that is matched; a call that finds it empty waits. */
export const Rate = z.strictObject({
  for: Target,
  /** One bucket for all, or one for each user. */
  per: z.enum(['cluster', 'user']).default('cluster'),
  capacity: z.int().min(1).max(1_000_000),
  /** One more token every so many milliseconds. */
  every_ms: z.int().min(1).max(86_400_000),
});
export type Rate = z.infer<typeof Rate>;

/** Most calls of a tool in an hour, over all runs; calls beyond wait for the next full hour. */
export const Cap = z.strictObject({ for: Target, calls: z.int().min(0).max(1_000_000_000) });
export type Cap = z.infer<typeof Cap>;

export const BreakerSettings = z.strictObject({
  for: Target,
  /** Null: no breaker. */
  rule: BreakerRule.nullable(),
});
export type BreakerSettings = z.infer<typeof BreakerSettings>;

export const Quotas = z.strictObject({
  /** By name of the user; `*` is for whoever is not named. */
  users: z.record(z.union([Name, z.literal('*')]), Budgets).default({ '*': { day: { usd: 10 } } }),
  /** By name of the agent, for all of its runs together. */
  agents: z.record(Name, Budgets).default({}),
  /** For a run with all that it delegates to. */
  team: Budget.optional(),
  rates: z.array(Rate).max(500).default([]),
  caps: z.array(Cap).max(500).default([]),
  /** The first that matches holds; the defaults stand behind them. */
  breakers: z.array(BreakerSettings).max(500).default([]),
});
export type Quotas = z.infer<typeof Quotas>;
/** As they are written down: what has a default may be left out. */
export type QuotasInput = z.input<typeof Quotas>;

/** Throws AppError `bad_quotas` with every fault. */
export function quotasFrom(input: QuotasInput | undefined): Quotas {
  const parsed = Quotas.safeParse(input ?? {});
  if (parsed.success) return parsed.data;
  const { message, field } = describeFaults(parsed.error, 'quotas');
  throw new AppError('bad_quotas', `the quotas are not valid: ${message}`, { field });
}
