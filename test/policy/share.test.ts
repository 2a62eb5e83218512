import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS, type Limits } from '../../src/core/limits.ts';
import type { RunCall, RunContext } from '../../src/core/run-state.ts';
import { shareOf } from '../../src/policy/share.ts';

const limits: Limits = { ...DEFAULT_LIMITS, tokens: 1_000, cost_usd: 1 };

function share(statuses: RunCall['status'][], used: { tokens: number; cost_usd: number }, held: Limits[] = []) {
  const calls = statuses.map((status) => ({ status }));
  const { tokens, cost_usd } = used;
  const context = { limits, calls, input_tokens: tokens, output_tokens: 0, cost_usd, deadline_at: null };
  return shareOf({ agent: DEFAULT_LIMITS, asked: undefined, context: context as unknown as RunContext, held, now: 0 });
}

describe('the share of a delegated run', () => {
  it('is an equal part for each that is to be started', () => {
    expect(share(['child_ready', 'child_ready'], { tokens: 0, cost_usd: 0 })).toMatchObject({
      tokens: 500,
      cost_usd: 0.5,
    });
  });

  it('leaves those at work what they were given: together they never pass the parent', () => {
    const first = share(['child_ready', 'child_ready'], { tokens: 0, cost_usd: 0 }) as Limits;
    const used = { tokens: 400, cost_usd: 0.25 };
    const again = share(['child_ready', 'child'], used, [first]) as Limits;
    expect(again).toMatchObject({ tokens: 100, cost_usd: 0.25 });
    expect(used.tokens + again.tokens + first.tokens).toBe(limits.tokens);
    expect(used.cost_usd + again.cost_usd + first.cost_usd).toBe(limits.cost_usd);
  });

  it('is refused when those at work hold all that is left', () => {
    const held = [{ ...limits, tokens: 500 }];
    expect(share(['child_ready', 'child'], { tokens: 500, cost_usd: 0 }, held)).toMatchObject({ code: 'token_limit' });
  });
});
