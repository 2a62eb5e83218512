import { describe, expect, it } from 'vitest';
import type { LedgerEntryOf } from '../../../src/core/ledger-wire.ts';
import { Buckets } from '../../../src/policy/ledger/buckets.ts';
import { Draws } from '../../../src/policy/ledger/draws.ts';

/** 100 at most, one more each 10 ms. */
const REF = { scope: 'model:m tokens', capacity: 100, every_ms: 10 };

function filled() {
  const buckets = new Buckets();
  const draws = new Draws(buckets);
  return {
    draws,
    level: (at: number) => buckets.level(REF, at),
    draw: (id: string, take: number, at: number, who = id) => draws.draw(drawOf(id, take, who), at),
    settle: (id: string, used: number, at: number) => draws.settle(id, used, at),
  };
}

function drawOf(id: string, take: number, who = id): LedgerEntryOf<'draw'> {
  return { v: 2, kind: 'draw', id, who, until: 1e9, buckets: [], estimated: [{ ...REF, take }] };
}

describe('a draw', () => {
  it('TOOL-8: takes the estimate before, and gives back what was not used of it, once', () => {
    const { draw, settle, level } = filled();
    expect(draw('a', 80, 0)).toEqual({ granted: true });
    expect(level(0)).toBe(20);
    expect(draw('b', 80, 0)).toEqual({ granted: false, scope: REF.scope, again_at: 600 });
    expect([settle('a', 30, 0), settle('a', 30, 0), settle('never', 1, 0)]).toEqual([true, false, false]);
    expect(level(0)).toBe(70);
  });

  it('TOOL-8: puts a bucket into debt by what was used beyond its estimate, and all wait until it is out of it', () => {
    const { draw, settle, level } = filled();
    draw('a', 50, 0);
    settle('a', 170, 0);
    expect(level(0)).toBe(-70);
    expect(draw('b', 1, 0)).toMatchObject({ granted: false, again_at: 710 });
    expect(draw('b', 1, 709)).toMatchObject({ granted: false });
    expect(draw('b', 1, 710)).toEqual({ granted: true });
  });

  it('TOOL-8: of more than the bucket holds waits for a full one, and leaves a debt', () => {
    const { draw, level } = filled();
    draw('a', 30, 0);
    expect(draw('big', 250, 0)).toEqual({ granted: false, scope: REF.scope, again_at: 300 });
    expect(draw('big', 250, 300)).toEqual({ granted: true });
    expect(level(300)).toBe(-150);
  });

  it('is let through in the order in which it came, so one of much is not kept waiting for ever by many of little', () => {
    const { draw, level } = filled();
    draw('first', 100, 0);
    expect(draw('big', 100, 100)).toMatchObject({ granted: false, again_at: 1_000 });
    // One of these would fit every 50 ms.
    for (let at = 150; at < 1_000; at += 50) expect(draw(`s${at}`, 5, at)).toMatchObject({ granted: false });
    expect(draw('big', 100, 1_000)).toEqual({ granted: true });
    // Those behind it, also in their order.
    expect(draw('s200', 5, 1_060)).toMatchObject({ granted: false });
    expect(draw('s150', 5, 1_060)).toEqual({ granted: true });
    expect(level(1_060)).toBe(1);
  });

  it('keeps its place before all of its buckets while one of them, or that of calls, has too little', () => {
    const { draws } = filled();
    const calls = { scope: 'model:m', capacity: 1, every_ms: 5_000, take: 1 };
    const user = { scope: 'model:m tokens user:a', capacity: 100, every_ms: 40, take: 100 };
    draws.draw({ ...drawOf('first', 40), buckets: [calls] }, 0);
    const big = { ...drawOf('big', 100), buckets: [calls], estimated: [{ ...REF, take: 100 }, user] };
    expect(draws.draw(big, 400)).toMatchObject({ granted: false, scope: 'model:m', again_at: 5_000 });
    // All would be there for this one.
    expect(draws.draw(drawOf('small', 10), 4_999)).toMatchObject({ granted: false, scope: REF.scope });
    expect(draws.draw(big, 5_000)).toEqual({ granted: true });
    expect(draws.draw({ ...big, id: 'next', buckets: [] }, 6_000)).toMatchObject({
      scope: user.scope,
      again_at: 9_000,
    });
  });

  it('loses its place when whoever waits does not come again, a minute after the moment it was told', () => {
    const { draw, draws } = filled();
    draw('first', 100, 0);
    expect(draw('gone', 100, 0)).toMatchObject({ again_at: 1_000 });
    expect(draw('other', 10, 60_999)).toMatchObject({ granted: false });
    expect(draw('other', 10, 61_000)).toEqual({ granted: true });
    draws.sweep(200_000);
    expect(draws.lines.lines.size).toBe(0);
  });

  it('gives back no more than the bucket could have held all the time: what ran over is lost', () => {
    const { draw, settle, level } = filled();
    draw('a', 100, 0);
    // Full again: had a used 10 only, the bucket had run over long ago.
    draw('b', 100, 1_000);
    settle('a', 10, 1_010);
    expect(level(1_010)).toBe(1);
  });

  it('gives many at once that used little all back, as far as there is room', () => {
    const { draw, settle, level } = filled();
    for (let i = 0; i < 10; i++) draw(`d${i}`, 10, 0);
    for (let i = 0; i < 10; i++) settle(`d${i}`, 1, i);
    expect(level(9)).toBeCloseTo(90.9);
    expect(level(91)).toBeCloseTo(99.1);
  });

  it('that nobody settles stays taken, and is forgotten after its time', () => {
    const { draws, level, settle } = filled();
    draws.draw({ ...drawOf('a', 60), until: 50 }, 0);
    draws.sweep(51);
    expect(draws.open.size).toBe(0);
    expect(settle('a', 0, 51)).toBe(false);
    expect(level(0)).toBe(40);
  });

  it('takes from all buckets or from none, those of calls as well', () => {
    const { draws, level } = filled();
    const calls = { scope: 'model:m', capacity: 1, every_ms: 1_000, take: 1 };
    const both = (id: string, take: number) => ({ ...drawOf(id, take, 'one run'), buckets: [calls] });
    expect(draws.draw(both('a', 10), 0)).toEqual({ granted: true });
    expect(draws.draw(both('b', 10), 0)).toEqual({ granted: false, scope: 'model:m', again_at: 1_000 });
    expect(level(0)).toBe(90);
    expect(draws.draw(both('c', 1_000), 1_000)).toEqual({ granted: true });
    expect(draws.draw(both('d', 10), 2_000)).toMatchObject({ granted: false, scope: REF.scope });
    // Nothing was taken from the calls for d.
    expect(draws.draw(both('d', 10), 20_000)).toEqual({ granted: true });
  });
});
