import { describe, expect, it } from 'vitest';
import { scripted } from '../../../src/adapters/model/scripted.ts';
import { createTestStack } from '../../../src/app/test-stack.ts';
import { clientOf, drive } from '../../client/support.ts';
import { Cluster } from '../../runtime/support.ts';
import { results, runOf, tool, use, work } from '../support.ts';

/**
 * Seen elsewhere: somebody stops an orchestrator while it hands out work. The stop goes to the children that it has at
 * that moment; one that is attached a moment later never hears of it, and works and bills on as an orphan.
 * https://github.com/NousResearch/hermes-agent/pull/110505
 *
 * Proctor: who works for whom is in the journals, not in a list in memory. A stop, by cancel, by kill switch or by a
 * limit of the parent, ends every run below it, also one that is attached after it; no tool of any is called any more.
 */

const boss = { name: 'boss', model: 'boss', tools: ['*'], delegates_to: ['worker'] };
const worker = { name: 'worker', model: 'worker', tools: ['*'] };

function office() {
  const cluster = new Cluster(boss, worker);
  cluster.modelMap.boss = { think: async () => scripted({ action: 'delegate', agent: 'worker', input: 'part' }) };
  // A cancel may need some milliseconds; a model takes longer.
  cluster.modelMap.worker = { think: () => work(cluster, 1_000, () => use('echo')) };
  const parent = async () => (await cluster.statuses()).find((one) => one.agent === 'boss')?.run ?? '';
  return { cluster, parent };
}

async function stopped(cluster: Cluster, run: string, how: 'cancel' | 'kill') {
  const { subjects } = cluster;
  if (how === 'kill') return cluster.client.publish(subjects.switchOf(`run:${run}`), 'kill');
  const subject = subjects.inbox({ run, kind: 'cancel', id: 'op' });
  return cluster.client.publish(subject, JSON.stringify({ v: 1, by: 'op', why: 'enough' }));
}

/** Both have ended, no tool was called, and nothing is left that could be taken up. */
async function nobodyIsLeft(cluster: Cluster, parent: string, code: string) {
  expect(await drive(cluster, clientOf(cluster).result(parent, { wait: true }))).toMatchObject({ code });
  await cluster.clock.advance(600_000);
  const ended = (await cluster.results()).map((one) => `${one.agent} ${one.code}`).sort((a, b) => a.localeCompare(b));
  expect(ended).toEqual([`boss ${code}`, `worker ${code}`]);
  expect(cluster.tools.calls).toEqual([]);
  expect(await cluster.last('QUEUE', 'proctor.queue.>', String)).toEqual([]);
}

describe('a child that is attached after its parent was stopped', () => {
  it.each([
    ['cancel', 'cancelled'],
    ['kill', 'killed'],
  ] as const)('by %s, when its start is on the way at that moment, ends with it', async (how, code) => {
    const { cluster, parent } = office();
    await cluster.node();
    cluster.broker.intercept = ({ kind, subject }) =>
      kind === 'publish' && subject.includes('.queue.worker.') ? 'delay' : 'ok';
    await cluster.submit({ input: 'x' }, 'boss');
    await cluster.until('start on its way', async () => cluster.broker.held.length > 0);
    const run = await parent();
    await stopped(cluster, run, how);
    await cluster.until('end of the parent', async () => (await cluster.results()).some((one) => one.run === run));
    cluster.broker.intercept = () => 'ok';
    cluster.broker.release();
    await nobodyIsLeft(cluster, run, code);
  });

  it.each([
    ['cancel', 'cancelled'],
    ['kill', 'killed'],
  ] as const)('by %s, when the node died between the two, ends with it', async (how, code) => {
    const { cluster, parent } = office();
    const first = await cluster.node('n1', { dieAt: (point) => point === 'delegate.child_written' });
    await cluster.submit({ input: 'x' }, 'boss');
    await cluster.until('death', async () => first.dead);
    const run = await parent();
    await stopped(cluster, run, how);
    await cluster.node('n2');
    await nobodyIsLeft(cluster, run, code);
  });

  it('comes to work when nobody stops anything', async () => {
    const { cluster } = office();
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'boss');
    await cluster.until('call of the child', async () => cluster.tools.calls.length > 0);
  });
});

describe('the children of a parent that ends', () => {
  const agents = [
    { ...boss, model: 'test/boss' },
    { ...worker, model: 'test/worker' },
  ];

  /** Two children in the middle of a call; the parent and what its children have done. */
  async function atWork(limits: object = {}) {
    const done: number[] = [];
    const slow = tool('slow', ({ part }, { signal }) => work(stack, 25_000, () => done.push(Number(part)), signal));
    const members = [1, 2].map((part) => ({ agent: 'worker', input: part }));
    const model = {
      think: async ({ agent: { name }, task }: { agent: { name: string }; task: { input: unknown } }) =>
        name === 'boss' ? scripted({ action: 'delegate', members }) : use('slow', { part: task.input as number }),
    };
    const stack = await createTestStack({ agents, model, tools: [slow] });
    const run = await stack.submit({ input: 'x', limits }, 'boss');
    await runOf(stack, 'worker', 'executing.calling');
    return { stack, run, done };
  }

  it.each([
    ['that is killed', {}, 'killed'],
    ['that is cancelled', {}, 'cancelled'],
    ['that runs out of time', { wall_ms: 10_000 }, 'timeout'],
  ])('%s end with it', async (_how, limits, code) => {
    const { stack, run, done } = await atWork(limits);
    if (code === 'killed') await stack.until(stack.operator.switch(`run:${run}`, 'kill', 'enough'));
    if (code === 'cancelled') await stack.until(stack.client.cancel(run));
    expect((await stack.result(run)).code).toBe(code);
    await stack.advance(120_000);
    const ended = await results(stack);
    expect(ended).toHaveLength(3);
    expect(ended.filter((one) => one.status === 'completed')).toEqual([]);
    expect(done).toEqual([]);
    await stack.stop();
  });
});
