import { z } from 'zod';
import { TeamRules } from './agent.ts';
import { ErrorInfo } from './errors.ts';
import { Activation, CallId, RetryClass, RunId } from './events.ts';
import { FallbackLink } from './fallback.ts';
import { MAX_RUN_ID } from './ids.ts';
import { Limits } from './limits.ts';
import { LoopState } from './loops.ts';
import { Taint } from './policy.ts';
import { ReasonCode } from './reasons.ts';
import { MAX_OPEN_CALLS, OpenCall, PlanRef, ResultRef, StepRef } from './step-ref.ts';

/**
 * The state of a run between two events, as data: the context of the agent-run chart, and the ownership protocol's
 * bookkeeping beside it. It holds indices into the journal, never results, so it stays small however long the run is.
 */

/** Steps that a model sees of the past; older ones stay in the journal (MEM-1). */
export const WINDOW_STEPS = 10;
/** Inbox messages remembered as journalled. One that comes again is among the newest, as it comes within seconds. */
export const INBOX_MEMORY = 64;
/** Approvals of one call that are remembered: those that differ in their arguments do not add up. */
export const MAX_GIVEN = 6;
/** Characters of a digest that tell arguments apart. */
export const DIGEST_CHARS = 32;
/** Largest snapshot, bytes. */
export const MAX_SNAPSHOT_BYTES = 64 * 1024;

/**
 * Where a call stands. `ready` wants to be made; `started` was about to be sent and must not be sent again;
 * `approval`, `person` and `child` wait for somebody. A member of a team that has to go is `stopping` until its run has
 * ended, then `stopped` until it is started again. The rest is settled.
 */
export const CallStatus = z.enum([
  'ready',
  'started',
  'approval',
  'person',
  'child_ready',
  'child',
  'stopping',
  'stopped',
  'done',
  'failed',
  'refused',
]);
export type CallStatus = z.infer<typeof CallStatus>;

/** What has come of an approval so far; what it must fulfil stands in the entry of the decision. */
export const CallApproval = z.strictObject({
  needed: z.int(),
  /** Who approved, in which entry, and the beginning of the digest of the arguments. */
  given: z.array(z.strictObject({ by: z.string(), n: z.int(), digest: z.string() })).max(MAX_GIVEN),
  /** How many of these everybody was told of; -1: nobody was asked yet. */
  told: z.int(),
  /** When others are asked as well; absent when nobody is or when it is done. */
  escalate_at: z.int().optional(),
  escalated: z.literal(true).optional(),
});
export type CallApproval = z.infer<typeof CallApproval>;

export const RunCall = z.strictObject({
  c: CallId,
  tool: z.string(),
  plan_step: z.string().optional(),
  idempotent: z.boolean(),
  timeout_ms: z.number(),
  status: CallStatus,
  /** The claim under which it was started, and until when a worker may begin it. */
  started: z.strictObject({ epoch: z.int(), start_by: z.int() }).optional(),
  /** Times that it was made again, for each class of failure how often, what the last one was, and when the next time is. */
  attempt: z.int().optional(),
  tried: z.partialRecord(RetryClass, z.int()).optional(),
  retry: RetryClass.optional(),
  not_before: z.int().optional(),
  /** Its idempotency key when that is an earlier call's, and whether one of its tries may have taken effect. */
  key: z.string().optional(),
  effect_open: z.literal(true).optional(),
  approval_until: z.int().optional(),
  approval: CallApproval.optional(),
  /** Entry with the arguments that an approver put in the place of those that were decided. */
  edited: z.int().optional(),
  child: z.string().max(MAX_RUN_ID).optional(),
  /** What it brings comes from outside. */
  untrusted: z.literal(true).optional(),
  /** What it brings may be acted on for a time only. */
  perishable: z.literal(true).optional(),
  /** Of a member that is `stopping`: its run was told, and whether it is not started again. */
  told: z.literal(true).optional(),
  given_up: z.literal(true).optional(),
  /** Entry that holds the outcome. */
  outcome: z.int().optional(),
});
export type RunCall = z.infer<typeof RunCall>;

