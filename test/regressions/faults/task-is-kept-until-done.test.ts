import { describe, expect, it } from 'vitest';
import { FAULT_POINTS } from '../../../src/runtime/fault-points.ts';
import { Cluster, chain } from '../../runtime/support.ts';

/** The fault: a task is taken out of its queue when work on it begins, and is lost with the process that took it. */

/** Those that a task without a key and a call that may be repeated come by. */
const POINTS = FAULT_POINTS.filter(
  (point) =>
    /^(intake|activation|claim|entry|call|end)\./.test(point) &&
    point !== 'intake.key_written' &&
    point !== 'call.started',
);

describe('a task whose node dies over it', () => {
  it.each(POINTS)('at %s is done by the next node', async (point) => {
    const cluster = await new Cluster().prepare();
    await cluster.submit(chain(2));
    let left = 1;
    const settings = { lease_ms: 1_000 };
    const first = await cluster.node('n1', { settings, dieAt: (at) => at === point && left-- > 0 });
    await cluster.until('death', async () => first.dead);
    await cluster.node('n2', { settings });
    expect(await cluster.result()).toMatchObject({ status: 'completed', steps: 3 });
    await cluster.clock.advance(310_000);
    expect(await cluster.results()).toHaveLength(1);
    // And only then it is gone.
    expect(await cluster.last('QUEUE', 'proctor.queue.>', String)).toEqual([]);
    expect(await cluster.last('TASKS', 'proctor.tasks.>', String)).toEqual([]);
  });
});
