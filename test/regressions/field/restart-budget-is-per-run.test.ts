import { describe, expect, it } from 'vitest';
import { createOperator } from '../../../src/client/operator.ts';
import { drive } from '../../client/support.ts';
import { Cluster, recordingLog } from '../../runtime/support.ts';

/**
 * Seen elsewhere: the restart budget is counted per parent, so five children that fail once each use it up and two are
 * given up; it begins anew with each rebuilt wrapper, so one that always fails is restarted for ever, and nobody is told.
 * https://github.com/pathosDev/actor-ts/issues/917 https://github.com/pathosDev/actor-ts/issues/1241
 *
 * Proctor: each run has a budget of its own, three restarts in a minute, and its starts are in its journal: a new node
 * does not grant new ones. The one that uses it up ends alone, `crash_limit`; each crash is logged and shown in the tree.
 */

/** A fault of ours, not of the tool: the run's owner crashes `times` times for each input. */
function faulty(times: number) {
  const crashed = new Map<string, number>();
  return {
    crashed,
    validator: {
      faults: (_schema: unknown, args: unknown) => {
        const { crash } = args as { crash?: string };
        if (crash === undefined) return null;
        const count = (crashed.get(crash) ?? 0) + 1;
        if (count > times) return null;
        crashed.set(crash, count);
        throw new Error('a fault of ours');
      },
    },
  };
}

const task = (crash: string) => ({ input: crash, plan: { steps: [{ id: 'a', tool: 'echo', args: { crash } }] } });

describe('the restart budget', () => {
  it('is that of each run: ten that crash once or thrice all come through', async () => {
    for (const times of [1, 3]) {
      const cluster = new Cluster();
      const { validator, crashed } = faulty(times);
      await cluster.node('n1', { validator });
      for (let i = 0; i < 10; i++) await cluster.submit(task(`run ${i}`));
      await cluster.until('all results', async () => (await cluster.results()).length === 10);
      expect((await cluster.results()).filter((one) => one.status !== 'completed')).toEqual([]);
      expect([...crashed.values()]).toEqual(Array(10).fill(times));
    }
  });

  it('is not filled up by another node', async () => {
    const cluster = await new Cluster().prepare();
    const { validator, crashed } = faulty(Number.POSITIVE_INFINITY);
    await cluster.submit(task('always'));
    const first = await cluster.node('n1', { validator, settings: { lease_ms: 1_000 } });
    await cluster.until('crashes', async () => crashed.get('always') === 2, 60_000, 10);
    first.kill();
    await cluster.node('n2', { validator, settings: { lease_ms: 1_000 } });
    expect(await cluster.result()).toMatchObject({ status: 'failed', code: 'crash_limit' });
    await cluster.clock.advance(300_000);
    expect(crashed.get('always')).toBeLessThanOrEqual(5);
  });

  it('is used up loudly: in the log, in the tree and in the result, and the others notice nothing', async () => {
    const cluster = new Cluster();
    const { validator, crashed } = faulty(Number.POSITIVE_INFINITY);
    const log = recordingLog();
    await cluster.node('n1', { validator, log });
    await cluster.submit(task('always'));
    const result = await cluster.result();
    expect(result).toMatchObject({ code: 'crash_limit', status: 'failed' });
    expect(crashed.get('always')).toBe(4);
    const told = log.lines.filter(({ event, level }) => event === 'run.crashed' && level === 'error');
    expect(told).toHaveLength(4);
    expect(told[0]?.fields.message).toContain('a fault of ours');
    const operator = createOperator({ bus: cluster.client, subjects: cluster.subjects, by: 'o', clock: cluster.clock });
    const [{ tree } = { tree: null }] = await drive(cluster, operator.trees());
    expect(JSON.stringify(tree)).toContain('crash_limit');
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'echo', args: {} }] } });
    const others = await cluster.until('the other', async () => {
      const ended = await cluster.results();
      return ended.length === 2 && ended.filter((one) => one.run !== result.run);
    });
    expect(others[0]?.status).toBe('completed');
  });
});
