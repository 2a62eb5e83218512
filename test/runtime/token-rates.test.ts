import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import { LedgerEntry, type LedgerEntryOf } from '../../src/core/ledger-wire.ts';
import { DEFAULT_LIMITS } from '../../src/core/limits.ts';
import type { QuotasInput } from '../../src/core/quotas.ts';
import { Cluster, type TestNode } from './support.ts';

const answer = { action: 'final_answer', answer: 'ok' } as const;
const used = (tokens: number) => ({ input_tokens: tokens - 1, output_tokens: 1, cost_usd: 0 });

/** Runs that ask the model once; a call is estimated at a little more than 2,000 tokens. */
function cluster(...replies: Parameters<typeof scriptedModel>[0]) {
  const limits = { ...DEFAULT_LIMITS, wall_ms: 86_400_000, output_tokens_per_step: 1_000 };
  const made = new Cluster({ name: 'asking', model: 'far', limits });
  const asked: number[] = [];
  const model = scriptedModel(replies);
  made.modelMap.far = {
    think: (input) => {
      asked.push(made.clock.now());
      return model.think(input);
    },
  };
  return { cluster: made, asked };
}

const rate = (capacity: number, refill: number, per: 'cluster' | 'user' = 'cluster'): QuotasInput => ({
  rates: [{ for: 'model:*', unit: 'tokens', per, capacity, refill, every_ms: 1_000 }],
});

const entries = (on: Cluster) => on.last('LEDGER', '>', (text) => LedgerEntry.parse(JSON.parse(text)));
const draws = async (on: Cluster) =>
  (await entries(on)).filter((entry): entry is LedgerEntryOf<'draw'> => entry.kind === 'draw');
const ended = (on: Cluster, count: number) =>
  on.until(`${count} ends`, async () => {
    const results = await on.results();
    return results.length === count ? results : null;
  });

function level(on: Cluster, { deps }: TestNode, capacity: number, refill: number, scope = 'model:far tokens'): number {
  return deps.ledger.ledger.buckets.level({ scope, capacity, every_ms: 1_000 / refill }, on.clock.now());
}

