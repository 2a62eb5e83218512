import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/adapters/memory/simulated-clock.ts';

describe('SimulatedClock', () => {
  it('stands still until it is advanced', async () => {
    const clock = new SimulatedClock(1_000);
    await clock.settle();
    expect(clock.now()).toBe(1_000);
    await clock.advance(250);
    expect(clock.now()).toBe(1_250);
  });

  it('fires timers in the order they are due, and those of one moment in the order they were set', async () => {
    const clock = new SimulatedClock(0);
    const fired: [string, number][] = [];
    for (const [name, ms] of [
      ['c', 30],
      ['a', 10],
      ['b1', 20],
      ['b2', 20],
      ['never', 31],
    ] as const) {
      clock.after(ms, () => fired.push([name, clock.now()]));
    }
    await clock.advance(30);
    expect(fired).toEqual([
      ['a', 10],
      ['b1', 20],
      ['b2', 20],
      ['c', 30],
    ]);
    expect(clock.nextDue).toBe(31);
  });

  it('lets everything that a timer sets off happen before the next one fires', async () => {
    const clock = new SimulatedClock(0);
    const log: string[] = [];
    const chain = async (): Promise<void> => {
      for (let i = 0; i < 50; i++) await Promise.resolve();
      log.push(`chain at ${clock.now()}`);
      clock.after(5, () => log.push(`set by the chain at ${clock.now()}`));
    };
    clock.after(10, () => void chain());
    clock.after(11, () => log.push(`second at ${clock.now()}`));
    await clock.advance(20);
    expect(log).toEqual(['chain at 10', 'second at 11', 'set by the chain at 15']);
  });

  it('sees timers that code which is under way sets before time moves', async () => {
    const clock = new SimulatedClock(0);
    let fired = false;
    void Promise.resolve()
      .then(() => undefined)
      .then(() =>
        clock.after(10, () => {
          fired = true;
        }),
      );
    await clock.advance(10);
    expect(fired).toBe(true);
  });

  it('never fires a cancelled timer', async () => {
    const clock = new SimulatedClock(0);
    let fired = 0;
    const cancel = clock.after(10, () => fired++);
    clock.after(5, cancel);
    clock.after(20, () => fired++);
    await clock.advance(15);
    expect(fired).toBe(0);
    await clock.advance(10);
    expect(fired).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('takes a delay that is no positive number as none', async () => {
    const clock = new SimulatedClock(0);
    const at: number[] = [];
    for (const ms of [-5, Number.NaN, 0]) clock.after(ms, () => at.push(clock.now()));
    await clock.advance(1);
    expect(at).toEqual([0, 0, 0]);
  });
});
