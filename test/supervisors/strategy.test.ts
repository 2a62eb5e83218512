import { describe, expect, it } from 'vitest';
import { readChildSpec } from '../../supervisors/child-spec.ts';
import { type ChildRecord, newRecord } from '../../supervisors/state.ts';
import { planRestart } from '../../supervisors/strategy.ts';

/** In start order; the third has ended and is to be restarted. */
const records: ChildRecord[] = [
  ['a', 'permanent', 'running'],
  ['b', 'temporary', 'running'],
  ['c', 'permanent', 'stopped'],
  ['d', 'transient', 'stopped'],
  ['e', 'temporary', 'running'],
  ['f', 'permanent', 'running'],
].map(([id, restart, status], slot) => ({
  ...newRecord(slot, readChildSpec({ id, restart, start: () => ({}) })),
  status: status as ChildRecord['status'],
  resting: id === 'd',
}));

describe('a restart plan', () => {
  it.each([
    ['one_for_one', true, '', 'c'],
    ['dynamic', true, '', 'c'],
    ['one_for_all', true, 'feba', 'acdf'],
    ['rest_for_one', true, 'fe', 'cdf'],
    ['rest_for_one', false, 'fe', 'cf'],
  ] as const)('of %s (stopped ones revived: %s) stops "%s" and starts "%s"', (strategy, revive, stop, start) => {
    const child = records[2] as ChildRecord;
    const plan = planRestart(strategy, records, child, revive);
    const ids = (some: readonly ChildRecord[]): string => some.map(({ spec }) => spec.id).join('');
    expect({ stop: ids(plan.stop), start: ids(plan.start) }).toEqual({ stop, start });
  });
});
