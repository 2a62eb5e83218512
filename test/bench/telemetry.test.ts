import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { faultsOf } from '../../bench/telemetry/compare.ts';
import { TELLING, TELLING_LINE } from '../../bench/telemetry/without.ts';

describe('the benchmark of telemetry', () => {
  it.each(Object.entries(TELLING))('finds the lines that %s has for it, to measure what they cost', (module, lines) => {
    const text = readFileSync(new URL(`../../src/runtime/${module}.ts`, import.meta.url), 'utf8');
    expect(text.match(TELLING_LINE)).toHaveLength(lines);
  });

  it('says when a cost is over the limit, and when it measured too coarsely to tell', () => {
    const fine = { mean: 1, error: 0.002 };
    const both = (speed: number, cpu: number, error: number) =>
      faultsOf({ speed: { off: { mean: speed, error } }, cpu: { off: { mean: cpu, error } } });
    expect(faultsOf({ speed: { off: fine }, cpu: { off: fine } })).toEqual([]);
    expect(both(0.97, 1, 0.002)).toEqual([expect.stringContaining('costs 3.00 %')]);
    expect(both(1, 1.03, 0.002)).toEqual([expect.stringContaining('of the CPU time a step')]);
    expect(both(1, 1, 0.02)).toHaveLength(2);
    expect(both(1, 1, 0.02)[0]).toContain('take more pairs');
  });
});
