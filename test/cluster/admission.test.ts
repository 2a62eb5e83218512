import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { laneOf } from '../../src/core/subjects.ts';
import { clientOf, drive } from '../client/support.ts';
import { Cluster, chain } from '../runtime/support.ts';

/** What happens to tasks that find the queue full (OPS-7). */

async function narrow(user_queue_limit?: number): Promise<Cluster> {
  const cluster = new Cluster();
  cluster.tools.add('slow', () => new Promise((resolve) => void cluster.clock.after(1_000, () => resolve(1))));
  const limits = user_queue_limit === undefined ? { user_queue_limit: 20 } : { user_queue_limit };
  await cluster.node('n1', { settings: { slots: 1, queue_limit: 20, ...limits } });
  return cluster;
}

const fill = (cluster: Cluster, count: number, user: string) =>
  Promise.all(Array.from({ length: count }, () => cluster.submit(chain(1, 'slow'), 'plan', user)));

const statesOf = async (cluster: Cluster, user: string) =>
  (await cluster.statuses()).filter((one) => one.user === user).map(({ state }) => state);

const other = (user: string): string => {
  for (let i = 0; ; i++) if (laneOf(`user${i}`) !== laneOf(user)) return `user${i}`;
};

describe('a full queue', () => {
  it('refuses what comes above its limit, with when to try again, and keeps it', async () => {
    const cluster = await narrow();
    await fill(cluster, 50, 'a');
    await cluster.until('an answer to each', async () => (await statesOf(cluster, 'a')).length === 50, 5_000);
    const refused = (await cluster.statuses()).filter(({ state }) => state === 'rejected');
    expect(refused.length).toBeGreaterThanOrEqual(28);
    expect(refused.length).toBeLessThanOrEqual(30);
    for (const { error } of refused) {
      expect(error).toMatchObject({ code: 'queue_full', retryable: true, retry_after_ms: 10_000 });
    }
    const thrown = await drive(cluster, clientOf(cluster, 'a').submit(chain(1, 'slow'), 'plan')).catch(
      (error: unknown) => error,
    );
    expect(thrown).toBeInstanceOf(AppError);
    expect(thrown).toMatchObject({ code: 'queue_full', retryAfterMs: 10_000 });
    const letters = await cluster.last('DEAD', 'proctor.dead.task.>', (text) => JSON.parse(text) as { input: string });
    expect(letters.map(({ input }) => input)).toEqual(Array(refused.length + 1).fill('chain'));
    await cluster.until('results of the others', async () => (await cluster.results()).length === 50 - refused.length);
    await drive(cluster, clientOf(cluster, 'a').submit(chain(1, 'slow'), 'plan'));
    await cluster.until('one more result', async () => (await cluster.results()).length === 51 - refused.length);
  });

  it('of one user leaves room for others', async () => {
    const cluster = await narrow(8);
    await fill(cluster, 30, 'a');
    await cluster.until('an answer to each', async () => (await statesOf(cluster, 'a')).length === 30, 5_000);
    expect((await statesOf(cluster, 'a')).filter((state) => state === 'rejected').length).toBeGreaterThan(15);
    const b = other('a');
    await fill(cluster, 5, b);
    await cluster.until('an answer to each', async () => (await statesOf(cluster, b)).length === 5, 5_000);
    expect(await statesOf(cluster, b)).not.toContain('rejected');
  });

  it('gives a task that was handed in before its run, and refuses no second time what it took', async () => {
    const cluster = await narrow();
    const keyed = { ...chain(1, 'slow'), key: 'k' };
    const first = await drive(cluster, clientOf(cluster, 'a').submit(keyed, 'plan'));
    await fill(cluster, 40, 'a');
    await cluster.until('an answer to each', async () => (await statesOf(cluster, 'a')).length === 41, 5_000);
    expect(await statesOf(cluster, 'a')).toContain('rejected');
    const again = await drive(cluster, clientOf(cluster, 'a').submit(keyed, 'plan'));
    expect(again.run).toBe(first.run);
  });

  it('is asked once about each task, whatever becomes of the node: refused or run, never both', async () => {
    const cluster = new Cluster();
    cluster.tools.add('slow', () => new Promise((resolve) => void cluster.clock.after(200, () => resolve(1))));
    const settings = { slots: 1, queue_limit: 4, user_queue_limit: 4 };
    let left = 12;
    const first = await cluster.node('n1', { settings, dieAt: (point) => point === 'intake.taken' && --left === 0 });
    // Refusals whose acknowledgement is lost with the node come again to the next.
    cluster.broker.intercept = ({ kind, subject, node }) =>
      kind === 'ack' && node === 'n1' && subject.includes('.tasks.') ? 'lost' : 'ok';
    await fill(cluster, 30, 'a');
    await cluster.until('its end', async () => first.dead, 5_000);
    await cluster.node('n2', { settings });
    await cluster.until('all answers', async () => {
      const refused = (await statesOf(cluster, 'a')).filter((state) => state === 'rejected').length;
      return (await cluster.results()).length + refused === 30;
    });
    await cluster.clock.advance(60_000);
    const ran = new Set((await cluster.results()).map(({ run }) => run));
    const dead: string[] = [];
    for await (const { subject } of cluster.client.scan('PROCTOR_DEAD', 'proctor.dead.task.>')) {
      dead.push(subject.split('.').at(-1) ?? '');
    }
    expect(dead.filter((run) => ran.has(run))).toEqual([]);
    expect(dead.length + ran.size).toBe(30);
  });
});
