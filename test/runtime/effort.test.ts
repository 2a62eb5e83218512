import { expect, it } from 'vitest';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { Effort } from '../../src/runtime/effort.ts';

it('leaves no timer behind when it is given up, whether or not the work listens', () => {
  const clock = new SimulatedClock(0);
  const effort = new Effort();
  void effort.within(clock, 86_400_000, 'a tool', () => new Promise(() => {}));
  expect(clock.pending).toBe(1);
  effort.giveUp();
  expect(clock.pending).toBe(0);
});
