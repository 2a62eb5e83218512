import { z } from 'zod';
import { AppError, describeFaults } from './errors.ts';
import { BreakerRule } from './ledger-wire.ts';
import { Name } from './task.ts';
import { ArgumentPath } from './tool.ts';

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

/** Most that runs into a bucket in a millisecond. */
const FASTEST = 1_000_000;

/**
 * A bucket for each tool or model that is matched; a call that finds too little in it waits. It holds calls, or the
 * tokens of a model: what a call may use is taken before it, and what it did use put in the place of that after it. A
 * call that may use more than the bucket can hold waits for a full one, and leaves it in debt.
 */
export const Rate = z
  .strictObject({
    for: Target,
    /** What is counted; `tokens` are input and output together, of models only. Default `calls`. */
    unit: z.enum(['calls', 'tokens']).optional(),
    /** One bucket for all, or one for each user. */
    per: z.enum(['cluster', 'user']).default('cluster'),
    /** Most that it holds, and what is in it at first. */
    capacity: z.int().min(1).max(1_000_000_000),
    /** So many more, bit by bit, in every so many milliseconds. Default 1. */
    refill: z.int().min(1).max(1_000_000_000).optional(),
    every_ms: z.int().min(1).max(86_400_000),
  })
  .check((ctx) => {
    const { for: target, unit, refill = 1, every_ms } = ctx.value;
    const fault = (field: string, message: string) =>
      void ctx.issues.push({ code: 'custom', input: ctx.value, path: [field], message });
    if (unit === 'tokens' && !target.startsWith('model:')) {
      fault('unit', 'expected calls, as only models use tokens: for model:NAME it may be tokens');
    }
    if (refill > every_ms * FASTEST) fault('refill', `expected at most ${FASTEST} a millisecond of every_ms`);
  });
export type Rate = z.infer<typeof Rate>;

/** Most of a tool or model in an hour, over all runs; calls beyond wait for the next full hour. */
export const Cap = z
  .strictObject({
    for: Target,
    calls: z.int().min(0).max(1_000_000_000).optional(),
    /** What a model's calls cost, or a tool's calls move as their amount says. */
    usd: z.number().min(0).max(1_000_000).optional(),
    /** The argument of a tool that is the amount in USD; the one that the tool names as its amount when absent. */
    amount_field: ArgumentPath.optional(),
  })
  .check((ctx) => {
    const { for: target, calls, usd, amount_field } = ctx.value;
    const fault = (path: string[], message: string) =>
      void ctx.issues.push({ code: 'custom', input: ctx.value, path, message });
    if (calls === undefined && usd === undefined) fault([], 'expected calls, usd or both: it caps nothing');
    if (amount_field === undefined) return;
    if (usd === undefined) fault(['amount_field'], 'expected usd beside it: only what is counted in USD has an amount');
    if (!target.startsWith('tool:')) fault(['amount_field'], 'expected nothing: a model has no arguments');
  });
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
