import { describe, expect, it } from 'vitest';
import { Cluster } from '../runtime/support.ts';

/**
 * Nodes correct their clocks by the server's. These do not: whatever their clocks say, up to half a minute to either
 * side, time only decides when something happens, never whether, or how often.
 */

const STEPS = ['keyed', 'once', 'keyed', 'once', 'keyed', 'once', 'keyed', 'once'];
const plan = {
  steps: STEPS.map((tool, i) => ({ id: `s${i}`, tool, after: i === 0 ? [] : [`s${i - 1}`] })),
};

describe('clocks that are 30 s apart', () => {
  it('do no harm to runs that move between their nodes', async () => {
    const cluster = new Cluster();
    const wait = (ms: number) => new Promise<number>((resolve) => void cluster.clock.after(ms, () => resolve(ms)));
    const effects = new Map<string, number>();
    const count = (key: string) => void effects.set(key, (effects.get(key) ?? 0) + 1);
    cluster.tools
      .add('keyed', () => wait(700))
      .add(
        'once',
        async (_args, call) => {
          count(call.idempotencyKey);
          return wait(300);
        },
        { idempotent: false },
      );
    const start = (name: string, aheadMs: number) => cluster.node(name, { aheadMs, settings: { slots: 4 } });
    let fast = await start('fast', 30_000);
    let slow = await start('slow', -30_000);
    await start('right', 0);
    const runs = 12;
    const begin = cluster.clock.now();
    for (let i = 0; i < runs; i++) await cluster.submit({ input: i, plan }, 'plan', `u${i}`);
    const due = begin + 120_000;
    await cluster.submit({ input: 'later', plan, not_before: new Date(due).toISOString() }, 'plan', 'later');
    await cluster.clock.advance(1_200);
    await Promise.all([fast.node.stop(), cluster.clock.advance(1_500)]);
    fast = await start('fast-2', 30_000);
    await Promise.all([slow.node.stop(), cluster.clock.advance(1_500)]);
    slow = await start('slow-2', -30_000);
    await cluster.until('all results', async () => (await cluster.results()).length === runs + 1);
    expect(Math.abs(cluster.clock.now() - due)).toBeLessThan(45_000);
    const owners = new Set<string>();
    for (const { run, status, error } of await cluster.results()) {
      expect([status, error], run).toEqual(['completed', null]);
      const entries = await cluster.entries(run);
      expect(entries.map(({ n }) => n)).toEqual(entries.map((_, i) => i));
      for (const [i, entry] of entries.entries()) expect(entry.at).toBeGreaterThanOrEqual(entries[i - 1]?.at ?? 0);
      for (const event of entries.flatMap(({ events }) => events)) if (event.type === 'claimed') owners.add(event.node);
    }
    expect(owners.size).toBeGreaterThanOrEqual(4);
    expect([...effects.values()]).toEqual(Array((runs + 1) * 4).fill(1));
  });
});
