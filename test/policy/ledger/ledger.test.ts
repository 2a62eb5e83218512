import { describe, expect, it } from 'vitest';
import { Accounts, spanOf } from '../../../src/policy/ledger/accounts.ts';
import { Breakers } from '../../../src/policy/ledger/breakers.ts';
import { Buckets } from '../../../src/policy/ledger/buckets.ts';

const at = (iso: string) => Date.parse(iso);
const nanos = (n: number) => ({ nanos: n, tokens: 0, count: 0 });
const reserve = (id: string, n: number, max: number, period: 'day' | 'month' = 'day') => ({
  v: 1 as const,
  kind: 'reserve' as const,
  id,
  run: 'r',
  epoch: 1,
  until: 0,
  amount: nanos(n),
  accounts: [{ scope: 'user:alice', period, max_nanos: max }],
});

describe('accounts', () => {
  it('COST-2: begin anew at 00:00 UTC, and a month is that of its year', () => {
    expect(spanOf('day', at('2026-11-30T23:59:59.999Z'))).toEqual({
      name: '2026-11-30',
      until: at('2026-12-01T00:00:00Z'),
    });
    expect(spanOf('month', at('2026-12-31T12:00:00Z'))).toEqual({ name: '2026-12', until: at('2027-01-01T00:00:00Z') });
    expect(spanOf('hour', at('2026-11-30T23:59:59Z'))).toEqual({
      name: '2026-11-30T23',
      until: at('2026-12-01T00:00:00Z'),
    });
    const accounts = new Accounts();
    const november = at('2026-11-30T23:59:00Z');
    expect(accounts.reserve(reserve('a', 90, 100, 'month'), november)).toEqual({ granted: true });
    accounts.settle('a', nanos(90));
    expect(accounts.reserve(reserve('b', 20, 100, 'month'), november)).toMatchObject({
      granted: false,
      unit: 'nanos',
      left: 10,
      until: at('2026-12-01T00:00:00Z'),
    });
    expect(accounts.reserve(reserve('c', 20, 100, 'month'), at('2027-11-30T23:59:00Z'))).toEqual({ granted: true });
  });

  it('settle in the account that was reserved from, also when its day is over', () => {
    const accounts = new Accounts();
    accounts.reserve(reserve('a', 60, 100), at('2026-11-29T23:59:59Z'));
    accounts.sweep(at('2026-11-30T08:00:00Z'));
    accounts.settle('a', nanos(70));
    expect(accounts.read({ scope: 'user:alice', period: 'day' }, at('2026-11-29T12:00:00Z'))).toMatchObject({
      spent: nanos(70),
      held: nanos(0),
    });
    expect(accounts.read({ scope: 'user:alice', period: 'day' }, at('2026-11-30T12:00:00Z')).spent).toEqual(nanos(0));
    accounts.sweep(at('2026-11-30T09:00:00Z'));
    expect(accounts.accounts.size).toBe(0);
  });

  it('are charged the estimate of what was lost, once', () => {
    const accounts = new Accounts();
    const now = at('2026-11-29T10:00:00Z');
    accounts.reserve(reserve('a', 60, 100), now);
    accounts.reserve(reserve('a', 60, 100), now);
    expect(accounts.leftBy('r', 2)).toEqual(['a']);
    expect(accounts.leftBy('r', 1)).toEqual([]);
    expect([accounts.lose('a'), accounts.lose('a'), accounts.settle('a', nanos(5))]).toEqual([true, false, false]);
    expect(accounts.read({ scope: 'user:alice', period: 'day' }, now)).toMatchObject({ spent: nanos(60) });
  });

  it('take all or none', () => {
    const accounts = new Accounts();
    const now = at('2026-11-29T10:00:00Z');
    const both = {
      ...reserve('a', 50, 100),
      accounts: [
        { scope: 'user:alice', period: 'day' as const, max_nanos: 100 },
        { scope: 'agent:x', period: 'day' as const, max_nanos: 40 },
      ],
    };
    expect(accounts.reserve(both, now)).toMatchObject({ granted: false, account: { scope: 'agent:x' }, left: 40 });
    expect(accounts.read({ scope: 'user:alice', period: 'day' }, now).held).toEqual(nanos(0));
  });
});

