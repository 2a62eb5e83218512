import { describe, expect, it } from 'vitest';
import { DEFAULT_ANOMALY_SETTINGS } from '../../src/core/anomalies.ts';
import { NO_USAGE } from '../../src/core/decision.ts';
import type { RunContext } from '../../src/core/run-state.ts';
import { anomaliesOf, usualCost, wordsOfAnomaly } from '../../src/policy/anomalies.ts';

describe('what runs of an agent usually cost', () => {
  const costs = (length: number, of: (i: number) => number) => Array.from({ length }, (_, i) => of(i));

  it('is the median, of 20 runs or more', () => {
    expect(usualCost(costs(19, () => 1))).toBeNull();
    expect(usualCost(costs(20, (i) => i))).toBe(9.5);
    expect(usualCost(costs(21, (i) => i))).toBe(10);
  });

  it('is not moved by what a few of them cost, in whatever order', () => {
    expect(usualCost([...costs(9, () => 1_000), ...costs(12, () => 0.1)])).toBe(0.1);
  });

  it('is unknown when runs cost nothing: any cost would be an outlier', () => {
    expect(usualCost(costs(100, () => 0))).toBeNull();
  });
});

describe('a surge of tool calls', () => {
  const asked = (before: number, calls: number, tool_calls = 80) =>
    anomaliesOf(
      { cost_usd: 0, input_tokens: 0, output_tokens: 0, tool_calls: before } as RunContext,
      NO_USAGE,
      calls,
      { ...DEFAULT_ANOMALY_SETTINGS, tool_calls },
      null,
    );

  it('SUP-5: is said from the 80th call on', () => {
    expect(asked(78, 1)).toBeUndefined();
    expect(asked(79, 1)).toEqual([{ code: 'TOOL_CALL_SURGE', value: 80, over: 80 }]);
    expect(asked(79, 1)?.map(wordsOfAnomaly)).toEqual(['80 tool calls of this run; said from 80 on']);
    expect(asked(120, 0)).toHaveLength(1);
  });

  it('is none before the first call, whatever is set', () => {
    expect(asked(0, 0, 0)).toBeUndefined();
    expect(asked(0, 1, 0)).toHaveLength(1);
  });
});
