import { describe, expect, it } from 'vitest';
import { AgentDefinition } from '../../src/core/agent.ts';
import { checkAgent } from '../../src/core/agent-input.ts';
import { CallRequest } from '../../src/core/decision.ts';
import { BUILT_IN } from '../../src/core/policy.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import { groupsAt, reasonsFor, riskOf, rulesOf, termsFor } from '../../src/policy/approvals.ts';
import { compilePolicy } from '../../src/policy/permissions/compile.ts';
import { gateCall } from '../../src/policy/tool-gate.ts';

const agent = (more: object = {}) => AgentDefinition.parse({ name: 'a', model: 'plan', tools: ['*'], ...more });
const tool = (more: object = {}) =>
  ToolDefinition.parse({ name: 't', description: 't', parameters: { type: 'object' }, ...more });

function rules(definition: object, request: object = {}, approvals?: object): string[] {
  const made = agent(approvals === undefined ? {} : { approvals });
  const call = CallRequest.parse({ tool: 't', ...request });
  const declared = tool(definition);
  return reasonsFor(rulesOf(made), declared, call, riskOf(call, declared)).map(({ rule }) => rule);
}

describe('an approval is needed (APPR-1)', () => {
  it.each([
    ['not for an ordinary call', {}, {}, undefined, []],
    ['for a protected tool', { requires_approval: true }, {}, undefined, ['tool_protected']],
    ['for what cannot be undone', { effect: 'destructive' }, {}, undefined, ['destructive']],
    ['for a high risk', { risk: 'high' }, {}, undefined, ['risk']],
    ['for a risk that the call raises', { risk: 'low' }, { risk: 'high' }, undefined, ['risk']],
    ['for a risk that the call tries to lower', { risk: 'high' }, { risk: 'low' }, undefined, ['risk']],
    ['not for a medium risk', { risk: 'medium' }, {}, undefined, []],
    ['for a medium risk that the agent lists', { risk: 'medium' }, {}, { risk: ['medium'] }, ['risk']],
    ['not for any risk when none is listed', { risk: 'high' }, {}, { risk: [] }, []],
    ['not for an amount of 1,000', { amount_field: 'n' }, { args: { n: 1_000 } }, undefined, []],
    ['for an amount over 1,000', { amount_field: 'n' }, { args: { n: 1_000.01 } }, undefined, ['amount']],
    ['for one that goes the other way', { amount_field: 'n' }, { args: { n: -5_000 } }, undefined, ['amount']],
    ['for an amount further in', { amount_field: 'o.n' }, { args: { o: { n: 2_000 } } }, undefined, ['amount']],
    ['for an amount that is missing', { amount_field: 'o.n' }, { args: { o: {} } }, undefined, ['amount']],
    ['for an amount that is a text', { amount_field: 'n' }, { args: { n: '5' } }, undefined, ['amount']],
    ['for one over what the agent says', { amount_field: 'n' }, { args: { n: 11 } }, { amount_over: 10 }, ['amount']],
    [
      'and all that ask for it are named',
      { requires_approval: true, effect: 'destructive', risk: 'high' },
      {},
      undefined,
      ['tool_protected', 'destructive', 'risk'],
    ],
  ])('%s', (_name, definition, request, approvals, expected) => {
    expect(rules(definition, request, approvals)).toEqual(expected);
  });

  it('also when another rule asks for it, in the journal beside the call', () => {
    const asked = [{ rule: 'loop', text: 'the same call for the fifth time' }];
    const input = {
      agent: agent(),
      above: [],
      policy: compilePolicy(BUILT_IN),
      user: 'u',
      taint: null,
      request: CallRequest.parse({ tool: 't' }),
      definition: tool({ effect: 'read' }),
      plan: null,
    };
    const more = { faults: () => null, digest: () => 'd'.repeat(64), now: 1_000 };
    expect(gateCall({ ...input, ...more })).not.toHaveProperty('approval');
    expect(gateCall({ ...input, ...more, asked })).toMatchObject({
      approval_until: 301_000,
      approval: { digest: 'd'.repeat(64), reasons: asked, needed: 1, groups: ['approvers'], policy: 'a@1' },
    });
  });

  it('within 300 s, of one approver, unless the agent says otherwise (APPR-2, APPR-3)', () => {
    const reasons = [{ rule: 'risk', text: 'x' }];
    const at = { digest: 'd'.repeat(64), risk: 'high' as const, now: 0, policy: 'a@1' };
    expect(termsFor(rulesOf(agent()), reasons, at)).toMatchObject({ approval_until: 300_000, approval: { needed: 1 } });
    const own = { timeout_ms: 60_000, needed: 2, groups: ['finance'], escalate: { group: 'board', after_ms: 30_000 } };
    const { approval, approval_until } = termsFor(rulesOf(agent({ approvals: own })), reasons, at);
    expect(approval_until).toBe(60_000);
    expect(approval).toMatchObject({ needed: 2, groups: ['finance'], escalate: { group: 'board', at: 30_000 } });
    expect(groupsAt(approval, 29_999)).toEqual(['finance']);
    expect(groupsAt(approval, 30_000)).toEqual(['finance', 'board']);
  });
});

describe('the approvals of an agent', () => {
  const faultsOf = (approvals: object): string[] => {
    const checked = checkAgent({ name: 'a', model: 'plan', approvals });
    return 'faults' in checked ? checked.faults.map(({ text }) => text) : [];
  };

  it('are checked, each fault with its path', () => {
    expect(faultsOf({ needed: 0, grups: ['x'] })).toEqual([
      expect.stringMatching(/^approvals\.needed: /),
      'approvals.grups: unknown field; did you mean "groups"?',
    ]);
    expect(faultsOf({ timeout_ms: 5_000, escalate: { group: 'b', after_ms: 5_000 } })).toEqual([
      'approvals.escalate.after_ms: expected less than timeout_ms: afterwards nobody can be asked any more',
    ]);
    expect(faultsOf({ groups: ['two words'] })[0]).toMatch(/^approvals\.groups\.0: expected 1 to 32 letters/);
  });
});
