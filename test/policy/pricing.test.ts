import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadPricing } from '../../src/app/pricing.ts';
import { costOf, priceOf } from '../../src/policy/pricing.ts';

const day = (text: string) => Date.parse(`${text}T12:00:00Z`);
const entry = (model: string, from: string, input: number, more = '') =>
  `- { model: ${model}, from: ${from}, input: ${input}, output: 10${more} }`;
const table = (...entries: string[]) => loadPricing(`prices:\n${entries.join('\n')}`);

describe('the price of a model', () => {
  const prices = table(
    entry('openai/a', '2026-01-01', 1),
    entry('openai/a', '2026-03-01', 2),
    entry('openai/old', '2025-01-01', 3, ', to: 2025-12-31'),
    entry("'openai/*'", '2025-01-01', 4),
    entry("'openai/a*'", '2025-01-01', 5),
  );

  it.each([
    ['the newest that has begun', 'openai/a', '2026-03-01', 2],
    ['the one before until then', 'openai/a', '2026-02-28', 1],
    ['a pattern while the name itself has none yet', 'openai/a', '2025-12-31', 5],
    ['an entry on its last day', 'openai/old', '2025-12-31', 3],
    ['a pattern once the entry has ended', 'openai/old', '2026-01-01', 4],
    ['the longest pattern', 'openai/ab', '2026-03-01', 5],
  ])('is that of %s', (_, model, at, input) => {
    expect(priceOf(prices, model, day(at)).input).toBe(input);
  });

  it.each([
    ['anthropic/x', '2026-03-01'],
    ['openai/a', '2024-12-31'],
  ])('is unknown, not zero, for %s on %s', (model, at) => {
    expect(() => priceOf(prices, model, day(at))).toThrow(
      expect.objectContaining({ code: 'unknown_price', message: expect.stringContaining(model) }),
    );
  });

  it('counts cached input at its own price, as part of the input', () => {
    const cached = table(entry('m', '2026-01-01', 2, ', cached_input: 0.5'));
    const usage = { input_tokens: 1_000_000, output_tokens: 100_000, cached_input_tokens: 400_000 };
    expect(costOf(priceOf(cached, 'm', day('2026-01-01')), usage)).toBeCloseTo(1.2 + 0.2 + 1, 10);
    const plain = table(entry('m', '2026-01-01', 2));
    expect(costOf(priceOf(plain, 'm', day('2026-01-01')), usage)).toBeCloseTo(3, 10);
  });
});

describe('a pricing table', () => {
  it('tells all of its faults at once', () => {
    const text =
      'prices:\n- { model: a, from: soon, input: -1, output: 2 }\n- { model: b*c, from: 2026-01-01, input: 1 }';
    expect(() => loadPricing(text)).toThrow(/prices\.0\.from.*prices\.0\.input.*prices\.1\.model.*prices\.1\.output/s);
  });

  it.each([
    ['begin on the same day', [entry('m', '2026-01-01', 1), entry('m', '2026-01-01', 2)]],
    ['overlap', [entry('m', '2026-02-01', 1), entry('m', '2026-01-01', 2, ', to: 2026-02-01')]],
  ])('names both entries that %s', (_, entries) => {
    expect(() => table(...entries)).toThrow(
      expect.objectContaining({ code: 'bad_pricing', message: expect.stringMatching(/prices\.[01] .*prices\.[01] /) }),
    );
  });

  it('takes entries that follow one another to the day', () => {
    expect(() => table(entry('m', '2026-01-01', 1, ', to: 2026-01-31'), entry('m', '2026-02-01', 2))).not.toThrow();
  });

  it('refuses an entry that ends before it begins, and what is no YAML', () => {
    expect(() => table(entry('m', '2026-02-01', 1, ', to: 2026-01-31'))).toThrow(/prices\.0\.to: is before/);
    expect(() => loadPricing('prices: [')).toThrow(expect.objectContaining({ code: 'bad_pricing' }));
  });
});

describe('the example table', () => {
  const example = loadPricing(readFileSync(new URL('../../examples/pricing.yaml', import.meta.url), 'utf8'));

  it('has local models at no cost and those of providers at some', () => {
    expect(priceOf(example, 'compatible/llama3.2', day('2026-11-20'))).toMatchObject({ input: 0, output: 0 });
    expect(priceOf(example, 'openai/gpt-4.1-mini', day('2026-11-20')).output).toBeGreaterThan(0);
    expect(priceOf(example, 'anthropic/claude-sonnet-4-5', day('2026-11-20')).output).toBeGreaterThan(0);
  });
});
