import { z } from 'zod';
import { ErrorInfo } from './errors.ts';
import { RunId } from './events.ts';
import { HumanOutcome } from './human-wire.ts';
import { Outcome, ReasonCode } from './reasons.ts';
import { StepSummary } from './result.ts';
import { CallStatus } from './run-state.ts';

/**
 * What `evt.<agent>.<user>.<run>` carries: where the run stands, and the steps finished since the last one. What newer
 * nodes say besides is passed over.
 */
export const StatusEvent = z.object({
  v: z.literal(1),
  run: RunId,
  agent: z.string(),
  user: z.string(),
  at: z.int(),
  /** When its task was accepted, epoch milliseconds; absent where it never was, and from older nodes. */
  accepted_at: z.int().optional(),
  /** State of the chart, dotted: `thinking.deciding`; `rejected` when the task was never accepted. */
  state: z.string(),
  phase: z.enum(['planning', 'executing', 'reviewing', 'complete']),
  step: z.int(),
  /** 0 to 100 from the plan; null without one. */
  progress: z.number().min(0).max(100).nullable(),
  can_cancel: z.boolean(),
  /** What the run has used, and what is left of its limits; of time the moment at which it ends (epoch ms). */
  budget: z
    .strictObject({
      cost_usd: z.number(),
      tokens: z.int(),
      left: z.strictObject({ steps: z.int(), tokens: z.int(), cost_usd: z.number(), tool_calls: z.int() }),
      /** Null before the run has started and while its clock stands still. */
      deadline_at: z.int().nullable(),
    })
    .optional(),
  /** What its last step warned of, each beginning with its code: `POSSIBLE_LOOP`, `HIGH_COST` and the like. */
  warnings: z.array(z.string().max(512)).optional(),
  /** What a person is asked for, when the run waits for one. */
  requires: z
    .strictObject({
      kind: z.enum(['approval', 'resolve', 'answer', 'release']),
      c: z.string().optional(),
      text: z.string(),
    })
    .optional(),
  /** The runs that it works for, the first one first; absent when nobody delegated it. */
  ancestors: z.array(RunId).max(64).optional(),
  /** The members of its step: where their calls stand, and the runs that work for them. */
  members: z
    .array(
      z.strictObject({
        c: z.string(),
        agent: z.string(),
        status: CallStatus,
        run: RunId.optional(),
        /** How often it was started again. */
        attempt: z.int().min(1).optional(),
      }),
    )
    .max(64)
    .optional(),
  /** The node that owns the run; absent while nobody does. */
  node: z.string().optional(),
  steps: z.array(StepSummary).optional(),
  /** Who took over a run that was queued for a person, once there is an answer; what it is, is asked for. */
  person: z
    .strictObject({ queue: z.string().max(32), at: z.int(), by: z.string().max(128), outcome: HumanOutcome })
    .optional(),
  code: ReasonCode.optional(),
  outcome: Outcome.optional(),
  error: ErrorInfo.optional(),
  /** Sequence of the task message: how a submitter finds the run of a task that it published. */
  task_seq: z.int().optional(),
});
export type StatusEvent = z.infer<typeof StatusEvent>;

/** The status in a stored message; null where none can be read: what is of a newer node is passed over. */
export function readStatus(data: string): StatusEvent | null {
  return StatusEvent.safeParse(jsonIn(data)).data ?? null;
}

/** The same of a run that has not ended. Most have: they are not even read as what they should be. */
export function readUnfinished(data: string): StatusEvent | null {
  const read = jsonIn(data) as { phase?: unknown } | null;
  return read?.phase === 'complete' ? null : (StatusEvent.safeParse(read).data ?? null);
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
