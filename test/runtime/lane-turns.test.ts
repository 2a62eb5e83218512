import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Priority } from '../../src/core/run-queues.ts';
import { LaneTurns, type Waiting } from '../../src/runtime/lane-turns.ts';

const lane = (priority: Priority, n: number, most = 1_000): Waiting => ({ key: `${priority} ${n}`, priority, most });

function turns(count: number, waiting: Waiting[], places = 1): Map<string, number> {
  const lanes = new LaneTurns();
  const total = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    for (const [key, n] of lanes.share(waiting, places)) total.set(key, (total.get(key) ?? 0) + n);
  }
  return total;
}

describe('turns', () => {
  it('go to the classes 6 to 3 to 1, however few places are given at a time', () => {
    const waiting = [lane('low', 1), lane('normal', 1), lane('high', 1)];
    for (const places of [1, 3, 10]) {
      const total = turns(100, waiting, places);
      expect(['high 1', 'normal 1', 'low 1'].map((key) => (total.get(key) ?? 0) / places)).toEqual([60, 30, 10]);
    }
  });

  it('go to the lanes of a class one after the other', () => {
    const total = turns(12, [lane('normal', 1), lane('normal', 2), lane('normal', 3)]);
    expect([...total.values()]).toEqual([4, 4, 4]);
  });

  it('give away all places that anybody can use, and to nobody more than it may have', () => {
    const waiting = fc
      .uniqueArray(fc.tuple(fc.constantFrom<Priority>('high', 'normal', 'low'), fc.nat(15), fc.nat(5)), {
        selector: ([priority, n]) => `${priority} ${n}`,
      })
      .map((lanes) => lanes.map(([priority, n, most]) => lane(priority, n, most)));
    const property = fc.property(waiting, fc.nat(40), (lanes, places) => {
      const shares = new LaneTurns().share(lanes, places);
      const given = [...shares.values()].reduce((sum, n) => sum + n, 0);
      expect(given).toBe(
        Math.min(
          places,
          lanes.reduce((sum, { most }) => sum + most, 0),
        ),
      );
      for (const { key, most } of lanes) expect(shares.get(key) ?? 0).toBeLessThanOrEqual(most);
    });
    fc.assert(property, { numRuns: 200 });
  });
});
