import { expect, it } from 'vitest';
import { scripted } from '../../../src/adapters/model/scripted.ts';
import { Cluster } from '../../runtime/support.ts';

/**
 * Seen elsewhere: there is a cap for one run at best; nobody can say what a user or an agent may spend in a day, so a
 * hundred runs that each keep to their cap spend a hundred caps over night.
 * https://github.com/anthropics/claude-code/issues/66048
 *
 * Proctor: what all runs of a user, of an agent and of a team spend together is reserved before each model call, over all
 * nodes, in USD and in tokens. The call that has no room is not made, and the result says when
 * there is room again.
 */

const PRICE = { model: 'paid', from: '2020-01-01', input: 1, output: 1 } as never;
const USAGE = { input_tokens: 500, output_tokens: 500, cost_usd: 0.001 };

it('stops a hundred runs of one user on two nodes where one budget ends, and lets another user go on', async () => {
  const cluster = new Cluster({ name: 'a', model: 'paid', limits: { output_tokens_per_step: 500 } as never });
  cluster.prices = [PRICE];
  let asked = 0;
  const model = {
    think: async () => {
      asked++;
      return scripted({ action: 'final_answer', answer: 'ok' }, USAGE);
    },
  };
  cluster.modelMap = { ...cluster.modelMap, paid: model };
  const quotas = { users: { '*': { day: { usd: 0.02 } } } };
  await cluster.node('n1', { quotas });
  await cluster.node('n2', { quotas });
  for (let i = 0; i < 100; i++) await cluster.submit({ input: `${i}` }, 'a', 'night-owl');
  await cluster.until('results', async () => (await cluster.results()).length === 100);
  const results = await cluster.results();
  const spent = results.reduce((sum, one) => sum + one.cost_usd, 0);
  expect(spent).toBeLessThanOrEqual(0.02);
  expect(results.filter((one) => one.status === 'completed')).toHaveLength(asked);
  expect(asked).toBeGreaterThan(10);
  const refused = results.filter((one) => one.status === 'failed');
  expect(refused.every((one) => one.code === 'budget_exceeded' && one.cost_usd === 0)).toBe(true);
  expect(refused[0]?.error?.reason).toMatch(/user:night-owl this day.*begins anew at 2026-01-02T00:00/);
  await cluster.submit({ input: 'x' }, 'a', 'early-bird');
  const other = await cluster.until('another', async () =>
    (await cluster.results()).find((one) => one.user === 'early-bird'),
  );
  expect(other.status).toBe('completed');
});
