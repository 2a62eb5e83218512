import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { askRestart } from '../../src/core/restart-budget.ts';

describe('a restart budget', () => {
  it('allows as many restarts within the period as its intensity, and not one more', () => {
    let stamps: number[] = [];
    const verdicts = [0, 1, 2, 3].map((now) => {
      const verdict = askRestart({ intensity: 3, periodMs: 1_000 }, stamps, now);
      stamps = verdict.stamps;
      return verdict.restart;
    });
    expect(verdicts).toEqual([true, true, true, false]);
  });

  it('counts a stamp that is exactly a period old, and forgets older ones', () => {
    expect(askRestart({ intensity: 1, periodMs: 1_000 }, [0], 1_000).restart).toBe(false);
    expect(askRestart({ intensity: 1, periodMs: 1_000 }, [0], 1_001).restart).toBe(true);
  });

  it('gives up at the first failure when the intensity is 0', () => {
    expect(askRestart({ intensity: 0, periodMs: 1_000 }, [], 5).restart).toBe(false);
  });

  it('never lets more than its intensity through in any window', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(500), { maxLength: 60 }), fc.integer({ min: 0, max: 5 }), (gaps, intensity) => {
        const budget = { intensity, periodMs: 1_000 };
        let now = 0;
        let stamps: number[] = [];
        const allowed: number[] = [];
        for (const gap of gaps) {
          now += gap;
          const verdict = askRestart(budget, stamps, now);
          stamps = verdict.stamps;
          if (verdict.restart) allowed.push(now);
        }
        for (const at of allowed)
          expect(allowed.filter((one) => one >= at - 1_000 && one <= at).length).toBeLessThanOrEqual(intensity);
      }),
    );
  });
});
