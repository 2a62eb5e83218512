import { describe, expect, it } from 'vitest';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import type { ClientBus } from '../../src/client/ask.ts';
import type { RunUpdate } from '../../src/client/watch.ts';
import { Cluster, chain } from '../runtime/support.ts';
import { all, clientOf, drive } from './support.ts';

const stepsIn = (updates: RunUpdate[]) => updates.flatMap((one) => (one.type === 'step' ? one.step.step : []));

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

/** A cluster whose tool `slow` takes a second. */
function slowCluster(): Cluster {
  const cluster = new Cluster();
  cluster.tools.add('slow', async (args) => {
    await new Promise<void>((resolve) => void cluster.clock.after(1_000, resolve));
    return args;
  });
  return cluster;
}

/** The client's bus, of whose live messages only those are heard that the filter lets through. */
function hearing(cluster: Cluster, hears: (number: number) => boolean): ClientBus {
  let heard = 0;
  const bus = cluster.client;
  return {
    publish: (...args) => bus.publish(...args),
    request: (...args) => bus.request(...args),
    flush: () => bus.flush(),
    subscribe: (subject, handler) => bus.subscribe(subject, (message) => hears(heard++) && handler(message)),
  };
}

describe('watching a run', () => {
  it('brings each finished step once and in order although most messages were missed', async () => {
    const cluster = slowCluster();
    await cluster.node();
    const { run } = await drive(cluster, clientOf(cluster).submit(chain(12, 'slow'), 'plan'));
    const watcher = clientOf(
      cluster,
      'u',
      hearing(cluster, (number) => number % 4 === 3),
    );
    const seen = await drive(cluster, all(watcher.watch(run)));
    expect(stepsIn(seen)).toEqual(upTo(13));
    expect(seen.at(-1)).toMatchObject({ type: 'ended', result: { run, status: 'completed' } });
  });

  it('loses nothing while its connection is away', async () => {
    const cluster = slowCluster();
    await cluster.node();
    const { run } = await drive(cluster, clientOf(cluster).submit(chain(15, 'slow'), 'plan'));
    const bus = new MemoryBus(cluster.broker, 'watcher');
    const seen: RunUpdate[] = [];
    const watching = (async () => {
      for await (const update of clientOf(cluster, 'u', bus).watch(run)) seen.push(update);
    })();
    await cluster.until('step 3', async () => stepsIn(seen).includes(3));
    bus.cut();
    await cluster.clock.advance(8_000);
    const before = stepsIn(seen);
    expect(before.length).toBeLessThan(8);
    bus.heal();
    await drive(cluster, watching);
    expect(stepsIn(seen)).toEqual(upTo(16));
    expect(seen.at(-1)?.type).toBe('ended');
  });

  it('hears of the end by asking when it hears nothing at all', async () => {
    const cluster = slowCluster();
    await cluster.node();
    const { run } = await drive(cluster, clientOf(cluster).submit(chain(8, 'slow'), 'plan'));
    const deaf = clientOf(
      cluster,
      'u',
      hearing(cluster, () => false),
    );
    const seen = await drive(cluster, all(deaf.watch(run)));
    expect(stepsIn(seen)).toEqual(upTo(9));
    expect(seen.at(-1)?.type).toBe('ended');
  });

  it('tells a run that has ended from its first step on, each as its result shows it', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const client = clientOf(cluster);
    const { run } = await drive(cluster, client.submit(chain(5), 'plan'));
    const result = await drive(cluster, client.result(run, { wait: true }));
    const seen = await drive(cluster, all(client.watch(run)));
    expect(seen.flatMap((one) => (one.type === 'step' ? [one.step] : []))).toEqual(result.step_log);
    expect(seen.map((one) => one.type)).toEqual([...upTo(6).map(() => 'step'), 'ended']);
    const brief = await drive(cluster, all(client.watch(run, { steps: false })));
    expect(brief.map((one) => one.type)).toEqual(['ended']);
  });

  it('goes on when the node of the run dies and another takes over', async () => {
    const cluster = slowCluster();
    const first = await cluster.node('n1');
    const client = clientOf(cluster);
    const { run } = await drive(cluster, client.submit(chain(6, 'slow'), 'plan'));
    const watching = all(client.watch(run));
    await cluster.until('step 3', async () => (await cluster.statuses()).some((one) => one.step >= 3));
    first.kill();
    await cluster.node('n2');
    const seen = await drive(cluster, watching);
    expect(stepsIn(seen)).toEqual(upTo(7));
    const nodes = seen.flatMap((one) => (one.type === 'status' ? [one.status.node] : []));
    expect(nodes).toContain('n1');
    expect(nodes).toContain('n2');
  });

  it('says what a person is asked, and gives up without harm to the run', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.modelMap.ai = scriptedModel([scripted({ action: 'ask_human', question: 'well?' })]);
    await cluster.node();
    const client = clientOf(cluster);
    const { run } = await drive(cluster, client.submit({ input: 1 }, 'ai'));
    const given = new AbortController();
    const seen: RunUpdate[] = [];
    const watching = (async () => {
      for await (const update of client.watch(run, { signal: given.signal })) {
        seen.push(update);
        if (update.type === 'waiting') given.abort();
      }
    })();
    await drive(cluster, watching);
    expect(seen.at(-1)).toMatchObject({ type: 'waiting', requires: { kind: 'answer', c: expect.any(String) } });
    expect((await drive(cluster, client.status(run))).state).toBe('waiting.person');
  });
});
