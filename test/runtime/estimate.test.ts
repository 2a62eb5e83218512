import { expect, it } from 'vitest';
import { EMPTY_CONTEXT } from '../../machines/agent-run/context.ts';
import { estimateFor, type Spender } from '../../src/runtime/estimate.ts';

it('COST-2: waits at a gate, which asked no model, make no estimate smaller', () => {
  const run = {
    deps: { price: () => null },
    accepted: { agent: { model: 'm' }, task: { input: 'x' } },
  } as unknown as Spender;
  const asked = { ...EMPTY_CONTEXT, steps: 2, input_tokens: 16_000 };
  const { tokens } = estimateFor(run, { ...asked, thinks: 2 }, 100);
  expect(tokens).toBe(10_100);
  expect(estimateFor(run, { ...asked, thinks: 9 }, 100).tokens).toBe(tokens);
});
