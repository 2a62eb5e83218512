import { describe, expect, it } from 'vitest';
import { laneOf } from '../../src/core/subjects.ts';
import type { NodeSettings } from '../../src/runtime/settings.ts';
import { Cluster, chain } from '../runtime/support.ts';

/** Who gets the next free place (RUN-12), in simulated time: one step of a run takes 100 ms. */

async function busy(settings: Partial<NodeSettings>, ...nodes: string[]): Promise<Cluster> {
  const cluster = new Cluster();
  cluster.tools.add('slow', (_args) => new Promise((resolve) => void cluster.clock.after(100, () => resolve(1))));
  for (const name of nodes) await cluster.node(name, { settings: { slots: 10, ...settings } });
  return cluster;
}

const flood = (cluster: Cluster, user: string, count: number, priority = 'normal') =>
  Promise.all(Array.from({ length: count }, () => cluster.submit({ ...chain(1, 'slow'), priority }, 'plan', user)));

/** How many runs of a user have begun. */
const started = async (cluster: Cluster, user: string): Promise<number> =>
  (await cluster.statuses()).filter((one) => one.user === user && one.state !== 'idle.accepted').length;

/** Classes of the runs that have ended. */
async function priorities(cluster: Cluster): Promise<string[]> {
  const found = (await cluster.results()).map(async ({ run }) => {
    const first = (await cluster.entries(run))[0]?.events[0];
    return first?.type === 'accepted' ? first.task.priority : '';
  });
  return Promise.all(found);
}

/** Another user of another lane. */
function strangerTo(...users: string[]): string {
  const taken = new Set(users.map(laneOf));
  for (let i = 0; ; i++) if (!taken.has(laneOf(`user${i}`))) return `user${i}`;
}

describe('users', () => {
  it('wait for their own tasks and not for those of others: one starts within a second beside 2,000', async () => {
    const cluster = await busy({}, 'n1', 'n2');
    await flood(cluster, 'a', 2_000);
    await cluster.until('a is at work', async () => (await started(cluster, 'a')) >= 20);
    const b = strangerTo('a');
    await cluster.submit(chain(1, 'slow'), 'plan', b);
    const at = cluster.clock.now();
    await cluster.until('b has begun', async () => (await started(cluster, b)) === 1, 120_000, 20);
    expect(cluster.clock.now() - at).toBeLessThan(1_000);
  });
});

describe('classes', () => {
  it('high comes before low, and low is not starved', async () => {
    const cluster = await busy({ slots: 1 }, 'n1');
    await flood(cluster, 'a', 40, 'low');
    await flood(cluster, 'a', 40, 'high');
    await cluster.until('a third of them', async () => (await cluster.results()).length >= 28, 120_000, 10);
    const done = await priorities(cluster);
    const high = done.filter((one) => one === 'high').length;
    // 6 turns to 1.
    expect(high).toBeGreaterThanOrEqual(22);
    expect(done.length - high).toBeGreaterThanOrEqual(3);
  });
});

describe('user_slots', () => {
  it('leaves places free for others while one user has all that it may have, in all classes', async () => {
    const cluster = await busy({ slots: 4, user_slots: 3 }, 'n1');
    let most = 0;
    let working = 0;
    cluster.tools.add('long', async () => {
      most = Math.max(most, ++working);
      await new Promise<void>((resolve) => void cluster.clock.after(20_000, resolve));
      working--;
      return 1;
    });
    for (const priority of ['high', 'normal', 'low']) {
      for (let i = 0; i < 4; i++) await cluster.submit({ ...chain(1, 'long'), priority }, 'plan', 'a');
    }
    await cluster.clock.advance(5_000);
    expect([working, most]).toEqual([3, 3]);
    const b = strangerTo('a');
    await cluster.submit(chain(1, 'slow'), 'plan', b);
    await cluster.until('b is done', async () => (await cluster.results()).length === 1, 2_000);
    await cluster.until('all are done', async () => (await cluster.results()).length === 13);
    expect(most).toBe(3);
  });
});

describe('a store of an older version', () => {
  it('had one queue for each agent: what waits there gets its turns', async () => {
    const cluster = await new Cluster().prepare();
    const stream = 'PROCTOR_QUEUE';
    await cluster.client.ensureQueue({ stream, name: 'runs_plan', filter: 'proctor.queue.plan.>', ackWaitMs: 2_000 });
    await cluster.node('n1');
    await cluster.submit(chain(1), 'plan', 'a');
    expect((await cluster.result()).status).toBe('completed');
    expect(await cluster.client.queues(stream)).toEqual([`runs_plan_normal_${laneOf('a')}`]);
  });
});
