import type { AgentDefinition, Allowance } from '../core/agent.ts';
import { listsTool } from '../core/agent.ts';
import type { ApprovalReason } from '../core/approval-rules.ts';
import type { CallRequest } from '../core/decision.ts';
import { clip, type ErrorInfo } from '../core/errors.ts';
import type { PlannedCall } from '../core/events.ts';
import type { Json } from '../core/json.ts';
import type { Limits } from '../core/limits.ts';
import { dependenciesOf, type Plan } from '../core/plan.ts';
import type { Taint } from '../core/policy.ts';
import type { ToolDefinition } from '../core/tool.ts';
import { policyOf, reasonsFor, riskOf, rulesOf, termsFor } from './approvals.ts';
import { cacheOf, type Fetched, staleFault } from './freshness.ts';
import type { CompiledPolicy } from './permissions/compile.ts';
import { judgeCall } from './permissions/judge.ts';

export interface GateInput {
  agent: AgentDefinition;
  /** What the runs above it were allowed, the nearest first. */
  above: readonly Allowance[];
  /** The policy that the run is under, whose task it is, and the result from outside that was read. */
  policy: CompiledPolicy;
  user: string;
  taint: Taint | null;
  request: CallRequest;
  /** What the tool's source announces now; null when nobody does. */
  definition: ToolDefinition | null;
  /** The plan in force and which of its steps are done; null without one. */
  plan: { plan: Plan; isDone: (step: string) => boolean } | null;
  /** What the run has fetched that may be acted on for a time only; see `freshness.ts`. */
  fetched?: readonly Fetched[];
  /** Faults of the arguments against the announced schema. */
  faults: (schema: Record<string, Json>, args: Json) => ErrorInfo | null;
  /** Digest of arguments: what an approval is bound to. */
  digest: (args: Json) => string;
  /** Why others than the tool and the agent's rules ask for an approval. */
  asked?: ApprovalReason[];
  now: number;
}

/**
 * The gate for one call (TOOL-12): listed, here and above → exists → permission → plan → parameters → age of
 * what it acts on → approval. A refusal names its gate in the code and is an observation for the model; the call is not
 * made. Unknown or undeclared means the careful choice.
 */
export function gateCall({
  agent,
  above,
  policy,
  user,
  taint,
  request,
  definition,
  plan,
  fetched = [],
  faults,
  digest,
  asked = [],
  now,
}: GateInput): PlannedCall {
  let call: PlannedCall = {
    tool: request.tool,
    ...(request.plan_step === undefined ? {} : { plan_step: request.plan_step }),
    idempotent: definition?.idempotent ?? false,
    timeout_ms: definition?.timeout_ms ?? 0,
    ...(definition === null ? {} : { version: definition.version }),
    ...(definition?.volatile === undefined ? {} : { volatile: definition.volatile }),
    ...(definition?.effect === 'read' ? { reads: true as const } : {}),
    ...(definition?.valid_ms === undefined ? {} : { valid_ms: definition.valid_ms }),
    ...(definition?.depends_on === undefined ? {} : { depends_on: definition.depends_on }),
    ...(definition === null ? {} : cacheOf(definition)),
  };
  const refuse = (code: string, message: string, retryable = false): PlannedCall => ({
    ...call,
    refused: { code, message, retryable },
  });
  if (!listsTool(agent, request.tool)) {
    return refuse(
      'tool_not_listed',
      `agent ${agent.name} may not call ${request.tool}: its definition does not list it`,
    );
  }
  const without = above.find((one) => !listsTool(one, request.tool));
  if (without !== undefined) {
    const text = `agent ${agent.name} may not call ${request.tool} here: it was delegated to, and agent ${without.agent} above it does not have that tool`;
    return refuse('tool_not_allowed_above', text);
  }
  if (definition === null) {
    return refuse(
      'unknown_tool',
      `no worker announces the tool ${request.tool} now: start one, or correct the name`,
      true,
    );
  }
  const agents = [agent.name, ...above.map((one) => one.agent)];
  const said = judgeCall({ policy, user, agents, definition, args: request.args, taint });
  if (said.words !== null) call = { ...call, policy: said.words };
  if (said.refused !== null) return { ...call, refused: said.refused };
  if (said.untrusted) call = { ...call, untrusted: true };
  const offPlan = planFault(request, plan);
  if (offPlan !== null) return { ...call, refused: offPlan };
  const fault = faults(definition.parameters, request.args);
  if (fault !== null) return { ...call, refused: fault };
  const stale = staleFault(fetched, call, now);
  if (stale !== null) return { ...call, refused: stale };
  const risk = riskOf(request, definition);
  const rules = policy.policy.approvals ?? rulesOf(agent);
  const reasons = reasonsFor(rules, definition, request, risk);
  if (policy.policy.approvals !== undefined && agent.approvals !== undefined) {
    const own = reasonsFor(agent.approvals, definition, request, risk);
    reasons.push(...own.filter((one) => !reasons.some(({ rule }) => rule === one.rule)));
  }
  reasons.push(...said.asked, ...asked);
  if (reasons.length === 0) return call;
  const terms = { digest: digest(request.args), risk, now, policy: policyOf(agent, policy.version) };
  return { ...call, ...termsFor(rules, reasons, terms) };
}

/** A call that says that it carries out a plan step: one of the plan in force, whose dependencies are done (RUN-4). */
function planFault({ plan_step: id }: CallRequest, plan: GateInput['plan']): ErrorInfo | null {
  if (id === undefined) return null;
  const refuse = (code: string, message: string): ErrorInfo => ({
    code,
    message: `${message}; without plan_step the call is made outside the plan`,
    retryable: true,
    field: 'plan_step',
  });
  const step = plan?.plan.steps.find((one) => one.id === id);
  if (plan === null || step === undefined) {
    const known = plan === null ? 'no plan is in force' : `it has: ${plan.plan.steps.map((one) => one.id).join(', ')}`;
    return refuse('unknown_plan_step', clip(`the plan has no step "${id}" (${known})`, 1_024));
  }
  const open = dependenciesOf(step).filter((one) => !plan.isDone(one));
  if (open.length === 0) return null;
  return refuse('plan_step_not_ready', clip(`plan step "${id}" waits for: ${open.join(', ')}`, 1_024));
}

export interface DelegationInput {
  agent: AgentDefinition;
  to: string;
  known: boolean;
  /** Runs above this one. */
  depth: number;
  /** Runs that it has delegated to before this one. */
  children: number;
  limits: Pick<Limits, 'depth' | 'children'>;
}

/** The gate for a delegation: listed → known → depth → fan-out. Null lets it through. */
export function gateDelegation({ agent, to, known, depth, children, limits }: DelegationInput): ErrorInfo | null {
  const refuse = (code: string, message: string): ErrorInfo => ({ code, message, retryable: false });
  if (!agent.delegates_to.includes(to)) {
    return refuse('agent_not_listed', `agent ${agent.name} may not delegate to ${to}: its definition does not list it`);
  }
  if (!known) return refuse('unknown_agent', `no agent named ${to} is defined here`);
  if (depth + 1 > limits.depth) {
    const text = `there are ${depth} runs above this one, and limits.depth allows a chain of ${limits.depth} below the first`;
    return refuse('delegation_too_deep', text);
  }
  if (children + 1 > limits.children) {
    const text = `this run has delegated ${children} times, and limits.children allows ${limits.children}`;
    return refuse('too_many_children', text);
  }
  return null;
}
