import { z } from 'zod';
import { Name } from './task.ts';
import { Risk } from './tool.ts';

/**
 * When a call needs an approval, and whose: what an agent's definition says about it (APPR-1), and what of it stands in
 * the journal beside the call.
 */

/** How long an approval is waited for before the call counts as not approved (APPR-2), milliseconds. */
export const APPROVAL_MS = 300_000;
/** Most approvers that one call may need. */
export const MAX_NEEDED = 5;

/** A name of an approver: 1 to 32 letters, digits and `.`, `_`, `@`, `+`, `-`. */
export const ApproverName = z
  .string()
  .regex(/^[A-Za-z0-9._@+-]{1,32}$/, 'expected 1 to 32 letters, digits, ., _, @, + or -');
/** A group of approvers. */
export const Group = z.string().regex(/^[A-Za-z0-9_-]{1,32}$/, 'expected 1 to 32 letters, digits, _ or -');

/** Who belongs to no other group. */
export const DEFAULT_GROUP = 'approvers';

export const ApprovalRules = z
  .strictObject({
    /** Risks that need an approval; an empty list: none does by its risk alone. */
    risk: z.array(Risk).max(3).default(['high']),
    /** A call whose amount exceeds it needs an approval; the tool says which argument is the amount. */
    amount_over: z.number().min(0).max(1e15).default(1_000),
    /** After so long without enough approvals the call counts as not approved. */
    timeout_ms: z.int().min(1_000).max(2_592_000_000).default(APPROVAL_MS),
    /** Whose members may decide. */
    groups: z.array(Group).min(1).max(8).default([DEFAULT_GROUP]),
    /** How many of them must approve; one that denies is enough to deny. */
    needed: z.int().min(1).max(MAX_NEEDED).default(1),
    /** Asked as well when nobody has decided for so long. */
    escalate: z.strictObject({ group: Group, after_ms: z.int().min(100).max(2_592_000_000) }).optional(),
  })
  .refine((rules) => rules.escalate === undefined || rules.escalate.after_ms < rules.timeout_ms, {
    message: 'expected less than timeout_ms: afterwards nobody can be asked any more',
    path: ['escalate', 'after_ms'],
  });
export type ApprovalRules = z.infer<typeof ApprovalRules>;

export const DEFAULT_RULES: ApprovalRules = ApprovalRules.parse({});

/** Which rule asks for the approval, and what it found. */
export const ApprovalReason = z.strictObject({ rule: Name, text: z.string().max(512) });
export type ApprovalReason = z.infer<typeof ApprovalReason>;

/** SHA-256 of the canonical text (`canonical.ts`) of arguments, in hex. */
export const Digest = z.string().regex(/^[0-9a-f]{64}$/, 'expected the SHA-256 in 64 lower-case hex digits');

/** What must be fulfilled before the call is made; stands in the journal beside the call. */
export const ApprovalTerms = z.strictObject({
  digest: Digest,
  risk: Risk,
  reasons: z.array(ApprovalReason).min(1).max(8),
  groups: z.array(Group).min(1).max(8),
  needed: z.int().min(1).max(MAX_NEEDED),
  /** Asked as well from this moment (epoch ms) on. */
  escalate: z.strictObject({ group: Group, at: z.int() }).optional(),
  /** The rules that were in force: a decision names them. */
  policy: z.string().max(128),
});
export type ApprovalTerms = z.infer<typeof ApprovalTerms>;
