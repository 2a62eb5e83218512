import type { PlannedCall } from './events.ts';
import { BUILT_IN, type PolicyWords } from './policy.ts';

/** Gates that a call comes to before the policy is asked. */
const BEFORE = new Set(['tool_not_listed', 'tool_not_allowed_above', 'unknown_tool', 'tool_not_known']);

/** The rules that let a call pass or not; also what the journal leaves out as it goes without saying. */
export function wordsOf({ tool, policy, refused }: PlannedCall): PolicyWords {
  if (policy !== undefined) return policy;
  if (tool.startsWith('agent:') || BEFORE.has(refused?.code ?? '')) return { version: 0, rules: [] };
  const line = BUILT_IN.lines['permissions.0'];
  const rule = { gate: 'permission' as const, says: 'allow' as const, rule: 'built-in' };
  return { version: 0, rules: [line === undefined ? rule : { ...rule, line }] };
}
