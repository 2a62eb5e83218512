import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { Quotas, quotasFrom } from '../../src/core/quotas.ts';
import { accountsOf, breakerOf, bucketsOf, capsOf, estimateOf, isPriced, nanosOf } from '../../src/policy/quotas.ts';

const spender = { user: 'alice', agent: 'invoices', root: 'run-1' };
const price = { model: 'm', from: '2020-01-01', input: 3, output: 15 };

describe('quotas', () => {
  it('COST-2: 10 USD a user a day, and nothing else, unless told otherwise', () => {
    expect(accountsOf(quotasFrom(undefined), spender)).toEqual([
      { scope: 'user:alice', period: 'day', max_nanos: 10_000_000_000 },
    ]);
  });

  it('TOOL-7: tools 5 failures, 60 s, 2 successes; models 3, 30 s, 2, unless told otherwise', () => {
    const quotas = quotasFrom({ breakers: [{ for: 'tool:w*', rule: null }] });
    expect(breakerOf(quotas, 'tool:mail')).toEqual({ failures: 5, open_ms: 60_000, successes: 2 });
    expect(breakerOf(quotas, 'model:openai/x')).toEqual({ failures: 3, open_ms: 30_000, successes: 2 });
    expect(breakerOf(quotas, 'tool:weather')).toBeNull();
  });

  it('take the budget of the name before that of everybody, also where it allows more or nothing', () => {
    const quotas = quotasFrom({
      users: { '*': { day: { usd: 1 } }, alice: { month: { tokens: 5 } }, bob: {} },
      agents: { invoices: { day: { usd: 2, tokens: 7 } } },
      team: { usd: 3 },
    });
    expect(accountsOf(quotas, spender)).toEqual([
      { scope: 'user:alice', period: 'month', max_tokens: 5 },
      { scope: 'agent:invoices', period: 'day', max_nanos: 2_000_000_000, max_tokens: 7 },
      { scope: 'team:run-1', period: 'ever', max_nanos: 3_000_000_000 },
    ]);
    expect(accountsOf({ ...quotas, team: undefined }, { user: 'bob', agent: 'x', root: 'r' })).toEqual([]);
    // A name that every object has.
    expect(accountsOf(quotas, { user: 'constructor', agent: 'toString', root: 'r' })[0]).toMatchObject({
      scope: 'user:constructor',
      max_nanos: 1_000_000_000,
    });
  });

  it('give each tool that a pattern matches a bucket and a cap of its own', () => {
    const quotas = quotasFrom({
      rates: [
        { for: 'tool:mail*', per: 'user', capacity: 10, every_ms: 60_000 },
        { for: 'tool:*', capacity: 100, every_ms: 600 },
      ],
      caps: [{ for: 'tool:delete_row', calls: 3 }],
    });
    expect(bucketsOf(quotas, 'tool:mail_all', 'bob').map(({ scope, capacity }) => [scope, capacity])).toEqual([
      ['tool:mail_all user:bob', 10],
      ['tool:mail_all', 100],
    ]);
    expect(bucketsOf(quotas, 'model:mail', 'bob')).toEqual([]);
    expect(capsOf(quotas, 'tool:delete_row')).toEqual([{ scope: 'cap:tool:delete_row', period: 'hour', max_count: 3 }]);
    expect(capsOf(quotas, 'tool:delete_rows')).toEqual([]);
  });

  it('that are wrong are refused with every fault', () => {
    const bad = { users: { alice: { day: { usd: -1 } } }, rates: [{ for: 'mail', capacity: 0, every_ms: 1 }] } as never;
    try {
      quotasFrom(bad);
      expect.fail('not refused');
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(AppError);
      const { code, message, field } = thrown as AppError;
      expect([code, field]).toEqual(['bad_quotas', 'users.alice.day.usd']);
      expect(message).toContain('rates.0.for: expected tool:NAME or model:NAME');
      expect(message).toContain('rates.0.capacity');
    }
  });

  it('are read back as they are written', () => {
    const quotas = quotasFrom({ team: { usd: 1 } });
    expect(Quotas.parse(JSON.parse(JSON.stringify(quotas)))).toEqual(quotas);
  });
});

describe('the estimate of a model call', () => {
  const asked = { chars: 3_000, inputTokens: 0, calls: 0, maxOutputTokens: 1_000 };

  it('is the most output, and the input of the calls before and a quarter, or what the task and its surroundings are', () => {
    expect(estimateOf(price, asked)).toEqual({
      nanos: nanosOf((2_000 * 3 + 1_000 * 15) / 1e6),
      tokens: 3_000,
      count: 0,
    });
    expect(estimateOf(price, { ...asked, inputTokens: 40_000, calls: 4 }).tokens).toBe(12_500 + 1_000);
  });

  it('is a whole number of nanos, never below the price', () => {
    const { nanos } = estimateOf({ ...price, input: 0.000_1, output: 0 }, asked);
    expect(nanos).toBe(200);
    expect(nanosOf(0.000_000_001_1)).toBe(2);
    expect(nanosOf(0.1 + 0.2)).toBe(300_000_000);
  });

  it('is not asked for where everything is free', () => {
    expect([null, { ...price, input: 0, output: 0 }, price].map(isPriced)).toEqual([false, false, true]);
  });
});
