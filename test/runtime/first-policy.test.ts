import { afterEach, describe, expect, it } from 'vitest';
import type { Model, ThinkInput } from '../../src/ports/model.ts';
import { Cluster, chain, recordingLog, type TestNode } from './support.ts';

/** Until a policy is applied every agent only reads; the first one is put there by decision, and recorded (SEC-1, SEC-4). */

let nodes: TestNode[] = [];
afterEach(async () => {
  await Promise.all(nodes.map((one) => one.node.stop()));
  nodes = [];
});

async function started(cluster: Cluster, name = 'n1', options = {}): Promise<TestNode> {
  const node = await cluster.node(name, options);
  nodes.push(node);
  return node;
}

function world(): Cluster {
  const cluster = new Cluster({ name: 'desk', model: 'm', tools: ['look', 'pay', 'odd'] });
  cluster.firstPolicy = undefined;
  cluster.tools.add('look', () => 'seen', { effect: 'read' }).add('pay', () => 'paid', { effect: 'write' });
  // It does not say what it does.
  cluster.tools.add('odd', () => null);
  return cluster;
}

/** Calls the tools one after the other; what it was shown is kept. */
function calls(shown: string[][], ...tools: string[]): Model {
  return {
    think: async (input: ThinkInput) => {
      shown.push((await input.tools()).map(({ name }) => name));
      const tool = tools[input.step - 1];
      const decision =
        tool === undefined
          ? { action: 'final_answer', answer: 'done' }
          : { action: 'tool_call', calls: [{ tool, args: {} }] };
      return { decision: decision as never, usage: { input_tokens: 1, output_tokens: 1, cost_usd: 0 }, model: 'm' };
    },
  };
}

describe('without a policy', () => {
  it('an agent reads; what writes, or does not say, is refused: the observation and the log say what promotes it', async () => {
    const cluster = world();
    const shown: string[][] = [];
    cluster.modelMap.m = calls(shown, 'look', 'pay', 'odd');
    const log = recordingLog();
    await started(cluster, 'n1', { log });
    await cluster.submit({ input: 'x' }, 'desk');
    const result = await cluster.result();
    expect(result.code).toBe('completed');
    expect(result.step_log.flatMap((step) => step.calls.map(({ tool, status }) => [tool, status]))).toEqual([
      ['look', 'ok'],
      ['pay', 'refused'],
      ['odd', 'refused'],
    ]);
    expect(cluster.tools.calls.map(({ tool }) => tool)).toEqual(['look']);
    const todo = 'proctor policy promote desk supervised --why TEXT';
    expect(result.step_log[1]?.calls[0]?.preview).toContain(todo);
    const warned = (event: string) => log.lines.filter((one) => one.event === event && one.level === 'warn');
    expect(warned('tool.refused').map(({ fields }) => fields)).toEqual([
      expect.objectContaining({
        tool: 'pay',
        code: 'autonomy_level',
        message: expect.stringContaining(todo),
        policy: 0,
      }),
      expect.objectContaining({ tool: 'odd', code: 'autonomy_level', policy: 0 }),
    ]);
    // It is not even shown what it may not do, which is said once.
    expect(shown[0]).toEqual(['look']);
    expect(warned('tools.withheld').map(({ fields }) => fields)).toEqual([
      expect.objectContaining({ tools: ['pay', 'odd'], level: 'read_only', todo: expect.stringContaining(todo) }),
    ]);
    expect(warned('policy.none')).toHaveLength(1);
  });

  it('nor does plan, the agent that comes with Proctor', async () => {
    const cluster = world();
    await started(cluster);
    await cluster.submit(chain(1));
    expect((await cluster.result()).step_log[0]?.calls[0]).toMatchObject({ tool: 'echo', status: 'refused' });
    expect(cluster.tools.calls).toEqual([]);
  });
});

describe('the first policy of a node', () => {
  const trusting = (agent: string) => ({
    policy: {
      permissions: [{ tool: '*', do: 'allow' as const }],
      autonomy: [{ agent, level: 'autonomous' as const }],
    },
    by: `for ${agent}`,
    why: 'to begin with',
  });

  it('is a version with who and why, put there before a run begins, and once: another one changes nothing', async () => {
    const cluster = world();
    cluster.modelMap.m = calls([], 'pay');
    cluster.firstPolicy = trusting('desk');
    // Handed in before a node is there.
    await cluster.prepare();
    await cluster.submit({ input: 'x' }, 'desk');
    const { deps, node } = await started(cluster);
    expect((await cluster.result()).step_log[0]?.calls[0]).toMatchObject({ tool: 'pay', status: 'ok' });
    expect(node.policy).toEqual({ version: 1, source: '', first: true });
    cluster.firstPolicy = trusting('plan');
    const second = await started(cluster, 'n2');
    expect(second.node.policy).toEqual({ version: 1, source: '', first: false });
    const { record } = await deps.policies.get();
    expect(record).toMatchObject({ version: 1, by: 'for desk', why: 'to begin with' });
  });

  it('is one of them when two nodes begin at once', async () => {
    const cluster = world();
    cluster.firstPolicy = trusting('desk');
    const both = await Promise.all([started(cluster), started(cluster, 'n2')]);
    await cluster.clock.advance(1_000);
    expect(both.map(({ node }) => node.policy.version)).toEqual([1, 1]);
  });
});
