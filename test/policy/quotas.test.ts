import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { Quotas, quotasFrom } from '../../src/core/quotas.ts';
import { accountsOf, breakerOf, bucketsOf, estimateOf, isPriced, nanosOf } from '../../src/policy/quotas.ts';

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

  it('give each tool that a pattern matches a bucket of its own', () => {
    const quotas = quotasFrom({
      rates: [
        { for: 'tool:mail*', per: 'user', capacity: 10, every_ms: 60_000 },
        { for: 'tool:*', capacity: 100, every_ms: 600 },
      ],
    });
    const none = () => expect.fail('asked for tokens');
    const { calls, tokens } = bucketsOf(quotas, 'tool:mail_all', 'bob', none);
    expect(calls.map(({ scope, capacity }) => [scope, capacity])).toEqual([
      ['tool:mail_all user:bob', 10],
      ['tool:mail_all', 100],
    ]);
    expect(tokens).toEqual([]);
    expect(bucketsOf(quotas, 'model:mail', 'bob', none)).toEqual({ calls: [], tokens: [] });
  });

  it("TOOL-8: take a model's requests and tokens from buckets of their own, as providers limit both, also a user each", () => {
    const quotas = quotasFrom({
      rates: [
        { for: 'model:openai/*', capacity: 500, refill: 500, every_ms: 60_000 },
        { for: 'model:openai/*', unit: 'tokens', capacity: 200_000, refill: 200_000, every_ms: 60_000 },
        { for: 'model:openai/*', unit: 'tokens', per: 'user', capacity: 40_000, refill: 20_000, every_ms: 60_000 },
      ],
    });
    expect(bucketsOf(quotas, 'model:openai/x', 'bob', () => 3_000)).toEqual({
      calls: [{ scope: 'model:openai/x', capacity: 500, every_ms: 120, take: 1 }],
      tokens: [
        { scope: 'model:openai/x tokens', capacity: 200_000, every_ms: 0.3, take: 3_000 },
        { scope: 'model:openai/x tokens user:bob', capacity: 40_000, every_ms: 3, take: 3_000 },
      ],
    });
  });

  it('keep two rates of one target apart, such as one a minute and one a day; the same one twice is one', () => {
    const minute = { for: 'model:m', capacity: 10, refill: 10, every_ms: 60_000 };
    const day = { for: 'model:*', capacity: 1_000, refill: 1_000, every_ms: 86_400_000 };
    const { calls } = bucketsOf(quotasFrom({ rates: [minute, day, day] }), 'model:m', 'bob', () => 0);
    expect(calls.map(({ scope }) => scope)).toEqual(['model:m', 'model:m 1000+1000/86400000ms']);
    expect(bucketsOf(quotasFrom({ rates: [day, day] }), 'model:m', 'bob', () => 0).calls).toHaveLength(1);
  });

  it.each([
    [
      { rates: [{ for: 'tool:t', unit: 'tokens', capacity: 1, every_ms: 1 }] },
      'rates.0.unit',
      /only models use tokens/,
    ],
    [{ rates: [{ for: 'model:m', unit: 'words', capacity: 1, every_ms: 1 }] }, 'rates.0.unit', /calls.*tokens/],
    [{ rates: [{ for: 'model:m', capacity: 1, refill: 1e9, every_ms: 999 }] }, 'rates.0.refill', /at most 1000000/],
    [{ caps: [{ for: 'tool:t' }] }, 'caps.0', /calls, usd or both/],
    [{ caps: [{ for: 'tool:t', calls: 1, amount_field: 'n' }] }, 'caps.0.amount_field', /usd beside it/],
    [{ caps: [{ for: 'model:m', usd: 1, amount_field: 'n' }] }, 'caps.0.amount_field', /no arguments/],
    [{ caps: [{ for: 'tool:t', usd: 1, amount_field: 'a..b' }] }, 'caps.0.amount_field', /path of an argument/],
    [{ caps: [{ for: 'tool:t', usd: -1 }] }, 'caps.0.usd', />=0/],
  ])('with %j are refused: the field and what was expected are named', (bad, field, expected) => {
    try {
      quotasFrom(bad as never);
      expect.fail('not refused');
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'bad_quotas', field, message: expect.stringMatching(expected) });
    }
  });

  it('are written as older nodes read them where they say nothing that those do not know', () => {
    const quotas = quotasFrom({
      rates: [{ for: 'tool:t', capacity: 1, every_ms: 1 }],
      caps: [{ for: 'tool:t', calls: 1 }],
    });
    expect(Object.keys(quotas.rates[0] ?? {})).toEqual(['for', 'per', 'capacity', 'every_ms']);
    expect(Object.keys(quotas.caps[0] ?? {})).toEqual(['for', 'calls']);
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
