import { describe, expect, it } from 'vitest';
import { createTestStack } from '../../../src/app/test-stack.ts';
import { AppError } from '../../../src/core/errors.ts';
import { clientOf, drive } from '../../client/support.ts';
import { Cluster, type NodeOptions, type TestNode } from '../../runtime/support.ts';
import { say, tool, use, work } from '../support.ts';

/**
 * Seen elsewhere: a turn that crashes its process is recovered, crashes it again, and is billed each time; or the count
 * that should stop this goes up with every deployment, and runs in good health are given up.
 * https://github.com/cloudflare/agents/pull/1672
 *
 * Proctor: what is counted are starts in a row that brought nothing. After four of them the run ends `crash_limit`, and
 * whoever asks is told so. A run that gets on may be interrupted as often as one likes, and a node that stops in good
 * order counts for nothing. The retries of a call are in the journal: a crash does not grant new ones.
 */

const agent = { name: 'a', model: 'm', tools: ['*'] };

describe('a run that takes its node with it each time', () => {
  it('is started four times and no more, whoever starts it', async () => {
    const cluster = await new Cluster(agent).prepare();
    let asked = 0;
    let node: TestNode | null = null;
    cluster.modelMap.m = { think: async () => say(++asked) };
    // Each answer was paid for, and dies with the process before it is written down.
    const options: NodeOptions = { settings: { lease_ms: 1_000 }, dieAt: (point) => point === 'think.returned' };
    await cluster.submit({ input: 'x' }, 'a');
    let nodes = 0;
    const result = await cluster.until('result', async () => {
      if (node === null || node.dead) node = await cluster.node(`n${++nodes}`, options);
      return (await cluster.results())[0];
    });
    expect(result).toMatchObject({ status: 'failed', code: 'crash_limit' });
    expect([asked, nodes]).toEqual([4, 5]);
    const why = await drive(cluster, clientOf(cluster).why(result.run));
    expect(why.text).toMatch(/ended crash_limit/);
  });
});

describe('a run in good health', () => {
  it('survives a crash at every one of its steps', async () => {
    const STEPS = 12;
    const slow = tool('work', ({ step }, { signal }) => work(stack, 1_000, () => step ?? null, signal));
    const think = async ({ step }: { step: number }) => (step <= STEPS ? use('work', { step }) : say('done'));
    const stack = await createTestStack({ agents: [{ ...agent, model: 'test/m' }], model: { think }, tools: [slow] });
    const run = await stack.submit({ input: 'x', limits: { wall_ms: 300_000 } });
    for (let crashes = 0; crashes < STEPS; crashes++) {
      await stack.advance(3_000);
      await stack.crash();
    }
    expect(await stack.result(run)).toMatchObject({ status: 'completed', steps: STEPS + 1 });
    expect((await stack.trace(run)).totals.claims).toBeGreaterThan(STEPS / 2);
    await stack.stop();
  });

  it('survives ten deployments during one and the same model call', async () => {
    const cluster = await new Cluster(agent).prepare();
    let asked = 0;
    let deployed = false;
    cluster.modelMap.m = {
      think: async ({ signal }) => {
        asked++;
        if (!deployed) await work(cluster, 20_000, () => null, signal);
        return say('done');
      },
    };
    await cluster.submit({ input: 'x' }, 'a');
    for (let deployment = 1; deployment <= 10; deployment++) {
      const { node } = await cluster.node(`n${deployment}`);
      await cluster.until('call', async () => asked === deployment);
      await drive(cluster, node.stop());
    }
    deployed = true;
    await cluster.node('last');
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'completed', answer: 'done' });
    expect(asked).toBe(11);
  });
});

describe('the retries of a call', () => {
  it('are as many with crashes between them as without', async () => {
    const cluster = await new Cluster(agent).prepare();
    let tries = 0;
    cluster.tools.add('broken', () => {
      tries++;
      throw new AppError('tool_crash', 'broken', { retryable: true });
    });
    let asked = 0;
    cluster.modelMap.m = { think: async () => (++asked === 1 ? use('broken') : say('gave up')) };
    await cluster.submit({ input: 'x' }, 'a');
    let nodes = 0;
    let node = await cluster.node(`n${++nodes}`, { settings: { lease_ms: 1_000 } });
    const result = await cluster.until('result', async () => {
      const [run] = await cluster.statuses();
      const events = (await cluster.entries(run?.run ?? '')).flatMap((entry) => entry.events);
      if (events.filter(({ type }) => type === 'call_retry').length >= nodes) {
        node.kill();
        node = await cluster.node(`n${++nodes}`, { settings: { lease_ms: 1_000 } });
      }
      return (await cluster.results())[0];
    });
    expect(result).toMatchObject({ status: 'completed', answer: 'gave up' });
    // The first try and its two retries.
    expect(tries).toBe(3);
    expect(nodes).toBe(3);
  });
});
