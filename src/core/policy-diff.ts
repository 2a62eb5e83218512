import type { Policy } from './policy.ts';

/** What is different between two policies, rule by rule: what a person wants to see before putting one into force. */

export interface PolicyChange {
  section: 'description' | 'own' | 'roles' | 'permissions' | 'autonomy' | 'taint' | 'approvals' | 'quotas';
  /** `moved`: the same rule, at another place among those that both have; the first that fits decides. */
  kind: 'added' | 'removed' | 'changed' | 'moved';
  /** Id or place of the rule, name of the field. */
  what: string;
  before?: unknown;
  after?: unknown;
}

export function policyChanges(before: Policy, after: Policy): PolicyChange[] {
  return [
    ...fields('description', { description: before.description }, { description: after.description }),
    ...fields('own', { own: before.own }, { own: after.own }),
    ...fields('roles', before.roles, after.roles),
    ...rules('permissions', before.permissions, after.permissions),
    ...rules('autonomy', before.autonomy, after.autonomy),
    ...fields('taint', before.taint, after.taint),
    ...fields('approvals', before.approvals ?? {}, after.approvals ?? {}),
    ...fields('quotas', before.quotas ?? {}, after.quotas ?? {}),
  ];
}

function fields(section: PolicyChange['section'], before: object, after: object): PolicyChange[] {
  const [old, now] = [before as Record<string, unknown>, after as Record<string, unknown>];
  return [...new Set([...Object.keys(old), ...Object.keys(now)])].flatMap((what): PolicyChange[] => {
    if (same(old[what], now[what])) return [];
    if (!Object.hasOwn(old, what)) return [{ section, kind: 'added', what, after: now[what] }];
    if (!Object.hasOwn(now, what)) return [{ section, kind: 'removed', what, before: old[what] }];
    return [{ section, kind: 'changed', what, before: old[what], after: now[what] }];
  });
}

type Rule = Policy['permissions'][number] | Policy['autonomy'][number];

function rules(section: 'permissions' | 'autonomy', before: Rule[], after: Rule[]): PolicyChange[] {
  const changes: PolicyChange[] = [];
  const old = keyed(before);
  const now = keyed(after);
  for (const [key, { rule, i }] of old) {
    if (!now.has(key)) changes.push({ section, kind: 'removed', what: nameOf(rule, section, i), before: rule });
  }
  // Of those that both have, in the order of the one and of the other.
  const stayed = [...old.keys()].filter((key) => now.has(key));
  const order = [...now.keys()].filter((key) => old.has(key));
  for (const [key, { rule, i }] of now) {
    const what = nameOf(rule, section, i);
    const was = old.get(key);
    if (was === undefined) changes.push({ section, kind: 'added', what, after: rule });
    else if (!same(was.rule, rule)) changes.push({ section, kind: 'changed', what, before: was.rule, after: rule });
    if (was !== undefined && stayed.indexOf(key) !== order.indexOf(key)) {
      changes.push({ section, kind: 'moved', what, before: was.i, after: i });
    }
  }
  return changes;
}

/** By its id, else by what it says; the same rule twice is two rules. */
function keyed(all: Rule[]): Map<string, { rule: Rule; i: number }> {
  const found = new Map<string, { rule: Rule; i: number }>();
  for (const [i, rule] of all.entries()) {
    const name = rule.id === undefined ? `says ${JSON.stringify(rule)}` : `id ${rule.id}`;
    let key = name;
    for (let n = 2; found.has(key); n++) key = `${name} ${n}`;
    found.set(key, { rule, i });
  }
  return found;
}

function nameOf(rule: Rule, section: string, i: number): string {
  return rule.id ?? `${section}.${i}`;
}

/** Both were parsed by one schema, so their fields stand in one order. */
function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
