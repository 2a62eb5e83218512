import { describe, expect, it } from 'vitest';
import { type Fetched, staleFault } from '../../src/policy/freshness.ts';

const NOW = 1_000_000;
const price = (age: number, more: Partial<Fetched> = {}): Fetched => ({
  tool: 'price',
  args: { sku: 'a' },
  at: NOW - age,
  valid_ms: 60_000,
  ...more,
});
const buy = { tool: 'buy' };

describe('TOOL-9: what a call acts on', () => {
  it('is refused once its validity is over, with the tool, its age, its validity and what to do', () => {
    expect(staleFault([price(60_000)], buy, NOW)).toBeNull();
    expect(staleFault([price(75_400)], buy, NOW)).toEqual({
      code: 'stale_result',
      message:
        'the result of price {"sku":"a"} is 75.4 s old and may be acted on for 60 s: call price again with the same arguments first, look at what comes, then decide about buy',
      retryable: false,
    });
  });

  it('is fresh again when the same tool was called later with the same arguments, in whatever order of keys', () => {
    const old = price(90_000, { args: { sku: 'a', shop: 1 } });
    expect(staleFault([old, price(1, { args: { shop: 1, sku: 'a' } })], buy, NOW)).toBeNull();
    expect(staleFault([old, price(1, { args: { sku: 'b', shop: 1 } })], buy, NOW)?.message).toContain('"shop":1');
    expect(staleFault([old, price(1, { tool: 'offer' })], buy, NOW)).not.toBeNull();
    // What came last has no validity any more: its tool was announced anew.
    expect(staleFault([price(90_000), price(80_000, { valid_ms: undefined })], buy, NOW)).toBeNull();
  });

  it('is nothing to a call that only reads, and only what it depends on counts', () => {
    const old = [price(90_000)];
    expect(staleFault(old, { ...buy, reads: true }, NOW)).toBeNull();
    expect(staleFault(old, { ...buy, depends_on: ['stock'] }, NOW)).toBeNull();
    expect(staleFault(old, { ...buy, depends_on: [] }, NOW)).toBeNull();
    expect(staleFault(old, { ...buy, depends_on: ['stock', 'price'] }, NOW)?.code).toBe('stale_result');
  });

  it('is named three times at most, however much of it there is', () => {
    const many = Array.from({ length: 40 }, (_, i) => price(90_000, { args: { sku: 'x'.repeat(5_000), i } }));
    const { message = '' } = staleFault(many, buy, NOW) ?? {};
    expect(message.length).toBeLessThanOrEqual(1_024);
    expect(message).toContain('and 37 more: call them again');
  });
});
