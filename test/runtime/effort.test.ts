import { expect, it } from 'vitest';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { AppError } from '../../src/core/errors.ts';
import { Effort } from '../../src/runtime/effort.ts';

it('leaves no timer behind when it is given up, whether or not the work listens', () => {
  const clock = new SimulatedClock(0);
  const effort = new Effort();
  void effort.within(clock, 86_400_000, 'a tool', () => new Promise(() => {}));
  expect(clock.pending).toBe(1);
  effort.giveUp();
  expect(clock.pending).toBe(0);
});

it('lets work that ran out of time say what it used, for a moment, and calls it late all the same', async () => {
  const clock = new SimulatedClock(0);
  const usage = { input_tokens: 7, output_tokens: 0, cost_usd: 0.1 };
  const speaking = new Effort();
  const speaks = speaking.within(
    clock,
    1_000,
    'a model',
    () =>
      new Promise((_, reject) => {
        speaking.signal.addEventListener('abort', () => reject(new AppError('aborted', 'cut off', { usage })));
      }),
    250,
  );
  const silent = new Effort().within(clock, 1_000, 'a model', () => new Promise(() => {}), 250);
  const both = Promise.allSettled([speaks, silent]);
  await clock.advance(1_250);
  expect(clock.pending).toBe(0);
  const [first, second] = (await both).map((one) => (one.status === 'rejected' ? (one.reason as AppError) : null));
  expect([first?.code, second?.code]).toEqual(['timeout', 'timeout']);
  expect([first?.usage, second?.usage]).toEqual([usage, undefined]);
});
