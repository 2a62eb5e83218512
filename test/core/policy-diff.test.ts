import { describe, expect, it } from 'vitest';
import { Policy, type PolicyInput } from '../../src/core/policy.ts';
import { policyChanges } from '../../src/core/policy-diff.ts';

const changes = (before: PolicyInput, after: PolicyInput) =>
  policyChanges(Policy.parse(before), Policy.parse(after)).map(
    ({ section, kind, what }) => `${section} ${what} ${kind}`,
  );

describe('what is different between two policies', () => {
  const a = { id: 'a', tool: 'a', do: 'allow' as const };
  const b = { id: 'b', tool: 'b', do: 'allow' as const };
  const c = { tool: 'c', do: 'deny' as const };

  it('is nothing between the same', () => {
    expect(changes({ permissions: [a, b, c, c] }, { permissions: [a, b, c, c] })).toEqual([]);
  });

  it('is told rule by rule: a rule more before others does not move those', () => {
    expect(changes({ permissions: [a, b] }, { permissions: [c, a, { ...b, do: 'ask' }] })).toEqual([
      'permissions permissions.0 added',
      'permissions b changed',
    ]);
    expect(changes({ permissions: [a, c] }, { permissions: [a] })).toEqual(['permissions permissions.1 removed']);
  });

  it('tells of an order that changed: the first rule that fits decides', () => {
    expect(changes({ permissions: [a, b] }, { permissions: [b, a] })).toEqual([
      'permissions b moved',
      'permissions a moved',
    ]);
  });

  it('covers every section', () => {
    const after: PolicyInput = {
      description: 'x',
      own: '{user}/',
      roles: { admin: ['root'] },
      autonomy: [{ agent: '*', level: 'observe' }],
      taint: { writes: 'deny' },
      approvals: { needed: 2 },
      quotas: { caps: [{ for: 'tool:pay', usd: 100 }] },
    };
    const found = changes({}, after);
    for (const section of Object.keys(after))
      expect(
        found.some((one) => one.startsWith(section)),
        section,
      ).toBe(true);
  });
});
