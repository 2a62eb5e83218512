import { describe, expect, it } from 'vitest';
import { usualCost } from '../../src/policy/anomalies.ts';

describe('what runs of an agent usually cost', () => {
  const costs = (length: number, of: (i: number) => number) => Array.from({ length }, (_, i) => of(i));

  it('is the median, of 20 runs or more', () => {
    expect(usualCost(costs(19, () => 1))).toBeNull();
    expect(usualCost(costs(20, (i) => i))).toBe(9.5);
    expect(usualCost(costs(21, (i) => i))).toBe(10);
  });

  it('is not moved by what a few of them cost, in whatever order', () => {
    expect(usualCost([...costs(9, () => 1_000), ...costs(12, () => 0.1)])).toBe(0.1);
  });

  it('is unknown when runs cost nothing: any cost would be an outlier', () => {
    expect(usualCost(costs(100, () => 0))).toBeNull();
  });
});
