import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { Wheel } from '../../src/runtime/wheel.ts';

describe('the wheel of moments', () => {
  it('fires each key at its last set moment, in order, with one timer', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(9), fc.option(fc.integer({ min: 0, max: 100 }))), { maxLength: 60 }),
        async (sets) => {
          const clock = new SimulatedClock(0);
          const fired: [number, number][] = [];
          const wheel = new Wheel<number>(clock, (key) => fired.push([clock.now(), key]));
          const expected = new Map<number, number>();
          for (const [key, at] of sets) {
            wheel.set(key, at);
            if (at === null) expected.delete(key);
            else expected.set(key, at);
            expect(clock.pending).toBeLessThanOrEqual(1);
          }
          await clock.advance(200);
          expect(fired.map(([at]) => at)).toEqual(fired.map(([at]) => at).sort((a, b) => a - b));
          expect(new Map(fired.map(([at, key]) => [key, at]))).toEqual(expected);
          expect(fired).toHaveLength(expected.size);
        },
      ),
    );
  });

  it('keeps nothing of those that wait no longer, however far off their moments were', () => {
    const clock = new SimulatedClock(0);
    const wheel = new Wheel<object>(clock, () => {});
    wheel.set({}, 1_000);
    for (let i = 0; i < 10_000; i++) {
      const key = {};
      wheel.set(key, 86_400_000 + i);
      wheel.set(key, 90_000_000);
      wheel.set(key, null);
    }
    expect(wheel.size).toBeLessThan(100);
  });

  it('fires nothing after it was stopped', async () => {
    const clock = new SimulatedClock(0);
    const fired: string[] = [];
    const wheel = new Wheel<string>(clock, (key) => fired.push(key));
    wheel.set('a', 10);
    wheel.stop();
    await clock.advance(100);
    expect(fired).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});
