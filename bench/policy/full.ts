import type { PolicyInput } from '../../src/core/policy.ts';

/** Every section in force, and a call that passes all of it: what a policy costs. */
export const FULL_POLICY: PolicyInput = {
  description: 'For the benchmark of the policy.',
  roles: { admin: ['root', 'ops-*'], staff: ['w*', 'alice', 'bob'] },
  own: '{user}:',
  permissions: [
    { id: 'admins', role: 'admin', tool: '*', do: 'allow' },
    { id: 'no-deletes', tool: 'delete_*', do: 'deny' },
    { id: 'refunds-ask', tool: 'refund*', do: 'ask' },
    { id: 'mail-of-desk', agent: 'desk-*', tool: 'send_mail', do: 'allow' },
    { id: 'own-files', tool: 'write_*', resource: 'own:*', do: 'allow' },
    { id: 'other-files', tool: 'write_*', do: 'deny' },
    { id: 'reading', tool: 'read_*', do: 'allow' },
    { id: 'lookups', role: 'staff', tool: 'look*', do: 'allow' },
  ],
  autonomy: [
    { id: 'new-ones', agent: 'new-*', level: 'observe' },
    { id: 'bench', agent: 'bench*', level: 'autonomous' },
  ],
  taint: { writes: 'ask', egress: 'deny', sources: [{ tool: 'http_*' }, { tool: 'read_mail' }] },
  approvals: { groups: ['approvers'] },
  quotas: {
    users: { '*': { day: { usd: 1_000_000, tokens: 1_000_000_000_000 }, month: { usd: 1_000_000 } } },
    agents: { bench: { day: { usd: 1_000_000 } } },
    team: { usd: 1_000 },
    rates: [{ for: 'tool:send_mail', per: 'user', capacity: 10, every_ms: 60_000 }],
    caps: [{ for: 'tool:delete_*', calls: 100 }],
    breakers: [{ for: 'tool:lookup', rule: { failures: 5, open_ms: 60_000, successes: 2 } }],
  },
};

/** What the model of the benchmark costs where its calls are to be reserved and settled; USD a million tokens. */
export const PRICES = { v: 1 as const, prices: [{ model: 'bench', from: '2020-01-01', input: 1, output: 1 }] };
