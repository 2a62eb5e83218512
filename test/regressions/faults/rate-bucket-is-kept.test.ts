import { describe, expect, it } from 'vitest';
import { Ledger } from '../../../src/policy/ledger/ledger.ts';

/** The fault: the token bucket is made anew for each call, full, and so limits nothing. */

const bucket = { scope: 'tool:mail', capacity: 2, every_ms: 60_000, take: 1 };

describe('a rate bucket', () => {
  it('is one for all calls, of whatever run and on whatever node', () => {
    let ledger = new Ledger();
    const granted: boolean[] = [];
    for (const [i, at] of [0, 10, 20, 30_000, 60_000, 60_010, 120_000].entries()) {
      const entry = { v: 1 as const, kind: 'take' as const, id: `run-${i}`, buckets: [bucket] };
      const verdict = ledger.fold(entry, i + 1, at);
      granted.push('granted' in verdict && verdict.granted);
      // Another node goes on from what is stored.
      ledger = new Ledger(JSON.parse(JSON.stringify(ledger.snapshot())));
    }
    expect(granted).toEqual([true, true, false, false, true, false, true]);
  });
});
