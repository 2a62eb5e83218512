import { describe, expect, it } from 'vitest';
import { quotasFrom } from '../../src/core/quotas.ts';
import { amountMoved, capsOf } from '../../src/policy/caps.ts';

describe('caps', () => {
  it('TOOL-13: are accounts of the full hour, one for each tool that a pattern matches', () => {
    const quotas = quotasFrom({ caps: [{ for: 'tool:delete_*', calls: 3 }] });
    expect(capsOf(quotas, 'tool:delete_row')).toEqual([
      { account: { scope: 'cap:tool:delete_row', period: 'hour', max_count: 3 } },
    ]);
    expect(capsOf(quotas, 'tool:drop')).toEqual([]);
  });

  it('TOOL-13: count calls and USD in one account, and the strictest of several holds', () => {
    const quotas = quotasFrom({
      caps: [
        { for: 'tool:*', calls: 1_000, usd: 50 },
        { for: 'tool:pay', usd: 100 },
        { for: 'tool:pay', calls: 10 },
      ],
    });
    const account = { scope: 'cap:tool:pay', period: 'hour', max_count: 10, max_nanos: 50_000_000_000 };
    expect(capsOf(quotas, 'tool:pay')).toEqual([{ account }]);
  });

  it('have an account for each argument that they name themselves', () => {
    const quotas = quotasFrom({
      caps: [
        { for: 'tool:pay', calls: 10, usd: 100, amount_field: 'order.total' },
        { for: 'tool:pay', usd: 5, amount_field: 'fee' },
      ],
    });
    expect(capsOf(quotas, 'tool:pay')).toEqual([
      { account: { scope: 'cap:tool:pay', period: 'hour', max_count: 10 } },
      {
        account: { scope: 'cap:tool:pay order.total', period: 'hour', max_nanos: 100_000_000_000 },
        field: 'order.total',
      },
      { account: { scope: 'cap:tool:pay fee', period: 'hour', max_nanos: 5_000_000_000 }, field: 'fee' },
    ]);
  });
});

describe('what a call moves', () => {
  it('is its amount, in nanos of USD, rounded up', () => {
    expect(amountMoved('pay', 'order.total', { order: { total: 12.5 } })).toBe(12_500_000_000);
    expect(amountMoved('pay', 'n', { n: 0.000_000_000_1 })).toBe(1);
    expect(amountMoved('pay', 'n', { n: 0 })).toBeCloseTo(0);
    expect(amountMoved('pay', 'n', { n: 1e300 })).toBeGreaterThan(1e15);
  });

  it.each([
    [{}, 'is missing'],
    [{ order: 5 }, 'is missing'],
    [{ order: { total: null } }, 'is null'],
    [{ order: { total: '12.50' } }, 'is a text'],
    [{ order: { total: [1] } }, 'is a list'],
    [{ order: { total: { usd: 1 } } }, 'is of type object'],
    [{ order: { total: true } }, 'is of type boolean'],
    [{ order: { total: -0.01 } }, 'is -0.01'],
  ])('cannot be told from %j, so the call is refused', (args, words) => {
    try {
      amountMoved('pay', 'order.total', args);
      expect.fail('not refused');
    } catch (thrown) {
      const message = `pay is not called: a cap in USD holds for it, and its amount order.total ${words}; expected a number of USD, 0 or more`;
      expect(thrown).toMatchObject({ code: 'amount_unknown', field: 'order.total', retryable: false, message });
    }
  });

  it('cannot be told where neither tool nor cap name an argument: whoever configures is told what to do', () => {
    expect(() => amountMoved('pay', undefined, { amount: 5 })).toThrow(
      /Name one in the tool's definition or in the cap/,
    );
  });

  it('is not taken from what objects have by nature', () => {
    expect(() => amountMoved('pay', 'constructor.length', {})).toThrow(/is missing/);
  });
});
