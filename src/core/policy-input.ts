import { ApprovalRules } from './approval-rules.ts';
import { BreakerRule } from './ledger-wire.ts';
import { AutonomyRule, PermissionRule, Policy, rulesAmiss, TaintRules } from './policy.ts';
import { BreakerSettings, Budget, Budgets, Cap, Quotas, Rate } from './quotas.ts';
import { type WrittenFault, writtenFaults } from './written-faults.ts';

/** Policies as people write them: all faults at once, each with its path. */

export type CheckedPolicy = { policy: Policy } | { faults: WrittenFault[] };

export function checkPolicy(value: unknown): CheckedPolicy {
  const parsed = Policy.safeParse(value);
  if (parsed.success) return { policy: parsed.data };
  const { issues } = parsed.error;
  // The schema looks at rules together only when each of them is right.
  const known = new Set(issues.map(({ path }) => path.join('.')));
  const amiss = typeof value === 'object' && value !== null ? rulesAmiss(value) : [];
  const more = amiss
    .filter(({ path }) => !known.has(path.join('.')))
    .map(({ path, message }) => ({ code: 'custom' as const, input: value, path, message }));
  return { faults: writtenFaults([...issues, ...more], 'policy', knownKeys) };
}

function knownKeys([section, item, index, ...rest]: PropertyKey[]): string[] {
  if (section === undefined) return Object.keys(Policy.shape);
  if (section === 'permissions') return Object.keys(PermissionRule.shape);
  if (section === 'autonomy') return Object.keys(AutonomyRule.shape);
  if (section === 'approvals') return item === undefined ? Object.keys(ApprovalRules.shape) : ['group', 'after_ms'];
  if (section === 'quotas') return knownInQuotas(item, index, rest);
  if (section !== 'taint') return [];
  if (item === undefined) return Object.keys(TaintRules.shape);
  return index === undefined ? [] : ['tool', 'resource', 'trusted'];
}

function knownInQuotas(part: PropertyKey | undefined, index: PropertyKey | undefined, [more]: PropertyKey[]): string[] {
  switch (part) {
    case undefined:
      return Object.keys(Quotas.shape);
    case 'users':
    case 'agents':
      return index === undefined ? [] : Object.keys((more === undefined ? Budgets : Budget).shape);
    case 'team':
      return Object.keys(Budget.shape);
    case 'rates':
      return Object.keys(Rate.shape);
    case 'caps':
      return Object.keys(Cap.shape);
    case 'breakers':
      return Object.keys((more === undefined ? BreakerSettings : BreakerRule).shape);
    default:
      return [];
  }
}
