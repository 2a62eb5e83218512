import { describe, expect, it } from 'vitest';
import { madeRuns } from '../../bench/console/statuses.ts';
import { RunIndex } from '../../src/console/gateway/run-index.ts';
import { PAGE, RunRows } from '../../src/console/page/lib/run-rows.ts';
import type { RunRow } from '../../src/console/wire.ts';

/** The rows that the page holds of a long list, and what it asks for while somebody scrolls, searches and waits. */

const index = new RunIndex();
for (const status of madeRuns(3_000, Date.UTC(2026, 0, 2)).statuses) index.push(status);
const ALL = [0, 1, 2, 3, 4, 5].flatMap(
  (n) =>
    index.query({ text: '', states: [], needs: false, sort: 'newest', offset: n * 500, limit: 500 }).rows as RunRow[],
);

function opened(filter = 'all') {
  const rows = new RunRows();
  rows.filterBy(filter);
  const answer = (pages: number[]) => {
    for (const page of pages) rows.take(filter, page, ALL.slice(page, page + PAGE));
    return pages.length;
  };
  answer(rows.restart());
  return { rows, answer };
}

describe('the rows of a list of runs', () => {
  it('are all there wherever somebody scrolls, far down and back, and near by without asking again', () => {
    for (let end = 1_900; end < 2_500; end += 50) {
      const { rows, answer } = opened();
      const missing = new Set<number>();
      let asked = 0;
      const scroll = (from: number) => {
        asked += answer(rows.show(from, from + 37));
        for (let at = from; at <= from + 37; at++) if (rows.at(at) !== ALL[at]) missing.add(at);
      };
      for (let from = 0; from < end; from += 29) scroll(from);
      for (let from = end; from > 0; from -= 31) scroll(from);
      scroll(0);
      expect([...missing], `turned at ${end}`).toEqual([]);
      const before = asked;
      for (const from of [60, 0, 90, 10]) scroll(from);
      expect(asked).toBe(before);
    }
  });

  it('are those of the filter of now, whatever answers to an older one arrive late', () => {
    const { rows } = opened('old');
    rows.filterBy('new');
    // What is there is seen until the answer is.
    expect(rows.at(0)).toBe(ALL[0]);
    expect(rows.restart()).toEqual([0]);
    expect(rows.take('new', 0, ALL.slice(500, 600))).toBe(true);
    expect(rows.take('old', 0, ALL.slice(0, 100))).toBe(false);
    expect(rows.at(0)).toBe(ALL[500]);
    expect([rows.fail('old', 0), rows.retry()]).toEqual([false, []]);
    expect(rows.show(0, 37)).toEqual([]);
  });

  it('are asked for once, and once more when they are to be, those in view first', () => {
    const { rows } = opened();
    expect(rows.show(100, 137)).toEqual([100]);
    expect(rows.show(100, 137)).toEqual([]);
    expect(rows.again()).toEqual([100]);
    expect(rows.show(80, 117)).toEqual([0]);
  });

  it('are asked for again when they did not come, whatever else came meanwhile', () => {
    const { rows, answer } = opened();
    expect(rows.show(180, 217)).toEqual([100, 200]);
    expect(rows.fail('all', 200)).toBe(true);
    answer([100]);
    // Not by looking: that would be as fast as it fails.
    expect(rows.show(180, 218)).toEqual([]);
    expect(rows.retry()).toEqual([200]);
    answer([200]);
    expect([rows.retry(), rows.at(200)]).toEqual([[], ALL[200]]);
  });

  it('are drawn anew only when one in view has changed', () => {
    const { rows, answer } = opened();
    answer(rows.show(20, 57));
    const step = (at: number) => ({ ...(ALL[at] as RunRow), step: 99 });
    expect(rows.change([])).toBe(false);
    expect(rows.change([step(80)])).toBe(false);
    expect(rows.change([step(80), step(30)])).toBe(true);
    expect(rows.at(30)?.step).toBe(99);
  });
});
