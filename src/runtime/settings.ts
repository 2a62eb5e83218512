import { z } from 'zod';

/** What an operator may set for a node; each with its default. Milliseconds unless said otherwise. */
export const NodeSettings = z.strictObject({
  /** How long a silent node keeps its runs: 10 s on one server, 30 s on three, 1 to 2 s in drills. */
  lease_ms: z.int().min(500).max(600_000).default(10_000),
  /** Runs in work per agent type (RUN-12); parked ones do not count. */
  slots: z.int().min(1).max(10_000).default(10),
  /**
   * Of those, runs of one user at most, in all classes; default all. It leaves places to others where runs are long.
   * Users whose names fall into one lane, one in 16, share it.
   */
  user_slots: z.int().min(1).max(10_000).optional(),
  /** Runs of one agent that may wait for a place; a task above that is refused, `queue_full`. */
  queue_limit: z.int().min(1).max(10_000_000).default(100_000),
  /** Of those, runs of one user; default half of them. Counted by lane, like `user_slots`. */
  user_queue_limit: z.int().min(1).max(10_000_000).optional(),
  /** A run that waits longer than this is parked. */
  park_after_ms: z.int().min(0).max(600_000).default(30_000),
  /** How long after its journalled start a call that must not be repeated may still be begun by a worker. */
  start_window_ms: z.int().min(100).max(600_000).default(5_000),
  /** How far clocks may be apart before a start-by is trusted to have passed everywhere. */
  clock_tolerance_ms: z.int().min(0).max(60_000).default(1_000),
  /** Claims in a row without progress after which a run ends `crash_limit` (SUP-3): the first, and three restarts. */
  claims_without_progress: z.int().min(1).max(1_000_000).default(4),
  /** Entries between two snapshots. */
  snapshot_every: z.int().min(1).max(10_000).default(50),
  /** How often changed statuses are published. */
  status_every_ms: z.int().min(1).max(60_000).default(200),
  /** A node that could not read the kill switches for so long begins nothing new (SUP-7). */
  switch_stale_ms: z.int().min(500).max(60_000).default(10_000),
  /** How long a graceful stop waits for calls that must not be cut off. */
  drain_ms: z.int().min(0).max(600_000).default(25_000),
  /** How long the event loop may stand still before that is logged, with what blocks it. */
  block_warn_ms: z.int().min(50).max(600_000).default(1_000),
  /** How long before the process ends, for its runs to go on at once elsewhere; 0: never. Default: three leases. */
  block_exit_ms: z.int().min(0).max(3_600_000).optional(),
});
export type NodeSettings = z.infer<typeof NodeSettings>;
