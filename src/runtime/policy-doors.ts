import { digestOf } from '../core/canonical.ts';
import { CallRequest } from '../core/decision.ts';
import type { ApiBody } from '../core/door-wire.ts';
import { AppError, describeFaults } from '../core/errors.ts';
import type { PlannedCall } from '../core/events.ts';
import { BUILT_IN, type PolicyAnswer, type PolicyRecord } from '../core/policy.ts';
import { wordsOf } from '../core/policy-words.ts';
import { compilePolicy } from '../policy/permissions/compile.ts';
import { gateCall } from '../policy/tool-gate.ts';
import { unknownAgent } from './agent-doors.ts';
import type { NodeDeps } from './deps.ts';

/** What nodes answer about the policy. */

export async function policyDetails({ policies }: NodeDeps, { version }: ApiBody<'policy'>) {
  const { record, at } = await policies.get(version);
  return { ...record, at, current: policies.version };
}

export async function putPolicy({ policies }: NodeDeps, { v: _version, ...order }: ApiBody<'policy_put'>) {
  return { ok: true, ...(await policies.apply(order)) };
}

/** The very gate that calls of runs go through, with nothing behind it. */
export async function testPolicy(deps: NodeDeps, { call, candidate }: ApiBody<'policy_test'>): Promise<PolicyAnswer> {
  const { policies, agents, tools, validator, signatures } = deps;
  const agent = await agents.find(call.agent);
  if (agent === undefined) throw unknownAgent(deps, call.agent, 'call.agent');
  const above = await Promise.all(
    call.above.map(async (name) => {
      const found = await agents.find(name);
      if (found === undefined) throw unknownAgent(deps, name, 'call.above');
      return { agent: name, tools: found.tools };
    }),
  );
  await policies.get();
  // Of a version that there may be: the one after the one in force.
  const next: PolicyRecord = { ...BUILT_IN, version: policies.version + 1, lines: {}, ...candidate };
  const policy = candidate === undefined ? await policies.over(policies.version) : compilePolicy(next);
  const planned = gateCall({
    agent,
    above,
    policy,
    user: call.user,
    taint: call.tainted ? { tool: 'a tool', c: '0-0' } : null,
    request: requestIn(call),
    definition: await tools.find(call.tool),
    plan: null,
    faults: (schema, args) => validator.faults(schema, args),
    digest: (args) => digestOf(signatures, args),
    now: 0,
  });
  return answerOf(planned, policy.version);
}

function requestIn({ tool, args, risk }: ApiBody<'policy_test'>['call']): CallRequest {
  const request = CallRequest.safeParse({ tool, args, risk });
  if (request.success) return request.data;
  const { message, field } = describeFaults(request.error, 'call');
  throw new AppError('invalid_request', message, { field });
}

function answerOf(planned: PlannedCall, version: number): PolicyAnswer {
  const { refused, approval, approval_until: timeout_ms = 0 } = planned;
  return {
    verdict: refused !== undefined ? 'deny' : approval === undefined ? 'allow' : 'ask',
    ...(refused === undefined ? {} : { code: refused.code, message: refused.message }),
    policy: { ...wordsOf(planned), version },
    reasons: approval?.reasons ?? [],
    groups: approval?.groups ?? [],
    needed: approval?.needed ?? 0,
    timeout_ms,
    untrusted: planned.untrusted === true,
  };
}
