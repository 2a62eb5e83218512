import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Backoff, backoffDelay, nextChance } from '../../supervisors/backoff.ts';

const backoff: Backoff = { minMs: 100, maxMs: 1_000, jitter: 0.5, resetAfterMs: 550, maxRestarts: null };

describe('a backoff', () => {
  it('doubles with every failure in a row, up to the longest delay', () => {
    expect([0, 1, 2, 3, 4, 5, 1_000].map((failures) => backoffDelay(backoff, failures, 0))).toEqual([
      100, 200, 400, 800, 1_000, 1_000, 1_000,
    ]);
  });

  it('adds chance, never below the delay without it and never beyond the longest', () => {
    fc.assert(
      fc.property(fc.nat(80), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (failures, chance) => {
        const delay = backoffDelay(backoff, failures, chance);
        expect(delay).toBeGreaterThanOrEqual(backoffDelay(backoff, failures, 0));
        expect(delay).toBeLessThanOrEqual(1_000);
      }),
    );
    expect(backoffDelay(backoff, 0, 0.5)).toBe(125);
  });

  it('draws its chance from a sequence that a seed fixes', () => {
    const draw = (seed: number): number[] => {
      const chances: number[] = [];
      for (let next = nextChance(seed); chances.length < 1_000; next = nextChance(next.seed)) chances.push(next.chance);
      return chances;
    };
    const chances = draw(7);
    expect(draw(7)).toEqual(chances);
    expect(draw(8)).not.toEqual(chances);
    expect(chances.every((chance) => chance >= 0 && chance < 1)).toBe(true);
    const mean = chances.reduce((sum, chance) => sum + chance, 0) / chances.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
  });
});
