import { describe, expect, it } from 'vitest';
import { AUTONOMY_LEVELS, BUILT_IN, FIRST_LEVEL, Policy, type PolicyInput, TaintRules } from '../../src/core/policy.ts';
import { compilePolicy } from '../../src/policy/permissions/compile.ts';

/** What holds when nobody says otherwise: of a policy. */

const compiled = (policy: PolicyInput) => compilePolicy({ ...BUILT_IN, policy: Policy.parse(policy), lines: {} });
const asked = { user: 'bob', agent: 'a', tool: 'read_order', resource: 'bob:1' };

describe('a policy', () => {
  it('SEC-1: denies what no rule allows, and the first rule that fits decides', () => {
    expect(compiled({}).permission(asked)).toMatchObject({ says: 'deny', rule: 'default' });
    const rules = [
      { id: 'first', tool: 'read_*', do: 'ask' as const },
      { id: 'second', tool: '*', do: 'allow' as const },
    ];
    expect(compiled({ permissions: rules }).permission(asked)).toMatchObject({ says: 'ask', rule: 'first' });
  });

  it('SEC-4: knows four levels, and an agent that it does not name is read_only', () => {
    expect(AUTONOMY_LEVELS).toEqual(['observe', 'read_only', 'supervised', 'autonomous']);
    expect(FIRST_LEVEL).toBe('read_only');
    expect(compiled({}).level(['new'])).toMatchObject({ level: 'read_only' });
    // Also until one is applied (decision 22).
    expect(compilePolicy(BUILT_IN).level(['new'])).toMatchObject({ level: 'read_only' });
  });

  it('SEC-5: asks for writes and for what leaves, once content from outside was read', () => {
    expect(TaintRules.parse({})).toMatchObject({ writes: 'ask', egress: 'ask' });
    expect(compiled({}).tainted('writes')).toMatchObject({ says: 'ask' });
    expect(compiled({}).tainted('egress')).toMatchObject({ says: 'ask' });
  });
});
