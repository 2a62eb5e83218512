import { z } from 'zod';

/**
 * Entries of the ledger, the one ordered log of what is shared by all runs: money and tokens (COST-2), rates (TOOL-8),
 * caps (TOOL-13) and breakers (TOOL-7). An entry asks or tells; what it is answered follows from all entries before it
 * and the server's time of each, so every node that folds the log answers alike. Limits travel in the entry that is
 * measured against them. Version 1; what nodes that only know it would fold otherwise is of version 2, so that they grant
 * nothing rather than something else.
 */

const V = z.literal(1);
const V2 = z.literal(2);
/**
 * Names the reservation, the permit or the probe: an entry that is stored twice counts once. That of a slice of a budget
 * is `<run>:<last entry of its journal then>:<random>`.
 */
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
    /** When whoever reserved it has settled, or is dead; epoch milliseconds. */
    until: z.int().min(0),
    amount: Amount,
    accounts: z.array(AccountRef).min(1).max(16),
  }),
  /** What was really spent, or drawn. */
  z.strictObject({ v: V, kind: z.literal('settle'), id: Id, amount: Amount }),
  /** Nobody knows what was spent: all that was reserved is charged. */
  z.strictObject({ v: V, kind: z.literal('lost'), id: Id, why: z.string().max(256) }),
  /** May this be done now? All buckets or none. */
  z.strictObject({ v: V, kind: z.literal('take'), id: Id, buckets: z.array(BucketRef).min(1).max(8) }),
  /** As `take`, and besides an estimate from each of `estimated`, which its settlement corrects: these may fall into debt. */
  z.strictObject({
    v: V2,
    kind: z.literal('draw'),
    id: Id,
    /** Who waits, the same at each try: whoever came first is let through first. */
    who: Id,
    /** When whoever drew it has settled, or is dead: what was taken then stays taken; epoch milliseconds. */
    until: z.int().min(0),
    buckets: z.array(BucketRef).max(8),
    estimated: z.array(BucketRef).min(1).max(8),
  }),
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

const At = z.number().min(0);

/** A breaker; see `policy/ledger/breakers.ts`. */
export const Breaker = z.strictObject({
  state: z.enum(['closed', 'open', 'half_open']),
  /** In a row, closed. */
  failures: z.int().min(0),
  /** In a row, half open. */
  successes: z.int().min(0),
  /** When it may be tried, epoch milliseconds. */
  until: At,
  /** Probes under way, and when each is given up. */
  probes: z.record(Id, At),
});
export type Breaker = z.infer<typeof Breaker>;

export const Account = z.strictObject({
  spent: Amount,
  held: Amount,
  /** When the account of a later period replaces it, epoch milliseconds; null: never. */
  until: At.nullable(),
  /** When something was reserved in it last, epoch milliseconds. */
  used_at: At,
});
export type Account = z.infer<typeof Account>;

export const Reservation = z.strictObject({
  run: z.string(),
  epoch: z.int(),
  until: At,
  amount: Amount,
  /** Of its accounts. */
  keys: z.array(z.string()),
  /** Epoch milliseconds. */
  at: At,
});
export type Reservation = z.infer<typeof Reservation>;

export const Bucket = z.strictObject({
  /** Below 0: more was used than was there. */
  tokens: z.number(),
  /** When it held that many, epoch milliseconds. */
  at: At,
  /** When it is full again and need not be kept. */
  full_at: At,
});
export type Bucket = z.infer<typeof Bucket>;

/** What was drawn and is not settled yet; see `policy/ledger/draws.ts`. */
export const Draw = z.strictObject({
  /** Epoch milliseconds. */
  until: At,
  /** From each bucket, and the most that it has held since. */
  parts: z.array(BucketRef.extend({ most: z.number() })),
});
export type Draw = z.infer<typeof Draw>;

/** Who waits before a bucket, for how much, and how long the place is kept, epoch milliseconds. */
export const Place = z.strictObject({ who: Id, take: z.int().min(1), until: At });
export type Place = z.infer<typeof Place>;

/** The state of the ledger behind entry `seq`, to go on from: what the fold of all entries up to it comes to. */
export const LedgerSnapshot = z.strictObject({
  /** 2 when it holds what version 1 does not know: draws, lines or debts. */
  v: z.union([V, V2]),
  seq: z.int().min(0),
  accounts: z.array(z.tuple([z.string(), Account])),
  open: z.array(z.tuple([z.string(), Reservation])),
  buckets: z.array(z.tuple([z.string(), Bucket])),
  breakers: z.array(z.tuple([z.string(), Breaker])),
  draws: z.array(z.tuple([z.string(), Draw])).optional(),
  /** By bucket. */
  lines: z.array(z.tuple([z.string(), z.array(Place)])).optional(),
});
export type LedgerSnapshot = z.infer<typeof LedgerSnapshot>;

/** Says that all parts of a snapshot are stored. */
export const SnapshotHead = z.strictObject({
  v: V,
  seq: z.int().min(0),
  parts: z.int().min(1).max(100_000),
  /** Sequence of its first part in their stream. */
  first: z.int().min(1),
});
export type SnapshotHead = z.infer<typeof SnapshotHead>;

/** A breaker as nodes tell of it. */
export const BreakerInfo = Breaker.extend({ target: z.string(), probes: z.int().min(0) });
export type BreakerInfo = z.infer<typeof BreakerInfo>;

/** An account of the period that runs: `period` is its day, month or hour, or `ever`. */
export const AccountInfo = z.object({
  scope: z.string(),
  period: z.string(),
  spent: Amount,
  held: Amount,
  until: At.nullable(),
});
export type AccountInfo = z.infer<typeof AccountInfo>;
