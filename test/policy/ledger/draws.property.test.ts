import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Buckets } from '../../../src/policy/ledger/buckets.ts';
import { Draws } from '../../../src/policy/ledger/draws.ts';

/** Draws and settlements in any order: judged by what was used at the moment of each draw, and by nothing of the fold. */

interface Drawn {
  id: string;
  at: number;
  estimate: number;
  used: number;
}

const CAPACITY = 100;

interface Step {
  wait: number;
  estimate: number;
  share: number;
  settles: number | null;
}

const step = {
  wait: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 60 }) }, fc.integer({ min: 0, max: 1_500 })),
  estimate: fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 60 }) }, fc.integer({ min: 1, max: 180 })),
  /** Of the estimate. */
  share: fc.oneof({ weight: 6, arbitrary: within(1) }, within(3)),
  /** Settles the open one of that number instead. */
  settles: fc.option(fc.nat(20), { nil: null, freq: 2 }),
};

function within(max: number, min = 0) {
  return fc.double({ min, max, noNaN: true });
}

const steps = fc.array(fc.record(step), { minLength: 20, maxLength: 60, size: 'max' });

/** Carries the steps out; what stays open at the end was used as it was estimated. */
function played(all: Step[], every_ms: number) {
  const buckets = new Buckets();
  const draws = new Draws(buckets);
  const granted: Drawn[] = [];
  const open: Drawn[] = [];
  let at = 0;
  for (const [i, { wait, estimate, share, settles }] of all.entries()) {
    at += wait;
    const [settled] = settles === null || open.length === 0 ? [] : open.splice(settles % open.length, 1);
    if (settled !== undefined) {
      draws.settle(settled.id, settled.used, at);
      continue;
    }
    const estimated = [{ scope: 's', capacity: CAPACITY, every_ms, take: estimate }];
    const id = `d${i}`;
    const verdict = draws.draw({ v: 2, kind: 'draw', id, who: id, until: 1e9, buckets: [], estimated }, at);
    if (!verdict.granted) continue;
    const one = { id, at, estimate, used: Math.floor(estimate * share) };
    granted.push(one);
    open.push(one);
  }
  for (const one of open) one.used = one.estimate;
  return { granted, open, at, level: () => buckets.level({ scope: 's', capacity: CAPACITY, every_ms }, at) };
}

describe('draws from a bucket', () => {
  it('TOOL-8: use no more between any two moments than it holds and gets meanwhile, beyond what estimates could not know', () => {
    let judged = 0;
    let back = 0;
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 20 }), (all, every_ms) => {
        const { granted } = played(all, every_ms);
        for (let from = 0; from < granted.length; from++) {
          let used = 0;
          let unknown = 0;
          for (const { at, estimate, used: mine } of granted.slice(from)) {
            used += mine;
            unknown += Math.max(0, mine - Math.min(estimate, CAPACITY));
            const since = at - (granted[from]?.at ?? 0);
            expect(used).toBeLessThanOrEqual(CAPACITY + since / every_ms + unknown + 1e-6);
            judged++;
          }
        }
        back += granted.filter((one) => one.used < one.estimate).length;
      }),
      { numRuns: 1_000 },
    );
    // Otherwise nothing was tried.
    expect(judged).toBeGreaterThan(10_000);
    expect(back).toBeGreaterThan(1_000);
  });

  it('leave in it, once they are settled, never more than had all been known at once', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 20 }), (all, every_ms) => {
        const { granted, at, level } = played(all, every_ms);
        expect(level()).toBeLessThanOrEqual(known(granted, at, every_ms).level + 1e-6);
      }),
      { numRuns: 1_000 },
    );
  });

  it('leave in it no less either, where it never ran over and no estimate was too low', () => {
    const frugal = fc.array(
      fc.record({
        ...step,
        wait: fc.integer({ min: 0, max: 20 }),
        estimate: fc.integer({ min: 10, max: 60 }),
        share: within(1, 0.3),
      }),
      { minLength: 3, maxLength: 30, size: 'max' },
    );
    let exact = 0;
    fc.assert(
      fc.property(frugal, fc.integer({ min: 100, max: 2_000 }), (all, every_ms) => {
        const { granted, at, level } = played(all, every_ms);
        const ideal = known(granted, at, every_ms);
        if (ideal.ranOver || granted.length < 3) return;
        expect(level()).toBeCloseTo(ideal.level, 6);
        exact++;
      }),
      { numRuns: 1_000 },
    );
    expect(exact).toBeGreaterThan(100);
  });
});

/** What the bucket would hold at a moment had all uses been known when they were drawn. */
function known(granted: Drawn[], until: number, every_ms: number): { level: number; ranOver: boolean } {
  let level = CAPACITY;
  let last = granted[0]?.at ?? 0;
  let ranOver = false;
  const run = (to: number) => {
    const more = level + (to - last) / every_ms;
    ranOver ||= more > CAPACITY;
    level = Math.min(CAPACITY, more);
    last = to;
  };
  for (const { at, used } of granted) {
    run(at);
    level -= used;
  }
  run(until);
  return { level, ranOver };
}