describe('buckets', () => {
  it('TOOL-8: are one bucket over all takes, fill over time, and say when they have enough', () => {
    const buckets = new Buckets();
    const ref = { scope: 'tool:t', capacity: 10, every_ms: 60_000, take: 1 };
    for (let i = 0; i < 10; i++) expect(buckets.take([ref], 1_000)).toEqual({ granted: true });
    expect(buckets.take([ref], 1_000)).toEqual({ granted: false, scope: 'tool:t', again_at: 61_000 });
    expect(buckets.take([ref], 31_000)).toEqual({ granted: false, scope: 'tool:t', again_at: 61_000 });
    expect(buckets.take([ref], 61_000)).toEqual({ granted: true });
    expect(buckets.take([{ ...ref, take: 11 }], 61_000)).toEqual({ granted: false, scope: 'tool:t', again_at: null });
    buckets.sweep(86_400_000);
    expect(buckets.buckets.size).toBe(0);
  });
});

describe('breakers', () => {
  const rule = { failures: 5, open_ms: 60_000, successes: 2 };
  const opened = () => {
    const breakers = new Breakers();
    for (let i = 0; i < 5; i++) breakers.outcome('tool:t', false, undefined, rule, 1_000);
    return breakers;
  };

  it('TOOL-7: open after failures in a row, and a success between them begins the row anew', () => {
    const breakers = new Breakers();
    for (const ok of [false, false, false, false, true, false, false, false, false])
      breakers.outcome('t', ok, undefined, rule, 0);
    expect(breakers.get('t')).toMatchObject({ state: 'closed', failures: 4 });
    breakers.outcome('t', false, undefined, rule, 0);
    expect(breakers.get('t')).toMatchObject({ state: 'open', until: 60_000 });
  });

  it('a failure in half open opens again, and the successes before it count no more', () => {
    const breakers = opened();
    expect(breakers.probe('early', 'tool:t', rule, 60_999)).toEqual({ granted: false, again_at: 61_000 });
    expect(breakers.probe('p1', 'tool:t', rule, 61_000)).toEqual({ granted: true });
    breakers.outcome('tool:t', true, 'p1', rule, 61_500);
    expect(breakers.get('tool:t')).toMatchObject({ state: 'half_open', successes: 1 });
    expect(breakers.probe('p2', 'tool:t', rule, 61_600)).toEqual({ granted: true });
    breakers.outcome('tool:t', false, 'p2', rule, 61_700);
    expect(breakers.get('tool:t')).toMatchObject({ state: 'open', successes: 0, until: 121_700 });
    for (const id of ['p3', 'p4']) {
      expect(breakers.probe(id, 'tool:t', rule, 121_700)).toEqual({ granted: true });
      breakers.outcome('tool:t', true, id, rule, 121_800);
    }
    expect(breakers.get('tool:t').state).toBe('closed');
  });

  it('half open lets so many through and no more, and a probe that is never heard of gives its place back', () => {
    const breakers = opened();
    const ask = (id: string, now: number) => breakers.probe(id, 'tool:t', rule, now).granted;
    expect([ask('p1', 61_000), ask('p2', 61_000), ask('p3', 61_000), ask('p1', 61_000)]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    expect(ask('p4', 121_001)).toBe(true);
    // What began before it opened says nothing.
    breakers.outcome('tool:t', true, undefined, rule, 121_002);
    expect(breakers.get('tool:t').state).toBe('half_open');
    breakers.reset('tool:t');
    expect(breakers.get('tool:t').state).toBe('closed');
  });
});
