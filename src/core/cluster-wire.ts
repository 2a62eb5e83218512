import { z } from 'zod';
import { RunId } from './events.ts';
import { ToolDefinition, ToolFields } from './tool.ts';

/** What nodes answer about the cluster: its nodes, its tools, and whether all is well. Version 1. */

/** What an operator may tell one node: see `NodeReport.state`. */
export const NodeOrder = z.enum(['cordon', 'drain', 'uncordon']);
export type NodeOrder = z.infer<typeof NodeOrder>;

/** `at` in epoch milliseconds. */
export const GivenOrder = z.object({
  order: NodeOrder,
  by: z.string().min(1).max(128),
  why: z.string().max(1024),
  at: z.int(),
});
export type GivenOrder = z.infer<typeof GivenOrder>;

/** When the event loop of a node stood still: nothing on the node went on. */
export const BlockedLoop = z.object({
  /** Epoch milliseconds. */
  at: z.int(),
  ms: z.int(),
  /** The run that did it; absent when it was no run, or nobody can tell. */
  run_id: z.string().max(256).optional(),
  agent: z.string().max(256).optional(),
  doing: z.string().max(256).optional(),
});

export type BlockedLoop = z.infer<typeof BlockedLoop>;

/** How often something was looked for in a cache since the node started. */
export const CacheFigures = z.object({ hits: z.int(), misses: z.int() });
export type CacheFigures = z.infer<typeof CacheFigures>;

/** A node about itself, at this moment. Fields with a default are unknown to older nodes. */
export const NodeReport = z.object({
  node: z.string().max(128),
  /** Tells processes of one name apart. */
  instance: z.string().max(64).default(''),
  /** Name of the machine. */
  host: z.string().max(255).default(''),
  /**
   * `cordoned`: takes no runs, keeps what it has. `draining`: hands those over as well; cordoned once none is left.
   * `stopping`: the process is about to end.
   */
  state: z.enum(['ready', 'cordoned', 'draining', 'stopping']).default('ready'),
  /** Why it takes no runs, when it was told so. */
  order: GivenOrder.optional(),
  version: z.string().max(64),
  /** Epoch milliseconds. */
  started_at: z.int(),
  /** Runs in work at once, per agent. */
  slots: z.int(),
  lease_ms: z.int(),
  active_runs: z.int(),
  /** The last time that its event loop was blocked and came free again. */
  blocked: BlockedLoop.optional(),
  /** Results of tools, by tool: the 100 that were looked for most. And answers that agents fell back on. */
  caches: z.object({ tools: z.record(z.string().max(64), CacheFigures), answers: CacheFigures }).optional(),
  agents: z.record(z.string(), z.object({ unusable: z.string().max(2_048).optional(), active: z.int() })),
});
export type NodeReport = z.infer<typeof NodeReport>;

/** One worker of a tool; figures since it started. */
export const ToolWorker = z.object({
  id: z.string(),
  version: z.string(),
  started: z.string(),
  calls: z.int(),
  errors: z.int(),
  average_ms: z.number(),
  last_error: z.string().max(500),
});
export type ToolWorker = z.infer<typeof ToolWorker>;

/** A tool that can be called now. */
export const ToolInfo = ToolFields.pick({
  name: true,
  version: true,
  effect: true,
  risk: true,
  idempotent: true,
  requires_approval: true,
  timeout_ms: true,
}).extend({
  /** The first 200 characters. */
  description: z.string(),
  /** `node`: nodes bring it themselves, and count nothing. */
  from: z.enum(['node', 'worker']),
  workers: z.int(),
  calls: z.int(),
  errors: z.int(),
  average_ms: z.number().nullable(),
  /** Calls that nodes answered from their caches, and those that they could not; null: its results are not cached. */
  cache: CacheFigures.nullable().default(null),
});
export type ToolInfo = z.infer<typeof ToolInfo>;

export const ToolDetails = z.object({ definition: ToolDefinition, workers: z.array(ToolWorker) });
export type ToolDetails = z.infer<typeof ToolDetails>;

/** What waits in a queue that no node has taken. */
export const QueueInfo = z.object({
  /** `tasks`, `inbox`, or the runs of an agent: `agent:<name>`. */
  name: z.string(),
  waiting: z.int(),
  oldest_at: z.int().nullable(),
});
export type QueueInfo = z.infer<typeof QueueInfo>;

/** A run whose owner is gone although its lease has passed three times over. */
export const StaleRun = z.object({
  run: RunId,
  agent: z.string(),
  state: z.string(),
  node: z.string(),
  since: z.int(),
});
export type StaleRun = z.infer<typeof StaleRun>;

/** Runs that go on only when a person has decided, answered or looked. */
export const WaitingForPeople = z.object({
  count: z.int(),
  oldest_at: z.int().nullable(),
  /** Whether all runs were looked at; else there may be more. */
  complete: z.boolean(),
});
export type WaitingForPeople = z.infer<typeof WaitingForPeople>;

export const Health = z.object({
  /** Server time, epoch milliseconds. */
  now: z.number(),
  nodes: z.array(NodeReport),
  queues: z.array(QueueInfo),
  /** At most 500 are counted. */
  dead_letters: z.int(),
  stale: z.array(StaleRun),
  /** Unknown to older nodes. */
  people: WaitingForPeople.optional(),
});
export type Health = z.infer<typeof Health>;
