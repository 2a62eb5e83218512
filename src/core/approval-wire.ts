import { z } from 'zod';
import { ApprovalReason, ApproverName, Digest, Group } from './approval-rules.ts';
import { AppError, describeFaults } from './errors.ts';
import { CallId, RunId } from './events.ts';
import { JsonObject } from './json.ts';
import { StepSummary } from './result.ts';
import { PublicKey } from './signed.ts';
import { Name } from './task.ts';
import { Effect, Risk } from './tool.ts';

/**
 * What nodes and those who approve say to each other, version 1. A request is stored on `apr.req.<group>.<run>.<c>` as
 * long as it is open; a decision is published to `in.<run>.decision.<c>-<approver>`; what becomes of a request is told on
 * `apr.note.<group>.<run>.<c>`, to whoever listens. Who starts late asks `apr.open.<group>` for what is open.
 */

const V = z.literal(1);
/** Names the cluster: made once, when its first node starts. */
const Cluster = z.string().regex(/^[A-Za-z0-9]{8,64}$/, 'expected the id of a cluster');
const Text = z.string().max(1024);

/** What an approver has approved so far; `args` when other arguments than those of the request. */
const Given = z.strictObject({
  approver: ApproverName,
  at: z.int(),
  why: Text,
  digest: Digest,
  args: JsonObject.optional(),
});

/** An open request. `args` are exactly those that the tool would get. */
export const ApprovalRequest = z.object({
  v: V,
  /** `<run>:<c>`. */
  id: z.string().max(200),
  cluster: Cluster,
  run: RunId,
  c: CallId,
  agent: Name,
  user: Name,
  /** The beginning of what the agent was asked, as JSON text. */
  task: z.string().max(4096),
  tool: z.string().max(64),
  tool_version: z.string().max(32).optional(),
  /** What the tool does to the world. */
  action: Effect.optional(),
  args: JsonObject,
  digest: Digest,
  risk: Risk,
  /** Which rules asked for it, in one line; and each by itself. */
  reason: z.string().max(4096),
  reasons: z.array(ApprovalReason).min(1).max(8),
  /** The last three finished steps. */
  steps: z.array(StepSummary).max(3),
  /** Epoch milliseconds, like all moments here. */
  created_at: z.int(),
  deadline: z.int(),
  policy: z.string().max(128),
  needed: z.int().min(1),
  given: z.array(Given).max(8),
  /** Whose members may decide now. */
  groups: z.array(Group).min(1).max(9),
  escalation: z.object({ group: Group, at: z.int(), done: z.boolean() }).optional(),
});
export type ApprovalRequest = z.infer<typeof ApprovalRequest>;

/** What is signed, as JSON text: the signature is over its UTF-8 bytes as they stand in `payload`. */
export const DecisionPayload = z
  .strictObject({
    v: V,
    type: z.literal('proctor.decision'),
    cluster: Cluster,
    run: RunId,
    c: CallId,
    /** Of the arguments in the request. */
    digest: Digest,
    policy: z.string().max(128),
    approver: ApproverName,
    verdict: z.enum(['approve', 'deny']),
    /** The model sees it when the call is denied. */
    why: Text.default(''),
    /** The call is made with these arguments instead. */
    edited: z.strictObject({ args: JsonObject, digest: Digest }).optional(),
    /** A decision that is read later than this counts for nothing; epoch ms. */
    expires_at: z.int(),
  })
  .refine((one) => one.verdict === 'approve' || one.edited === undefined, {
    message: 'expected nothing: a call that is denied has no arguments',
    path: ['edited'],
  })
  .refine((one) => one.verdict === 'approve' || one.why.trim() !== '', {
    message: 'expected a reason: the model sees it',
    path: ['why'],
  });
export type DecisionPayload = z.infer<typeof DecisionPayload>;

/** Parses what was signed. Throws AppError `malformed`. */
export function readPayload(payload: string): DecisionPayload {
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    throw new AppError('malformed', 'payload: expected JSON', { field: 'payload' });
  }
  const parsed = DecisionPayload.safeParse(value);
  if (parsed.success) return parsed.data;
  const { message, field } = describeFaults(parsed.error, 'payload');
  throw new AppError('malformed', message, { field });
}

export const APPROVAL_STATES = ['pending', 'approved', 'rejected', 'timed_out', 'cancelled'] as const;
export const ApprovalState = z.enum(APPROVAL_STATES);
export type ApprovalState = z.infer<typeof ApprovalState>;

/** What became of a request, or of one decision about it: then `refused` says why it counts for nothing. */
export const ApprovalNotice = z.object({
  v: V,
  run: RunId,
  c: CallId,
  at: z.int(),
  state: ApprovalState,
  by: z.string().max(128).optional(),
  why: Text.optional(),
  given: z.int().optional(),
  needed: z.int().optional(),
  refused: z
    .object({ approver: z.string().max(256), code: z.string().max(64), message: z.string().max(2048) })
    .optional(),
});
export type ApprovalNotice = z.infer<typeof ApprovalNotice>;

/** Asked on `apr.open` (all groups) or `apr.open.<group>`: requests that are open, in pages. */
export const OpenQuery = z.strictObject({
  v: V.default(1),
  after: z.int().min(0).default(0),
  limit: z.int().min(1).max(500).default(100),
});
export type OpenQuery = z.infer<typeof OpenQuery>;
export const OpenPage = z.object({ requests: z.array(ApprovalRequest), next: z.int().nullable(), now: z.int() });
export type OpenPage = z.infer<typeof OpenPage>;

/** Who may decide, with which key, as stored on `approver.<name>`: the last record is in force, all are kept. */
export const ApproverRecord = z.strictObject({
  v: V,
  name: ApproverName,
  public_key: PublicKey,
  groups: z.array(Group).min(1).max(16),
  /** Submitters that are the same person: nobody decides about a task of their own. */
  users: z.array(Name).max(16),
  revoked: z.boolean(),
  by: z.string().min(1).max(128),
  why: Text,
});
export type ApproverRecord = z.infer<typeof ApproverRecord>;

/** An approver as operators see it; `at` is when the record was stored. */
export const ApproverInfo = ApproverRecord.omit({ v: true }).extend({ at: z.int() }).strip();
export type ApproverInfo = z.infer<typeof ApproverInfo>;

/** What is kept of a decision that counts for nothing, on `audit.decision.<id>`; `at` is when it came. */
export const RefusedDecision = z.strictObject({
  v: V,
  kind: z.literal('decision_refused'),
  at: z.int(),
  subject: z.string().max(1024),
  run: z.string().max(256),
  c: z.string().max(256),
  approver: z.string().max(256),
  code: z.string().max(64),
  message: z.string().max(2048),
  /** SHA-256 of the message as it came. */
  sha256: Digest,
});
export type RefusedDecision = z.infer<typeof RefusedDecision>;
