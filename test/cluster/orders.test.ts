import { describe, expect, it } from 'vitest';
import { createOperator } from '../../src/client/operator.ts';
import { drive } from '../client/support.ts';
import { Cluster, chain } from '../runtime/support.ts';

/** Cordon, drain and uncordon, in simulated time. */

/** Steps of a second each. */
function slow(cluster: Cluster): Cluster {
  cluster.tools.add(
    'slow',
    (_args, call) => new Promise((resolve) => void cluster.clock.after(1_000, () => resolve(call.c))),
  );
  return cluster;
}

const operatorOf = (cluster: Cluster) =>
  createOperator({ bus: cluster.client, subjects: cluster.subjects, by: 'olga', clock: cluster.clock });

const submit = (cluster: Cluster, runs: number, steps: number) =>
  Promise.all(Array.from({ length: runs }, (_, i) => cluster.submit(chain(steps, 'slow'), 'plan', `u${i}`)));

/** Names of the nodes that claimed a run, in order. */
async function claims(cluster: Cluster, run: string): Promise<string[]> {
  const entries = await cluster.entries(run);
  return entries.flatMap(({ events }) => events.flatMap((event) => (event.type === 'claimed' ? [event.node] : [])));
}

describe('a cordoned node', () => {
  it('keeps its runs and takes no more, until it is uncordoned', async () => {
    const cluster = slow(new Cluster());
    const n1 = await cluster.node('n1');
    const operator = operatorOf(cluster);
    await submit(cluster, 3, 5);
    await cluster.until('runs in work', async () => n1.node.activeRuns === 3);
    const given = await drive(cluster, operator.nodeOrder('n1', 'cordon', 'odd noises'));
    expect(given.node).toMatchObject({
      state: 'cordoned',
      active_runs: 3,
      order: { order: 'cordon', by: 'olga', why: 'odd noises' },
    });
    expect(given.lonely).toEqual(['plan']);
    await submit(cluster, 2, 1);
    await cluster.until('three results', async () => (await cluster.results()).length === 3);
    await cluster.clock.advance(30_000);
    expect([n1.node.activeRuns, (await cluster.results()).length]).toEqual([0, 3]);
    const back = await drive(cluster, operator.nodeOrder('n1', 'uncordon'));
    expect(back).toMatchObject({ node: { state: 'ready' }, lonely: [] });
    expect(back.node.order).toBeUndefined();
    await cluster.until('the others', async () => (await cluster.results()).length === 5);
  });

  it('is a process, not a name: the next one of that name takes runs', async () => {
    const cluster = slow(new Cluster());
    const first = await cluster.node('n1');
    await drive(cluster, operatorOf(cluster).nodeOrder('n1', 'cordon'));
    first.kill();
    await cluster.node('n1');
    await submit(cluster, 1, 1);
    await cluster.result();
  });
});

describe('a drained node', () => {
  it('hands its runs over where their steps end, and stays up without one', async () => {
    const cluster = slow(new Cluster());
    const n1 = await cluster.node('n1');
    await submit(cluster, 3, 4);
    await cluster.until('runs in work', async () => n1.node.activeRuns === 3);
    await cluster.node('n2');
    const { lonely } = await drive(cluster, operatorOf(cluster).nodeOrder('n1', 'drain', 'new kernel'));
    expect(lonely).toEqual([]);
    await cluster.until('three results', async () => (await cluster.results()).length === 3);
    expect(n1.node.activeRuns).toBe(0);
    for (const { run, status } of await cluster.results()) {
      expect([status, await claims(cluster, run)]).toEqual(['completed', ['n1', 'n2']]);
    }
    expect(cluster.tools.calls.map((call) => call.attempt)).toEqual(Array(12).fill(1));
    const { nodes } = await drive(cluster, operatorOf(cluster).health());
    expect(nodes.map(({ node, state }) => `${node} ${state}`)).toEqual(['n1 cordoned', 'n2 ready']);
  });
});

describe('orders and names', () => {
  it('an order to a node that is not there names those that are', async () => {
    const cluster = new Cluster();
    await cluster.node('n1');
    await expect(drive(cluster, operatorOf(cluster).nodeOrder('n3', 'drain'))).rejects.toMatchObject({
      code: 'unknown_node',
      message: 'no node "n3" answers; these do: n1',
    });
  });

  it('a second node of a name does not start, and the first is not disturbed', async () => {
    const cluster = slow(new Cluster());
    const n1 = await cluster.node('n1');
    await submit(cluster, 1, 2);
    await cluster.until('a run in work', async () => n1.node.activeRuns === 1);
    await expect(cluster.node('n1')).rejects.toMatchObject({ code: 'name_taken' });
    const { run } = await cluster.result();
    expect(await claims(cluster, run)).toEqual(['n1']);
  });
});