export const RunContext = z.strictObject({
  run: z.union([RunId, z.literal('')]),
  agent: z.string(),
  agent_version: z.string(),
  user: z.string(),
  session_id: z.string().optional(),
  limits: Limits,
  backoff_ms: z.number(),
  planning: z.boolean(),
  review: z.boolean(),
  accepted_at: z.int(),
  not_before: z.int(),
  started_at: z.int().nullable(),
  /** Null until the run starts; moved on by the time spent waiting for a person. */
  deadline_at: z.int().nullable(),
  /** Since when the run's clock stands still. */
  clock_stopped_at: z.int().nullable(),
  thinks: z.int(),
  /** Times that the present model call was made again, and what the model is asked for after a wait. */
  think_retries: z.int(),
  think_phase: z.enum(['planning', 'deciding', 'reviewing']),
  steps: z.int(),
  failing: z.int(),
  tool_calls: z.int(),
  input_tokens: z.int(),
  output_tokens: z.int(),
  cost_usd: z.number(),
  think_ms: z.number(),
  tool_ms: z.number(),
  tools_used: z.array(z.string()),
  children: z.int(),
  /** The first result from outside that it has read: for good, as what the model made of it is in all that follows. */
  taint: Taint.optional(),
  /** The runs above it, the first one first; absent when there are none. */
  ancestors: z.array(z.string().max(MAX_RUN_ID)).max(64).optional(),
  /** Rules for those of a step, and when any of them was started again, epoch ms. */
  team: TeamRules.extend({ restarts: z.array(z.int()).max(101) }).optional(),
  /** Entry of the decision that is being carried out, and its calls. */
  decision: z.int().nullable(),
  calls: z.array(RunCall),
  /** The runs that this one continues, newest first: what `from` in a reference counts. */
  runs: z.array(RunId),
  plan: PlanRef.nullable(),
  window: z.array(StepRef),
  /** The last call outcome that was a success: the partial result. */
  last_result: ResultRef.nullable(),
  /** Entry of the final answer. */
  answer: z.int().nullable(),
  degraded: z.string().nullable(),
  /** What it fell back on, in order; absent while all is well. */
  fallback: z.array(FallbackLink).max(16).optional(),
  hold: z.enum(['pause', 'drain']).nullable(),
  resume_to: z.string().nullable(),
  unknown: z.array(z.string()),
  /** Calls that were given up and may have taken effect, oldest first. */
  open: z.array(OpenCall).max(MAX_OPEN_CALLS),
  end: z.strictObject({ code: ReasonCode, detail: z.string(), at: z.int(), error: ErrorInfo.optional() }).nullable(),
});
export type RunContext = z.infer<typeof RunContext>;

/** What the ownership protocol needs to know of a journal, folded beside the chart. */
export const Protocol = z.strictObject({
  /** Index of the last folded entry; -1 before the first. */
  n: z.int(),
  at: z.int(),
  /** When the run came to stand where it stands, and when its last decision was made. */
  since: z.int(),
  decided_at: z.int(),
  /** Who paused it last, while that holds. */
  pause: z.strictObject({ by: z.string(), why: z.string(), at: z.int(), scope: z.string().optional() }).nullable(),
  /** Index of the last claim; -1 before the first. */
  epoch: z.int(),
  node: z.string().nullable(),
  nonce: z.string().nullable(),
  /** Claims in a row without progress between them. */
  claims: z.int(),
  /** The last activation that a `parked` entry names: it, and any older one, is spent. */
  parked: Activation.nullable(),
  /** Whether the last owner let go on purpose. */
  released: z.boolean(),
  inbox: z.array(z.int()),
  /** The entry that cannot be folded, and why the run is held. */
  quarantine: z.strictObject({ entry: z.int(), error: ErrorInfo }).nullable(),
});
export type Protocol = z.infer<typeof Protocol>;

export const StateValue: z.ZodType<StateValue> = z.lazy(() => z.union([z.string(), z.record(z.string(), StateValue)]));
export type StateValue = string | { [key: string]: StateValue };

export const SNAPSHOT_VERSION = 1;

export const RunSnapshot = z.strictObject({
  v: z.literal(SNAPSHOT_VERSION),
  protocol: Protocol,
  value: StateValue,
  context: RunContext,
  /** Absent in snapshots of versions without loop detection: it begins there. */
  loops: LoopState.optional(),
});
export type RunSnapshot = z.infer<typeof RunSnapshot>;

/** The six states (RUN-2). */
export const RUN_STATES = ['idle', 'thinking', 'executing', 'waiting', 'completed', 'failed'] as const;

/** `{waiting: 'person'}` as `waiting.person`. */
export function pathOf(value: StateValue): string {
  if (typeof value === 'string') return value;
  const [name, inner] = Object.entries(value)[0] ?? ['', ''];
  return inner === '' ? name : `${name}.${pathOf(inner)}`;
}
