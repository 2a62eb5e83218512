import { describe, expect, it } from 'vitest';
import { FollowedRun } from '../../src/console/gateway/followed-run.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Json } from '../../src/core/json.ts';
import { drive } from '../client/support.ts';
import { Cluster, chain } from '../runtime/support.ts';

/** What a run has under way, as the page tells it from the journal alone: since when, until when, which try. */

const never = () => new Promise<Json>(() => {});

async function headOf(cluster: Cluster, run: string) {
  const followed = new FollowedRun();
  for (const entry of await cluster.entries(run)) followed.push(entry);
  const head = followed.head(false);
  followed.stop();
  if (head === null) throw new Error('no head');
  return head;
}

describe('what a run has under way', () => {
  it('is the call of its model, until it is given up', async () => {
    const cluster = new Cluster({ name: 'thinker', model: 'deep', limits: { step_ms: 20_000 } as never });
    cluster.modelMap.deep = { think: never as never };
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'thinker');
    const { run } = await cluster.status('thinking.deciding');
    const head = await headOf(cluster, run);
    const claimed = (await cluster.entries(run)).find(({ events }) => events.some(({ type }) => type === 'claimed'));
    const since = claimed?.at ?? 0;
    expect(head.working).toEqual([
      {
        ...{ id: 'think-0', what: 'model deep', phase: 'deciding', c: null },
        ...{ since, until: since + 20_000, attempt: 1 },
      },
    ]);
  });

  it('is a call with its try, from the moment on at which it may be made again', async () => {
    const cluster = new Cluster();
    let calls = 0;
    cluster.tools.add('shaky', () => {
      if (++calls > 1) return never();
      throw new AppError('away', 'the far end is away', { retryable: true });
    });
    await cluster.node();
    await cluster.submit(chain(1, 'shaky'));
    const { run } = await cluster.status('executing.retrying');
    await cluster.until('second call', async () => calls === 2);
    const head = await headOf(cluster, run);
    const again = (await cluster.entries(run)).flatMap(({ at, events }) =>
      events.flatMap((event) => (event.type === 'call_retry' ? [{ at, event }] : [])),
    );
    expect(again).toHaveLength(1);
    const [one] = head.working;
    expect(head.working).toHaveLength(1);
    expect(one).toMatchObject({ what: 'shaky', phase: 'calling', attempt: 2, c: again[0]?.event.c });
    // Behind the backoff, and as long as a try may take.
    expect(one?.since).toBeGreaterThan(again[0]?.at ?? Number.POSITIVE_INFINITY);
    expect((one?.until ?? 0) - (one?.since ?? 0)).toBe(30_000);
    expect(head.moments.map(({ kind }) => kind)).not.toContain('retry');
  });

  it('is begun anew by the node that takes it over, and is nothing while none has it', async () => {
    const cluster = new Cluster();
    cluster.tools.add('slow', never);
    const first = await cluster.node('n1');
    await cluster.submit(chain(1, 'slow'));
    const { run } = await cluster.status('executing.calling');
    const before = await headOf(cluster, run);
    expect(before).toMatchObject({ node: 'n1', working: [{ what: 'slow', attempt: 1 }] });
    const stopping = first.node.stop();
    await cluster.until('handed over', async () => (await headOf(cluster, run)).node === null);
    expect((await headOf(cluster, run)).working).toEqual([]);
    await cluster.node('n2');
    await cluster.until('taken over', async () => (await headOf(cluster, run)).node === 'n2');
    const after = await headOf(cluster, run);
    expect(after.working).toMatchObject([{ what: 'slow' }]);
    expect(after.working[0]?.since).toBeGreaterThan(before.working[0]?.since ?? Number.POSITIVE_INFINITY);
    await drive(cluster, stopping);
  });

  it('is nothing once it has ended', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit(chain(2));
    const { run } = await cluster.result();
    expect((await headOf(cluster, run)).working).toEqual([]);
  });
});
