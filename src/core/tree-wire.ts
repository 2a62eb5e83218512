import { z } from 'zod';

/** The supervision tree of a node, as it answers when it is asked. Version 1. */

/** Most runs of one agent type in one answer. */
export const MAX_RUNS = 200;
/** Effects of a run that are told. */
export const MAX_EFFECTS = 8;
/** Runs of one agent type that are told unless more are asked for. */
export const DEFAULT_RUNS = 10;

const Code = z.string().max(128);
const Text = z.string().max(1_024);
const Id = z.string().max(256);

/** What a node is asked. Runs that have crashed lately come first; with `after`, all in the order of their starts. */
export const TreeQuery = z.object({
  v: z.literal(1).default(1),
  /** Most runs of each agent type. */
  runs: z.int().min(0).max(MAX_RUNS).default(DEFAULT_RUNS),
  /** Only the part below `agents` with that id, such as `agent:plan`. */
  type: Id.optional(),
  /** Only runs after that place; `next` of the page before. */
  after: z.int().min(-1).optional(),
});
export type TreeQuery = z.infer<typeof TreeQuery>;

const LastError = z.object({ code: Code, message: Text, at: z.int() });

/** A temporary child that ended as it should not, or that is held for a person. */
export const TreeEnded = LastError.extend({ id: Id });
export type TreeEnded = z.infer<typeof TreeEnded>;

/** An effect in progress. `since`, epoch milliseconds: null when its outcome is on its way to the journal. */
export const TreeEffect = z.object({ id: Id, uses: Text.nullable(), since: z.int().nullable() });
export type TreeEffect = z.infer<typeof TreeEffect>;

export const TreeRun = z.object({
  /** Where the chart of the run stands. */
  state: Text,
  steps: z.int(),
  epoch: z.int(),
  effects: z.array(TreeEffect).max(MAX_EFFECTS),
  /** Effects that are not told. */
  left: z.int(),
});
export type TreeRun = z.infer<typeof TreeRun>;

/** All times in epoch milliseconds, all words those of OTP: `supervisors/README.md`. */
export const TreeChild = z.object({
  id: Id,
  type: z.enum(['supervisor', 'worker']),
  restart: z.enum(['permanent', 'transient', 'temporary']),
  status: z.enum(['starting', 'running', 'stopping', 'restarting', 'stopped']),
  /** Starts after the first. */
  restarts: z.int(),
  up_at: z.int().nullable(),
  /** When the next try is due. */
  retry_at: z.int().nullable(),
  last_error: LastError.optional(),
  run: TreeRun.optional(),
  get supervisor() {
    return TreeSupervisor.optional();
  },
});
export type TreeChild = z.infer<typeof TreeChild>;

export const TreeSupervisor = z.object({
  strategy: z.enum(['one_for_one', 'one_for_all', 'rest_for_one', 'dynamic']),
  phase: z.enum(['idle', 'starting', 'running', 'restarting', 'stopping', 'ended']),
  intensity: z.int(),
  period_ms: z.int(),
  /** Restarts within the last period. */
  recent_restarts: z.int(),
  max_children: z.int().nullable(),
  get children() {
    return z.array(TreeChild);
  },
  /** Children that are not told. */
  left: z.int(),
  /** `after` of the next page; null when there is none. */
  next: z.int().nullable(),
  ended: z.array(TreeEnded),
});
export type TreeSupervisor = z.infer<typeof TreeSupervisor>;

/** A machine that a program in the node's process shows. */
export const TreeMachine = z.object({
  name: Id,
  status: z.enum(['active', 'done', 'error', 'stopped']),
  /** Innermost states, dotted, with commas between them. */
  state: Text,
});
export type TreeMachine = z.infer<typeof TreeMachine>;

export const NodeTree = z.object({
  v: z.literal(1),
  node: z.string().max(128),
  /** Of the node's clock, epoch milliseconds. */
  now: z.number(),
  tree: TreeSupervisor,
  machines: z.array(TreeMachine).optional(),
});
export type NodeTree = z.infer<typeof NodeTree>;
