import { describe, expect, it } from 'vitest';
import { Accounts } from '../../../src/policy/ledger/accounts.ts';

/**
 * The fault: what was spent in a month is found by the number of the month alone, so November of last year counts against
 * this one; the same with hours without their day.
 */

const reserve = (id: string, period: 'hour' | 'day' | 'month') => ({
  v: 1 as const,
  kind: 'reserve' as const,
  id,
  run: 'r',
  epoch: 1,
  until: Number.MAX_SAFE_INTEGER,
  amount: { nanos: 60, tokens: 0, count: 0 },
  accounts: [{ scope: 'user:alice', period, max_nanos: 100 }],
});

describe('what was spent in a period', () => {
  it.each([
    ['month', '2025-11-30T23:59:59Z', '2026-11-01T00:00:00Z'],
    ['day', '2026-10-15T12:00:00Z', '2026-11-15T12:00:00Z'],
    ['hour', '2026-11-14T12:30:00Z', '2026-11-15T12:30:00Z'],
  ] as const)('counts in that %s and not in one of the same number', (period, before, now) => {
    const accounts = new Accounts();
    expect(accounts.reserve(reserve('then', period), Date.parse(before))).toEqual({ granted: true });
    accounts.settle('then', { nanos: 60, tokens: 0, count: 0 });
    expect(accounts.reserve(reserve('now', period), Date.parse(now))).toEqual({ granted: true });
    // Within one period it does count.
    expect(accounts.reserve(reserve('again', period), Date.parse(now) + 1_000)).toMatchObject({ granted: false });
  });
});
