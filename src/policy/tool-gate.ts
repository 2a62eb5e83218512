import type { AgentDefinition } from '../core/agent.ts';
import { listsTool } from '../core/agent.ts';
import type { CallRequest } from '../core/decision.ts';
import { clip, type ErrorInfo } from '../core/errors.ts';
import type { PlannedCall } from '../core/events.ts';
import type { Json } from '../core/json.ts';
import { dependenciesOf, type Plan } from '../core/plan.ts';
import type { ToolDefinition } from '../core/tool.ts';

/** How long an approval is waited for before the call counts as not approved (APPR-2), milliseconds. */
export const APPROVAL_MS = 300_000;

/** Deepest chain of delegated runs (SUP-8). */
export const MAX_DELEGATION_DEPTH = 5;
/** Most runs that one run may delegate to (SUP-8). */
export const MAX_CHILDREN = 20;

export interface GateInput {
  agent: AgentDefinition;
  request: CallRequest;
  /** What the tool's source announces now; null when nobody does. */
  definition: ToolDefinition | null;
  /** The plan in force and which of its steps are done; null without one. */
  plan: { plan: Plan; isDone: (step: string) => boolean } | null;
  /** Faults of the arguments against the announced schema. */
  faults: (schema: Record<string, Json>, args: Json) => ErrorInfo | null;
  now: number;
}

/**
 * The gate for one call (TOOL-12): listed → exists → plan → parameters → approval. A refusal names its gate in the code and is
 * an observation for the model; the call is not made. Unknown or undeclared means the careful choice.
 */
export function gateCall({ agent, request, definition, plan, faults, now }: GateInput): PlannedCall {
  const call = {
    tool: request.tool,
    ...(request.plan_step === undefined ? {} : { plan_step: request.plan_step }),
    idempotent: definition?.idempotent ?? false,
    timeout_ms: definition?.timeout_ms ?? 0,
    ...(definition === null ? {} : { version: definition.version }),
    ...(definition?.volatile === undefined ? {} : { volatile: definition.volatile }),
    ...(definition?.effect === 'read' ? { reads: true as const } : {}),
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
  if (definition === null) {
    return refuse(
      'unknown_tool',
      `no worker announces the tool ${request.tool} now: start one, or correct the name`,
      true,
    );
  }
  const offPlan = planFault(request, plan);
  if (offPlan !== null) return { ...call, refused: offPlan };
  const fault = faults(definition.parameters, request.args);
  if (fault !== null) return { ...call, refused: fault };
  const risk = request.risk === 'high' || definition.risk === 'high' ? 'high' : 'lower';
  if (definition.requires_approval || definition.effect === 'destructive' || risk === 'high') {
    return { ...call, approval_until: now + APPROVAL_MS };
  }
  return call;
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
  children: number;
}

/** The gate for a delegation: listed → known → depth → fan-out. Null lets it through. */
export function gateDelegation({ agent, to, known, depth, children }: DelegationInput): ErrorInfo | null {
  const refuse = (code: string, message: string): ErrorInfo => ({ code, message, retryable: false });
  if (!agent.delegates_to.includes(to)) {
    return refuse('agent_not_listed', `agent ${agent.name} may not delegate to ${to}: its definition does not list it`);
  }
  if (!known) return refuse('unknown_agent', `no agent named ${to} is defined here`);
  if (depth + 1 > MAX_DELEGATION_DEPTH) {
    return refuse('delegation_too_deep', `this run is ${depth} deep and ${MAX_DELEGATION_DEPTH} is the deepest`);
  }
  if (children + 1 > MAX_CHILDREN) {
    return refuse('too_many_children', `this run has delegated ${children} times and ${MAX_CHILDREN} are allowed`);
  }
  return null;
}
