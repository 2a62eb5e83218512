import { afterEach, describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { createOperator } from '../../src/client/operator.ts';
import type { AppError } from '../../src/core/errors.ts';
import { Plan } from '../../src/core/plan.ts';
import { Cluster, type TestNode } from './support.ts';

let nodes: TestNode[] = [];
afterEach(async () => {
  await Promise.all(nodes.map((one) => one.node.stop()));
  nodes = [];
});

/** A request to a node takes simulated time. */
async function settled<T>(cluster: Cluster, promise: Promise<T>): Promise<T> {
  let over = false;
  const end = () => {
    over = true;
  };
  promise.then(end, end);
  await cluster.until('an answer', async () => over, 60_000, 10);
  return promise;
}

async function world() {
  const cluster = new Cluster({ name: 'desk', model: 'desk', delegates_to: ['plan'] });
  let asked = 0;
  const part = { action: 'delegate' as const, agent: 'plan', input: 'x', plan: Plan.parse({ steps: steps('cancel') }) };
  const think = async () => scripted(asked++ === 0 ? part : { action: 'final_answer', answer: 'done' });
  cluster.modelMap.desk = { think };
  const stays = new Promise<never>(() => {});
  cluster.tools
    .add('order', ({ item }) => ({ id: `order-${String(item)}`, token: 'secret-value' }), {
      compensation: { tool: 'cancel', args: { order: 'result.id', item: 'args.item' } },
    })
    .add('cancel', (args) => args)
    .add('look', () => null, { effect: 'read' })
    .add('hang', () => stays);
  nodes.push(await cluster.node());
  const operator = createOperator({
    bus: cluster.client,
    subjects: cluster.subjects,
    by: 'olga',
    clock: cluster.clock,
  });
  return { cluster, operator };
}

const steps = (...tools: string[]) =>
  tools.map((tool, i) => ({ id: `s${i}`, tool, args: { item: i }, after: i === 0 ? [] : [`s${i - 1}`] }));

describe('after a kill (OPS-8)', () => {
  it('the report says what was really done, and one call makes up for it, once', async () => {
    const { cluster, operator } = await world();
    await cluster.submit({ input: 'x', plan: { steps: steps('look', 'order', 'hang', 'order') } });
    await cluster.until('hanging call', async () => cluster.tools.calls.some(({ tool }) => tool === 'hang'));
    const { run = '' } = (await cluster.statuses())[0] ?? {};
    expect(await settled(cluster, operator.effects(run))).toMatchObject({
      ended: false,
      effects: [
        { tool: 'order', state: 'done' },
        { tool: 'hang', state: 'working' },
      ],
    });
    await settled(cluster, operator.switch(`run:${run}`, 'kill', 'wrong customer'));
    expect((await cluster.result()).code).toBe('killed');
    const report = await settled(cluster, operator.effects(run));
    expect(report).toMatchObject({
      ended: true,
      effects: [
        { run, tool: 'order', state: 'done', args: { item: 1 }, result: { id: 'order-1', token: '***REDACTED***' } },
        { tool: 'hang', state: 'open' },
      ],
    });
    const [made, open] = report.effects.map(({ c }) => c);
    const done = await settled(cluster, operator.compensate(run, made ?? '', 'wrong customer'));
    const again = await settled(cluster, operator.compensate(run, made ?? ''));
    expect(again.run).toBe(done.run);
    await cluster.until('call that makes up', async () => cluster.tools.calls.some(({ tool }) => tool === 'cancel'));
    await cluster.until('its end', async () => (await cluster.results()).length === 2);
    const cancels = cluster.tools.calls.filter(({ tool }) => tool === 'cancel');
    expect(cancels.map(({ args }) => args)).toEqual([{ order: 'order-1', item: 1 }]);
    const refused = (c: string) =>
      settled(
        cluster,
        operator.compensate(run, c).catch((thrown: AppError) => thrown),
      );
    expect(await refused(open ?? '')).toMatchObject({
      code: 'no_effect',
      message: expect.stringContaining('find out first'),
    });
    expect(await refused('99-0')).toMatchObject({ code: 'no_effect' });
  });

  it('includes what it delegated to; a tool without a compensation says so', async () => {
    const { cluster, operator } = await world();
    await cluster.submit({ input: 'x' }, 'desk');
    const ended = await cluster.until('end of both', async () => {
      const all = await cluster.results();
      return all.length === 2 && all;
    });
    const [child, parent] = ended[0]?.agent === 'desk' ? [ended[1], ended[0]] : ended;
    const report = await settled(cluster, operator.effects(parent?.run ?? ''));
    expect(report.effects).toMatchObject([{ run: child?.run, agent: 'plan', tool: 'cancel', state: 'done' }]);
    const { run = '', c = '' } = report.effects[0] ?? {};
    const thrown = await settled(
      cluster,
      operator.compensate(run, c).catch((error: AppError) => error),
    );
    expect(thrown).toMatchObject({ code: 'no_compensation' });
  });
});
