import type { AgentDefinition } from '../core/agent.ts';
import type { ApprovalReason, ApprovalRules, ApprovalTerms } from '../core/approval-rules.ts';
import { DEFAULT_RULES } from '../core/approval-rules.ts';
import type { ApproverRecord, DecisionPayload } from '../core/approval-wire.ts';
import type { CallRequest } from '../core/decision.ts';
import { clip } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import type { ToolDefinition } from '../core/tool.ts';
import { argumentAt } from './permissions/resource.ts';

/** Which calls need an approval (APPR-1), what it must fulfil, and which decisions count (APPR-4). */

type Risk = ApprovalTerms['risk'];
const RISKS: readonly Risk[] = ['low', 'medium', 'high'];

export function rulesOf(agent: AgentDefinition): ApprovalRules {
  return agent.approvals ?? DEFAULT_RULES;
}

/** The higher of what the tool declares and what the call says: a call may raise its risk, never lower it. */
export function riskOf(request: CallRequest, definition: ToolDefinition): Risk {
  const of = (risk: Risk | undefined) => (risk === undefined ? 0 : RISKS.indexOf(risk));
  return RISKS[Math.max(of(request.risk), of(definition.risk))] ?? 'high';
}

/** What tool and agent say about the call; empty: nobody needs to be asked. */
export function reasonsFor(
  rules: ApprovalRules,
  definition: ToolDefinition,
  request: CallRequest,
  risk: Risk,
): ApprovalReason[] {
  const reasons: ApprovalReason[] = [];
  const add = (rule: string, text: string) => void reasons.push({ rule, text: clip(text, 512) });
  if (definition.requires_approval) add('tool_protected', `the tool ${definition.name} asks for it at every call`);
  if (definition.effect === 'destructive') add('destructive', `what ${definition.name} does cannot be undone`);
  if (rules.risk.includes(risk)) add('risk', `its risk is ${risk}`);
  const amount = amountReason(rules, definition, request.args);
  if (amount !== null) reasons.push(amount);
  return reasons;
}

/** A field that is no number cannot be judged, so somebody looks at it. */
function amountReason(
  { amount_over }: ApprovalRules,
  { amount_field }: ToolDefinition,
  args: Record<string, Json>,
): ApprovalReason | null {
  if (amount_field === undefined) return null;
  const value = argumentAt(args, amount_field);
  if (typeof value !== 'number') return { rule: 'amount', text: `its amount ${amount_field} is not a number` };
  if (Math.abs(value) <= amount_over) return null;
  return { rule: 'amount', text: `its amount ${amount_field} is ${value}, more than ${amount_over}` };
}

/**
 * What the approval of a call must fulfil, whatever asked for it; `until` is its deadline.
 * @param policy names the rules that were in force
 */
export function termsFor(
  { groups, needed, escalate, timeout_ms }: ApprovalRules,
  reasons: ApprovalReason[],
  { digest, risk, now, policy }: { digest: string; risk: Risk; now: number; policy: string },
): { approval: ApprovalTerms; approval_until: number } {
  return {
    approval_until: now + timeout_ms,
    approval: {
      digest,
      risk,
      reasons: reasons.slice(0, 8),
      groups,
      needed,
      ...(escalate === undefined ? {} : { escalate: { group: escalate.group, at: now + escalate.after_ms } }),
      policy,
    },
  };
}

/**
 * The rules in force for a run, by name, as neither a stored version of the policy nor one of an agent ever changes.
 * Under the built-in policy they are the agent's own.
 */
export function policyOf({ name, version }: AgentDefinition, policy: number): string {
  return policy === 0 ? `${name}@${version}` : `policy@${policy}`;
}

/** Whose members may decide at a moment. */
export function groupsAt({ groups, escalate }: ApprovalTerms, now: number): string[] {
  if (escalate === undefined || now < escalate.at || groups.includes(escalate.group)) return groups;
  return [...groups, escalate.group];
}

export interface DecisionInput {
  decision: DecisionPayload;
  /** Where the message was published to. */
  address: { run: string; c: string; approver: string };
  /** The key that the message names. */
  key: string;
  isSigned: boolean;
  /** What is stored about the approver; null: nothing. */
  approver: ApproverRecord | null;
  cluster: string;
  /** The user whose task the run carries out. */
  user: string;
  /** Null: no approval was ever asked for this call. */
  call: { terms: ApprovalTerms; until: number } | null;
  now: number;
}

export interface Refusal {
  code: string;
  message: string;
}

/** Why a decision counts for nothing; null when it does. What the run says to it is asked afterwards. */
export function judgeDecision(input: DecisionInput): Refusal | null {
  const { decision, address, approver, key, call, now } = input;
  const name = address.approver;
  const no = (code: string, message: string): Refusal => ({ code, message });
  if (approver === null) return no('unknown_approver', `nobody is known as "${name}": proctor keys ls`);
  if (approver.revoked)
    return no('revoked_key', `the key of ${name} is revoked: proctor keys new ${name} makes another`);
  if (approver.public_key !== key) return no('wrong_key', `this is not the key of ${name} that is in force`);
  if (!input.isSigned) return no('bad_signature', 'the signature is not one of this key over this payload');
  if (decision.approver !== name) return no('other_approver', `it was signed as a decision of ${decision.approver}`);
  if (decision.cluster !== input.cluster) return no('other_cluster', 'it was signed for another cluster');
  if (decision.run !== address.run) return no('other_run', `it was signed for run ${decision.run}`);
  if (decision.c !== address.c) return no('other_call', `it was signed for call ${decision.c}`);
  if (call === null) return no('not_asked', `no approval was asked for call ${address.c}`);
  if (decision.policy !== call.terms.policy) {
    return no('other_policy', `it was signed under ${decision.policy}; the call stands under ${call.terms.policy}`);
  }
  if (decision.digest !== call.terms.digest) return no('other_arguments', 'it was signed for other arguments');
  if (decision.expires_at < now) return no('expired', 'the decision expired before it was read');
  if (call.until < now) return no('too_late', 'the deadline of the call has passed: it counts as not approved');
  if (name === input.user || approver.users.includes(input.user)) {
    return no('own_task', `${name} is who handed in the task: somebody else decides`);
  }
  const groups = groupsAt(call.terms, now);
  if (!approver.groups.some((group) => groups.includes(group))) {
    return no('not_in_group', `${name} is in ${approver.groups.join(', ')}; who may decide: ${groups.join(', ')}`);
  }
  return null;
}
