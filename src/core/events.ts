import { z } from 'zod';
import { AgentDefinition, Allowance } from './agent.ts';
import { Anomalies } from './anomalies.ts';
import { ApprovalTerms, Digest } from './approval-rules.ts';
import { BlobRef } from './blob.ts';
import { Decision, Usage } from './decision.ts';
import { ErrorInfo } from './errors.ts';
import { FallbackKind, FallbackTo } from './fallback.ts';
import { isCallId, isRunId, MAX_RUN_ID } from './ids.ts';
import { Json } from './json.ts';
import { Limits } from './limits.ts';
import { LoopVerdict, Volatile } from './loops.ts';
import { PolicyWords, Taint } from './policy.ts';
import { FailureCode } from './reasons.ts';
import { Signed } from './signed.ts';
import { MAX_OPEN_CALLS, OpenCall, PlanRef, ResultRef, StepRef } from './step-ref.ts';
import { Name, Task } from './task.ts';
import { DependsOn } from './tool.ts';

/**
 * What happens to a run. Everything is an event, and an event is in the run's journal before anything acts on it:
 * these shapes are the stored truth. Changing one means a new journal version (`journal-entry.ts`).
 */

export const RunId = z.string().max(MAX_RUN_ID).refine(isRunId, 'expected a run id');
export const CallId = z.string().max(16).refine(isCallId, 'expected a call id');

/** Which message of the queue gave a node the run: the queue's creation time tells its incarnations apart. */
export const Activation = z.strictObject({ created: z.string().max(64), seq: z.int().min(0) });
export type Activation = z.infer<typeof Activation>;

/** A call as policy let it pass: what the tool declared is copied, so that folding needs no registry. */
export const PlannedCall = z.strictObject({
  tool: z.string().max(64),
  version: z.string().max(32).optional(),
  plan_step: z.string().max(64).optional(),
  idempotent: z.boolean(),
  timeout_ms: z.int().min(0),
  /** The gate that said no, as an error for the model to see; the call is not made. */
  refused: ErrorInfo.optional(),
  /** Waits for an approval until this moment (epoch ms). */
  approval_until: z.int().optional(),
  /** What the approval must fulfil; a call that waits for one without them can only expire. */
  approval: ApprovalTerms.optional(),
  /** What the tool declares for loop detection: what says nothing in its calls, and that it only reads. */
  volatile: Volatile.optional(),
  reads: z.literal(true).optional(),
  /** The rules of the policy that let it pass or not; absent when the built-in policy allowed it. */
  policy: PolicyWords.optional(),
  /** What it brings comes from outside (SEC-5). */
  untrusted: z.literal(true).optional(),
  /** How long what it brings may be acted on, and whose results it acts on itself (TOOL-9). */
  valid_ms: z.int().min(1).optional(),
  depends_on: DependsOn.optional(),
  /** How old a result of an equal call may be that answers it (TOOL-10); `shared`: also one of another user's call. */
  cache: z.strictObject({ ms: z.int().min(1), shared: z.literal(true).optional() }).optional(),
  /** That of an earlier call which asked for the same and may have taken effect; absent: its own. */
  key: z.string().max(512).optional(),
});
export type PlannedCall = z.infer<typeof PlannedCall>;

const Who = { by: z.string().max(128), why: z.string().max(1024) };
/** Sequence of the inbox message that brought the event; absent when it did not come through the inbox. */
const FromInbox = { inbox: z.int().min(0).optional() };
/** The scope of the switch that an order to the run comes from; absent when it was about this run alone. */
const BySwitch = { scope: z.string().max(300).optional() };
const Ms = z.number().min(0);
/** Whether the try that failed may have taken effect. */
const Failed = { error: ErrorInfo, ms: Ms, effect_open: z.literal(true).optional() };

/** Longest chain of runs that continue one another. */
export const MAX_CONTINUED = 32;

