import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../src/adapters/clock/system-clock.ts';

const START = Date.UTC(2026, 5, 1);
const MONTH_MS = 31 * 86_400_000;

describe('systemClock', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: START, toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('tells epoch milliseconds, corrected by the offset as it is now', () => {
    let offset = 0;
    const clock = systemClock(() => offset);
    expect(clock.now()).toBe(START);
    offset = -1_500;
    vi.advanceTimersByTime(2_000);
    expect(clock.now()).toBe(START + 500);
  });

  it('is not moved when the wall clock is stepped', () => {
    const clock = systemClock();
    vi.setSystemTime(START - 3_600_000);
    vi.advanceTimersByTime(10);
    expect(clock.now()).toBe(START + 10);
  });

  it('keeps a delay that is longer than a timer can hold', () => {
    const clock = systemClock();
    let fired = 0;
    clock.after(3 * MONTH_MS, () => fired++);
    vi.advanceTimersByTime(3 * MONTH_MS - 1);
    expect(fired).toBe(0);
    vi.advanceTimersByTime(1);
    expect(fired).toBe(1);
    vi.advanceTimersByTime(6 * MONTH_MS);
    expect(fired).toBe(1);
  });

  it('cancels a delay in any of its parts', () => {
    const clock = systemClock();
    let fired = 0;
    const cancels = [clock.after(5, () => fired++), clock.after(3 * MONTH_MS, () => fired++)];
    cancels[0]?.();
    vi.advanceTimersByTime(2 * MONTH_MS);
    cancels[1]?.();
    vi.advanceTimersByTime(2 * MONTH_MS);
    expect(fired).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('fires next turn, never at once, when there is nothing to wait for', () => {
    const clock = systemClock();
    let fired = 0;
    for (const ms of [0, -1, Number.NaN]) clock.after(ms, () => fired++);
    expect(fired).toBe(0);
    vi.advanceTimersByTime(1);
    expect(fired).toBe(3);
  });
});
