import { BUILT_IN, Policy, type PolicyInput, type PolicyLines, type Taint } from '../../../src/core/policy.ts';
import { ToolDefinition } from '../../../src/core/tool.ts';
import { compilePolicy } from '../../../src/policy/permissions/compile.ts';
import { judgeCall } from '../../../src/policy/permissions/judge.ts';

export function compiled(policy: PolicyInput, lines: PolicyLines = {}, version = 3) {
  return compilePolicy({ ...BUILT_IN, version, policy: Policy.parse(policy), lines });
}

export interface Asked {
  user?: string;
  agents?: string[];
  tool?: string;
  on?: unknown;
  definition?: object;
  taint?: Taint | null;
}

/** What a policy says of a call whose argument `on` is what it is about. */
export function judged(policy: ReturnType<typeof compiled>, asked: Asked) {
  const { user = 'alice', agents = ['a'], tool = 't', on, definition = {}, taint = null } = asked;
  const declared = { name: tool, description: '', parameters: {}, effect: 'read', resource_field: 'on', ...definition };
  return judgeCall({
    policy,
    user,
    agents,
    definition: ToolDefinition.parse(declared),
    args: on === undefined ? {} : { on: on as string },
    taint,
  });
}

export function says(policy: ReturnType<typeof compiled>, asked: Asked): 'allow' | 'ask' | 'deny' {
  const verdict = judged(policy, asked);
  if (verdict.refused !== null) return 'deny';
  return verdict.asked.length === 0 ? 'allow' : 'ask';
}