describe('a model with a rate in tokens', () => {
  it('TOOL-8: takes the estimate before a call and puts what it used in its place, so frugal calls do not wait', async () => {
    const { cluster: one, asked } = cluster(...Array.from({ length: 10 }, () => scripted(answer, used(100))));
    const nodes = [await one.node('n1', { quotas: rate(3_000, 1) }), await one.node('n2', { quotas: rate(3_000, 1) })];
    const began = one.clock.now();
    for (let i = 1; i <= 10; i++) {
      await one.submit({ input: 'x' }, 'asking');
      await ended(one, i);
    }
    expect((asked.at(-1) ?? 0) - began).toBeLessThan(60_000);
    const [first] = await draws(one);
    expect(first).toMatchObject({ v: 2, buckets: [], estimated: [{ scope: 'model:far tokens', capacity: 3_000 }] });
    expect(first?.estimated[0]?.take).toBeGreaterThan(2_000);
    for (const node of nodes) {
      expect(node.deps.ledger.ledger.draws.open.size).toBe(0);
      const since = (one.clock.now() - began) / 1_000;
      const left = level(one, node, 3_000, 1);
      expect(left).toBeGreaterThanOrEqual(2_000);
      expect(left).toBeLessThanOrEqual(2_001 + since);
    }
  });

  it('TOOL-8: makes runs wait, not fail, after one used far more than anybody could know', async () => {
    const { cluster: one, asked } = cluster(scripted(answer, used(12_000)), scripted(answer, used(100)));
    await one.node('n1', { quotas: rate(3_000, 100) });
    await one.submit({ input: 'x' }, 'asking');
    await ended(one, 1);
    await one.submit({ input: 'x' }, 'asking');
    const results = await ended(one, 2);
    expect(results.map(({ status }) => status)).toEqual(['completed', 'completed']);
    // 9,000 in debt and 2,000 to take, at 100 a second.
    expect((asked[1] ?? 0) - (asked[0] ?? 0)).toBeGreaterThan(108_000);
  });

  it('TOOL-8: that holds less than one call may use lets it through when it is full, and no run waits for ever', async () => {
    const { cluster: one, asked } = cluster(...Array.from({ length: 4 }, () => scripted(answer, used(1_500))));
    await one.node('n1', { quotas: rate(500, 100) });
    for (let i = 0; i < 4; i++) await one.submit({ input: 'x' }, 'asking');
    const results = await ended(one, 4);
    expect(results.every(({ status }) => status === 'completed')).toBe(true);
    // 1,500 each: 15 s.
    for (let i = 1; i < 4; i++) expect((asked[i] ?? 0) - (asked[i - 1] ?? 0)).toBeGreaterThanOrEqual(14_900);
  });

  it('has a bucket for each user where it says so', async () => {
    const { cluster: one, asked } = cluster(...Array.from({ length: 3 }, () => scripted(answer, used(2_000))));
    await one.node('n1', { quotas: rate(2_500, 10, 'user') });
    const began = one.clock.now();
    await one.submit({ input: 'x' }, 'asking', 'alice');
    await one.submit({ input: 'x' }, 'asking', 'alice');
    await one.submit({ input: 'x' }, 'asking', 'bob');
    await ended(one, 3);
    expect(asked.map((at) => at - began < 60_000)).toEqual([true, true, false]);
    const scopes = new Set((await draws(one)).flatMap(({ estimated }) => estimated.map(({ scope }) => scope)));
    expect(scopes).toEqual(new Set(['model:far tokens user:alice', 'model:far tokens user:bob']));
  });

  it('gets back what a refused call did not use; what a call used of which nobody knows stays taken', async () => {
    const refused = new AppError('rate_limit', 'too many', { retryable: true });
    const cut = new AppError('model_unavailable', 'no answer');
    const { cluster: one } = cluster(refused, cut, scripted(answer, used(100)));
    const node = await one.node('n1', { quotas: rate(9_000, 1) });
    await one.submit({ input: 'x' }, 'asking');
    await one.result();
    const all = await entries(one);
    const taken = (await draws(one)).map(({ estimated }) => estimated[0]?.take ?? 0);
    const settled = all.flatMap((entry) => (entry.kind === 'settle' ? [entry.amount.tokens] : []));
    expect(settled).toEqual([0, taken[1], 100]);
    expect(level(one, node, 9_000, 1)).toBeCloseTo(9_000 - (taken[1] ?? 0) - 100, -2);
  });

  it('gets all back when a later gate refuses the call', async () => {
    const { cluster: one, asked } = cluster(scripted(answer, used(100)));
    const rule = { failures: 1, open_ms: 60_000, successes: 1 };
    const quotas = { ...rate(9_000, 1), breakers: [{ for: 'model:far', rule }] };
    const { ledger } = (await one.node('n1', { quotas })).deps;
    await ledger.tell({ v: 1, kind: 'outcome', target: 'model:far', ok: false, rule });
    await one.clock.advance(60_000);
    // Somebody else tries the model now.
    await ledger.probe({ v: 1, kind: 'probe', id: 'of another', target: 'model:far', rule });
    await one.submit({ input: 'x' }, 'asking');
    const back = await one.until('a settlement', async () =>
      (await entries(one)).find((entry) => entry.kind === 'settle'),
    );
    expect(asked).toEqual([]);
    expect(back).toMatchObject({ id: (await draws(one))[0]?.id, amount: { tokens: 0 } });
    expect(ledger.ledger.buckets.level({ scope: 'model:far tokens', capacity: 9_000, every_ms: 1 }, 0)).toBe(9_000);
  });

  it('keeps what a node took that died before the call, and the next one takes anew', async () => {
    const { cluster: one, asked } = cluster(scripted(answer, used(100)));
    const dying = await one.node('n1', { quotas: rate(9_000, 1) });
    one.broker.intercept = ({ kind, node, subject }) => {
      if (kind === 'publish' && node === 'n1' && subject.startsWith('proctor.ledger.draw.')) dying.kill();
      return 'ok';
    };
    await one.submit({ input: 'x' }, 'asking');
    await one.until('a death', async () => dying.dead);
    const next = await one.node('n2', { quotas: rate(9_000, 1) });
    expect(await one.result()).toMatchObject({ status: 'completed' });
    expect(asked).toHaveLength(1);
    const taken = (await draws(one)).map(({ estimated }) => estimated[0]?.take ?? 0);
    expect(taken).toHaveLength(2);
    expect(level(one, next, 9_000, 1)).toBeCloseTo(9_000 - (taken[0] ?? 0) - 100, -2);
    expect(next.deps.ledger.ledger.draws.open.size).toBe(1);
  });
});
