import { expect, it } from 'vitest';
import { clientOf, drive } from '../../client/support.ts';
import { Cluster, chain } from '../../runtime/support.ts';

/**
 * The fault: the seconds of a time difference are read without its days, so a limit of two hours is passed after two
 * hours, and not any more after 25.
 */
it('a run that is taken up again after 25 hours has used 25 hours, not one', async () => {
  const HOUR = 3_600_000;
  const agent = { name: 'a', limits: { wall_ms: 2 * HOUR, step_ms: HOUR } as never };
  const cluster = new Cluster(agent);
  cluster.tools.add('hang', () => new Promise(() => {}), { timeout_ms: HOUR });
  const first = await cluster.node('n1');
  await cluster.submit(chain(2, 'hang'), 'a');
  await cluster.status('executing.calling');
  // Nobody is there for a day and an hour.
  first.kill();
  await cluster.clock.advance(25 * HOUR);
  await cluster.node('n2');
  const result = await cluster.result();
  expect(result).toMatchObject({ status: 'failed', code: 'timeout' });
  expect(result.duration_ms).toBeGreaterThanOrEqual(25 * HOUR);
  expect(cluster.tools.calls).toHaveLength(1);
  const trace = await drive(cluster, clientOf(cluster).trace(result.run));
  expect(trace.totals.duration_ms).toBeGreaterThanOrEqual(25 * HOUR);
});
