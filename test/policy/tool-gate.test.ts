import { describe, expect, it } from 'vitest';
import { AgentDefinition } from '../../src/core/agent.ts';
import { CallRequest } from '../../src/core/decision.ts';
import type { PolicyInput } from '../../src/core/policy.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import { type GateInput, gateCall } from '../../src/policy/tool-gate.ts';
import { compiled } from './permissions/support.ts';

const allows: PolicyInput = {
  permissions: [{ tool: '*', do: 'allow' }],
  autonomy: [{ agent: '*', level: 'autonomous' }],
};
const agent = (more: object = {}) => AgentDefinition.parse({ name: 'a', model: 'plan', tools: ['t'], ...more });
const tool = ToolDefinition.parse({
  name: 't',
  description: 't',
  parameters: { type: 'object' },
  effect: 'destructive',
});

/** A call that every gate lets through; only a person is still asked. */
const right: GateInput = {
  agent: agent(),
  above: [{ agent: 'b', tools: ['t'] }],
  policy: compiled(allows),
  user: 'u',
  taint: null,
  request: CallRequest.parse({ tool: 't' }),
  definition: tool,
  plan: null,
  faults: () => null,
  digest: () => 'd'.repeat(64),
  now: 1_000,
};

/** What each gate refuses, in the order of the gates. */
const GATES: [code: string, amiss: Partial<GateInput>][] = [
  ['tool_not_listed', { agent: agent({ tools: [] }) }],
  ['tool_not_allowed_above', { above: [{ agent: 'b', tools: [] }] }],
  ['unknown_tool', { definition: null }],
  ['not_permitted', { policy: compiled({ ...allows, permissions: [] }) }],
  ['unknown_plan_step', { request: CallRequest.parse({ tool: 't', plan_step: 'x' }) }],
  ['invalid_arguments', { faults: () => ({ code: 'invalid_arguments', message: '', retryable: true }) }],
];

describe('the gate of a call (TOOL-12)', () => {
  it('lets one through that is right: nothing but the approval is left', () => {
    expect(gateCall(right)).toMatchObject({ approval: { reasons: [{ rule: 'destructive' }], policy: 'policy@3' } });
    expect(gateCall(right).refused).toBeUndefined();
  });

  it.each(GATES.map(([code], i) => [code, i] as const))(
    '%s is said before what any later gate would say, and nobody is asked',
    (code, i) => {
      const amiss = Object.assign({}, ...GATES.slice(i).map(([, one]) => one));
      const planned = gateCall({ ...right, ...amiss });
      expect(planned.refused?.code).toBe(code);
      expect(planned).not.toHaveProperty('approval');
    },
  );

  it('never calls the schema of a tool that the policy denies', () => {
    let asked = 0;
    const faults = () => {
      asked++;
      return null;
    };
    gateCall({ ...right, policy: compiled({}), faults });
    expect(asked).toBe(0);
  });

  it('names the approvers of the policy, and lets the agent ask for more, not for less', () => {
    const policy = compiled({ ...allows, approvals: { risk: ['medium'], groups: ['leads'], needed: 2 } });
    const reads = ToolDefinition.parse({ ...tool, effect: 'read', amount_field: 'n' });
    const rules = (approvals: object | undefined, request: object) =>
      gateCall({
        ...right,
        agent: agent(approvals === undefined ? {} : { approvals }),
        policy,
        definition: reads,
        request: CallRequest.parse({ tool: 't', args: { n: 50 }, ...request }),
      }).approval;
    expect(rules(undefined, {})).toBeUndefined();
    expect(rules({ risk: [], amount_over: 1e9 }, { risk: 'medium' })).toMatchObject({
      reasons: [{ rule: 'risk' }],
      groups: ['leads'],
      needed: 2,
    });
    expect(rules({ amount_over: 10, groups: ['mine'] }, {})).toMatchObject({
      reasons: [{ rule: 'amount' }],
      groups: ['leads'],
    });
  });
});