/** What a run takes over from the run that it continues (RUN-13), and by whose word. */
export const Continues = z.strictObject({
  /** That run, then the one that it continued, and so on. */
  runs: z.array(RunId).min(1).max(MAX_CONTINUED),
  ...Who,
  window: z.array(StepRef).max(64),
  plan: PlanRef.nullable(),
  last_result: ResultRef.nullable(),
  open: z.array(OpenCall).max(MAX_OPEN_CALLS).optional(),
  /** What all runs of the chain have used; nothing of it counts against the new limits. */
  spent: z.strictObject({ steps: z.int(), tool_calls: z.int(), usage: Usage }),
});
export type Continues = z.infer<typeof Continues>;

/** Kinds of passing failures of a call; each has its own number of retries and its own waits (TOOL-6). */
export const RetryClass = z.enum(['rate_limit', 'timeout', 'auth_error', 'tool_crash']);
export type RetryClass = z.infer<typeof RetryClass>;
/** Which retry (of its class) it is, from 1; how long it was decided to wait; and the moment that this makes, epoch ms. */
const Again = { attempt: z.int().min(1), wait_ms: z.int().min(0), not_before: z.int() };

export const RunEvent = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('accepted'),
    run: RunId,
    agent: AgentDefinition,
    user: Name,
    task: Task,
    limits: Limits,
    /** The run and call that delegated this one; `attempt` counts from 1 when it was started again. */
    parent: z
      .strictObject({ run: RunId, c: CallId, queue: z.string().max(600), attempt: z.int().min(1).optional() })
      .optional(),
    /** What the runs above it were allowed, the nearest first: it has no tool that one of them did not have. */
    above: z.array(Allowance).max(64).optional(),
    continues: Continues.optional(),
    /** The version of the policy that it is under; absent: the built-in one. */
    policy: z.int().min(1).optional(),
    /** The run that it continues, or that delegated it, had read this. */
    taint: Taint.optional(),
    ancestors: z.array(z.string().max(MAX_RUN_ID)).max(64),
    /** Of the same runs, outermost first: whose they are, and the fingerprint of what they were given. */
    lineage: z
      .array(z.strictObject({ agent: Name, input: z.number() }))
      .max(64)
      .optional(),
    /** W3C trace context of whoever submitted or delegated the run: its spans hang there. */
    traceparent: z.string().max(64).optional(),
  }),
  z.strictObject({
    type: z.literal('claimed'),
    node: z.string().max(128),
    nonce: z.string().max(64),
    activation: Activation,
  }),
  z.strictObject({
    type: z.literal('decided'),
    decision: Decision,
    /** For a tool_call: one for each call, in order. */
    calls: z.array(PlannedCall).max(64).optional(),
    usage: Usage,
    model: z.string().max(128),
    ms: Ms,
    /** What loop detection said of the steps before it, and what the run has used beyond the usual with it. */
    loop: LoopVerdict.optional(),
    anomalies: Anomalies.optional(),
  }),
  z.strictObject({
    type: z.literal('think_failed'),
    error: ErrorInfo,
    usage: Usage,
    model: z.string().max(128),
    ms: Ms,
    anomalies: Anomalies.optional(),
  }),
  /** A model call that failed for a passing reason is made again. */
  z.strictObject({
    type: z.literal('think_retry'),
    error: ErrorInfo,
    usage: Usage,
    model: z.string().max(128),
    ms: Ms,
    ...Again,
  }),
  /** The run goes on with less than it began with; what the failed model call used counts. */
  z.strictObject({
    type: z.literal('using_fallback'),
    kind: FallbackKind,
    error: ErrorInfo,
    link: FallbackTo,
    usage: Usage,
    /** The model that failed, or was in use. */
    model: z.string().max(128),
    ms: Ms,
  }),
  /** Stored before a call that must not be repeated is sent; workers refuse it after `start_by` (epoch ms). */
  z.strictObject({ type: z.literal('call_started'), c: CallId, start_by: z.int() }),
  /** With `blob` the result lies beside the journal, and `result` is a preview of its JSON text. */
  z.strictObject({
    type: z.literal('call_done'),
    c: CallId,
    result: Json,
    blob: BlobRef.optional(),
    ms: Ms,
    /** The tool was not called: the node had the result of an equal call, which came at this moment (epoch ms). */
    cached: z.strictObject({ at: z.int() }).optional(),
  }),
  z.strictObject({ type: z.literal('call_failed'), c: CallId, ...Failed }),
  /** A call that failed for a passing reason is made again under the same key; one that was started counts as not. */
  z.strictObject({ type: z.literal('call_retry'), c: CallId, class: RetryClass, ...Failed, ...Again }),
  z.strictObject({ type: z.literal('outcome_unknown'), c: CallId, error: ErrorInfo }),
  /** A person's word on a call that waits for one: it was done (with this result), do it again, or count it failed. */
  z.strictObject({
    type: z.literal('resolved'),
    c: CallId,
    verdict: z.enum(['done', 'repeat', 'fail']),
    result: Json.optional(),
    ...Who,
    ...FromInbox,
  }),
  z.strictObject({
    type: z.literal('approval_decided'),
    c: CallId,
    verdict: z.enum(['approved', 'denied']),
    ...Who,
    /** Of the arguments that were approved. */
    digest: Digest.optional(),
    /** What was signed has other arguments than were decided. */
    edited: z.literal(true).optional(),
    /** The decision as it came: whoever reads the journal can check it. */
    signed: Signed.optional(),
    ...FromInbox,
  }),
  /** Everybody who may decide was asked, and told of so many approvals; `escalated`: also who is asked later. */
  z.strictObject({
    type: z.literal('approval_asked'),
    c: CallId,
    given: z.int().min(0),
    escalated: z.literal(true).optional(),
  }),
  z.strictObject({ type: z.literal('approval_expired'), c: CallId }),
  z.strictObject({ type: z.literal('delegated'), c: CallId, run: RunId }),
  z.strictObject({
    type: z.literal('child_ended'),
    c: CallId,
    run: RunId,
    outcome: z.enum(['success', 'failure', 'timeout', 'cancelled']),
    answer: Json,
    error: ErrorInfo.optional(),
    usage: Usage,
    /** Which start of the call it was; absent for the first. */
    attempt: z.int().min(1).optional(),
    /** What it had read from outside: its answer may say the same. */
    taint: Taint.optional(),
    ...FromInbox,
  }),
  /** A member of a team was told to stop: it is to be started again, or the team is given up. */
  z.strictObject({ type: z.literal('member_stopped'), c: CallId, run: RunId }),
  /** A moment that the run waited for has come. */
  z.strictObject({ type: z.literal('timer'), due: z.int(), ...FromInbox }),
  z.strictObject({ type: z.literal('pause'), ...Who, ...BySwitch, ...FromInbox }),
  z.strictObject({ type: z.literal('drain'), ...Who, ...BySwitch, ...FromInbox }),
  z.strictObject({ type: z.literal('resume'), ...Who, ...BySwitch, ...FromInbox }),
  z.strictObject({ type: z.literal('cancel'), ...Who, ...FromInbox }),
  z.strictObject({ type: z.literal('kill'), ...Who, ...BySwitch, ...FromInbox }),
  z.strictObject({ type: z.literal('deadline') }),
  z.strictObject({ type: z.literal('limit'), code: FailureCode, detail: z.string().max(1024) }),
  z.strictObject({ type: z.literal('loop'), detail: z.string().max(1024), loop: LoopVerdict.optional() }),
  z.strictObject({ type: z.literal('parked'), activation: Activation }),
  z.strictObject({ type: z.literal('handed_over') }),
  z.strictObject({ type: z.literal('quarantined'), entry: z.int().min(0), error: ErrorInfo }),
  z.strictObject({ type: z.literal('released'), ...Who, ...FromInbox }),
]);
export type RunEvent = z.infer<typeof RunEvent>;
export type RunEventOf<T extends RunEvent['type']> = Extract<RunEvent, { type: T }>;
