import { z } from 'zod';

/**
 * Entries of the ledger, the one ordered log of what is shared by all runs: money and tokens (COST-2), rates (TOOL-8),
 * caps (TOOL-13) and breakers (TOOL-7). An entry asks or tells; what it is answered follows from all entries before it
 * and the server's time of each, so every node that folds the log answers alike. Limits travel in the entry that is
 * measured against them. Version 1.
 */

const V = z.literal(1);
/** Names the reservation, the permit or the probe: an entry that is stored twice counts once. */
const Id = z.string().min(1).max(256);

/** USD in whole billionths, so that sums are exact: a token of the cheapest model costs tens of them. */
const Nanos = z.int().min(0);

/** When an account begins anew: at 00:00 UTC of the day, of the first of the month, at the full hour, or never. */
export const Period = z.enum(['hour', 'day', 'month', 'ever']);
export type Period = z.infer<typeof Period>;

/** An account that a reservation goes to, and what it may hold; without a limit it is counted only. */
export const AccountRef = z.strictObject({
  /** Such as `user:alice`, `agent:invoices`, `team:<root run>`, `run:<run>`, `cap:<tool>`. */
  scope: z.string().min(1).max(256),
  period: Period,
  max_nanos: Nanos.optional(),
  max_tokens: z.int().min(0).optional(),
  /** Most calls, deletions, messages. */
  max_count: z.int().min(0).optional(),
});
export type AccountRef = z.infer<typeof AccountRef>;

/** What is reserved, or was spent. */
export const Amount = z.strictObject({
  nanos: Nanos.default(0),
  tokens: z.int().min(0).default(0),
  count: z.int().min(0).default(0),
});
export type Amount = z.infer<typeof Amount>;

/** A token bucket: `capacity` at most, one more every `every_ms`. */
export const BucketRef = z.strictObject({
  scope: z.string().min(1).max(256),
  capacity: z.int().min(1).max(1_000_000_000),
  every_ms: z.number().min(0.000_001).max(86_400_000),
  take: z.int().min(1).max(1_000_000_000),
});
export type BucketRef = z.infer<typeof BucketRef>;

/** When a breaker opens, for how long, and what closes it again. */
export const BreakerRule = z.strictObject({
  /** Failures in a row. */
  failures: z.int().min(1).max(1_000),
  open_ms: z.int().min(1).max(86_400_000),
  /** Successes in a row, half open, after which it closes; as many probes are let through at once. */
  successes: z.int().min(1).max(1_000),
});
export type BreakerRule = z.infer<typeof BreakerRule>;

const Target = z.string().min(1).max(256);

export const LedgerEntry = z.discriminatedUnion('kind', [
  /** May this be spent? All accounts or none. */
  z.strictObject({
    v: V,
    kind: z.literal('reserve'),
    id: Id,
    run: z.string().max(256),
    /** The claim it was made under: what an older claim left open is charged by the next owner. */
    epoch: z.int().min(0),
    amount: Amount,
    accounts: z.array(AccountRef).min(1).max(16),
  }),
  /** What was really spent. */
  z.strictObject({ v: V, kind: z.literal('settle'), id: Id, amount: Amount }),
  /** Nobody knows what was spent, as the owner died over it: it is charged at what was reserved. */
  z.strictObject({ v: V, kind: z.literal('lost'), id: Id, why: z.string().max(256) }),
  /** May this be done now? All buckets or none. */
  z.strictObject({ v: V, kind: z.literal('take'), id: Id, buckets: z.array(BucketRef).min(1).max(8) }),
  /** May a breaker that is not closed be tried? */
  z.strictObject({ v: V, kind: z.literal('probe'), id: Id, target: Target, rule: BreakerRule }),
  /** How a call went; `probe` names the one that it was. */
  z.strictObject({
    v: V,
    kind: z.literal('outcome'),
    target: Target,
    ok: z.boolean(),
    probe: Id.optional(),
    rule: BreakerRule,
  }),
  /** An operator closes a breaker. */
  z.strictObject({
    v: V,
    kind: z.literal('reset'),
    target: Target,
    by: z.string().min(1).max(128),
    why: z.string().max(1_024),
  }),
]);
export type LedgerEntry = z.infer<typeof LedgerEntry>;
export type LedgerEntryOf<K extends LedgerEntry['kind']> = Extract<LedgerEntry, { kind: K }>;
