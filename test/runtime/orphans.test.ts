import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import type { RunEvent } from '../../src/core/events.ts';
import { laneOf } from '../../src/core/subjects.ts';
import type { Backlog, Bus } from '../../src/ports/bus.ts';
import { sweepOrphans } from '../../src/runtime/orphan-sweep.ts';
import { OrphanSearch } from '../../src/runtime/orphans.ts';
import { Cluster, chain, recordingLog } from './support.ts';

/** Runs whose activation, timer or answer the server has lost, in simulated time. */

/** Until a run counts as silent, and the sweep of the minute after that is over. */
const FOUND_MS = 220_000;

/** Empties a stream of what belongs to a run, as a server that loses it. */
async function lose(cluster: Cluster, stream: 'QUEUE' | 'IN', run: string): Promise<number> {
  const name = cluster.subjects.stream(stream);
  let lost = 0;
  for await (const message of cluster.client.scan(name, `proctor.${stream === 'IN' ? 'in' : 'queue'}.>`)) {
    if (message.subject.includes(run) && (await cluster.client.remove(name, message))) lost++;
  }
  return lost;
}

async function events<T extends RunEvent['type']>(cluster: Cluster, run: string, type: T): Promise<number> {
  return (await cluster.entries(run)).flatMap((entry) => entry.events).filter((event) => event.type === type).length;
}

const SLOW = { timeout_ms: 600_000 };
const patient = { name: 'patient', limits: { step_ms: 3_600_000, wall_ms: 7_200_000 } as never };
/** The bus with another method. */
function changed<K extends keyof Bus>(bus: Bus, name: K, method: Bus[K]): Bus {
  return new Proxy(bus, {
    get(target, property) {
      const value: unknown = property === name ? method : Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const orphans = (log: ReturnType<typeof recordingLog>) => log.lines.filter(({ event }) => event === 'run.orphaned');
const never = () => new Promise<null>(() => {});
const inAnHour = (cluster: Cluster) => new Date(cluster.clock.now() + 3_600_000).toISOString();

describe('a run that nobody will move', () => {
  it('goes on when its activation is lost before anybody took it', async () => {
    const cluster = await new Cluster().prepare();
    const first = await cluster.node('n1', { dieAt: (point) => point === 'activation.taken' });
    await cluster.submit(chain(2));
    const { run } = await cluster.status('idle.accepted');
    await cluster.until('death', () => Promise.resolve(first.dead));
    expect(await lose(cluster, 'QUEUE', run)).toBe(1);
    const log = recordingLog();
    await cluster.node('n2', { log });
    expect(await cluster.result(FOUND_MS)).toMatchObject({ run, status: 'completed' });
    expect(orphans(log)).toEqual([
      expect.objectContaining({
        level: 'warn',
        fields: expect.objectContaining({ run_id: run, state: 'idle.accepted' }),
      }),
    ]);
  });

  it('goes on when its owner has died and its activation is lost', async () => {
    const cluster = await new Cluster().prepare();
    let calls = 0;
    cluster.tools.add('slow', () => (++calls === 1 ? never() : 1));
    const first = await cluster.node('n1');
    await cluster.submit(chain(1, 'slow'));
    const { run } = await cluster.status('executing.calling');
    first.kill();
    await lose(cluster, 'QUEUE', run);
    await cluster.node('n2');
    expect(await cluster.result(FOUND_MS)).toMatchObject({ run, status: 'completed' });
  });

  it('is parked anew when its timer is lost, and wakes when it should', async () => {
    const cluster = await new Cluster().prepare();
    const log = recordingLog();
    const { node } = await cluster.node('n1', { log });
    await cluster.submit({ ...chain(1), not_before: inAnHour(cluster) });
    const { run } = await cluster.status('idle.scheduled');
    await cluster.until('parked run', () => Promise.resolve(node.activeRuns === 0));
    expect(await lose(cluster, 'IN', run)).toBe(1);
    await cluster.clock.advance(FOUND_MS);
    expect([orphans(log).length, node.activeRuns, await cluster.results()]).toEqual([1, 0, []]);
    await cluster.clock.advance(600_000);
    expect(orphans(log)).toHaveLength(1);
    expect(await cluster.result(4_000_000)).toMatchObject({ run, status: 'completed' });
    expect(await events(cluster, run, 'parked')).toBe(2);
  });

  it('hears what is in its inbox and given to nobody', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.modelMap.ai = scriptedModel([
      scripted({ action: 'ask_human', question: 'go on?' }),
      scripted({ action: 'final_answer', answer: 'done' }),
    ]);
    // The inbox of a server that hands nothing out any more.
    const deaf = (bus: Bus): Bus =>
      changed(bus, 'queue', async (spec) =>
        spec.name === 'inbox' ? { pull: () => new Promise(() => {}) } : bus.queue(spec),
      );
    const { node } = await cluster.node('n1', { through: deaf });
    await cluster.submit({ input: 'x' }, 'ai');
    const { run, requires } = await cluster.status('waiting.person');
    await cluster.until('parked run', () => Promise.resolve(node.activeRuns === 0));
    const body = { v: 1, c: requires?.c, verdict: 'done', result: 'yes', by: 'op' };
    await cluster.client.publish(cluster.subjects.inbox({ run, kind: 'resolve', id: 'x' }), JSON.stringify(body));
    expect(await cluster.result(FOUND_MS)).toMatchObject({ run, status: 'completed', answer: 'done' });
  });

  it('is a delegated one, which has no status yet: the run that waits for it names it', async () => {
    const cluster = new Cluster({ name: 'boss', model: 'boss', delegates_to: ['plan'] });
    cluster.modelMap.boss = scriptedModel([
      scripted({ action: 'delegate', agent: 'plan', input: 'part' }),
      scripted({ action: 'final_answer', answer: 'done' }),
    ]);
    cluster.modelMap.plan = scriptedModel([scripted({ action: 'final_answer', answer: 'part' })]);
    // A server that acknowledges the activation of the child, and loses it.
    let lost = 0;
    const losing = (bus: Bus): Bus =>
      changed(bus, 'publish', (subject: string, ...rest) =>
        subject.includes('.queue.plan.') && lost++ === 0
          ? Promise.resolve({ stream: cluster.subjects.stream('QUEUE'), seq: 1_000 })
          : bus.publish(subject, ...rest),
      );
    await cluster.node('n1', { through: losing });
    await cluster.submit({ input: 'x' }, 'boss');
    await cluster.status('waiting.child');
    await cluster.clock.advance(20_000);
    expect([lost, await cluster.results()]).toEqual([1, []]);
    await cluster.until('both results', async () => (await cluster.results()).length === 2, FOUND_MS);
    expect((await cluster.results()).map(({ status }) => status)).toEqual(['completed', 'completed']);
  });

  it('is queued anew when the queue is past its activation and hands it to nobody', async () => {
    const cluster = await new Cluster().prepare();
    const first = await cluster.node('n1', { dieAt: (point) => point === 'activation.taken' });
    await cluster.submit(chain(2));
    const { run } = await cluster.status('idle.accepted');
    await cluster.until('death', () => Promise.resolve(first.dead));
    await cluster.clock.advance(100_000);
    const log = recordingLog();
    const lane = { messages: 0, oldestAt: null, handedOut: 1_000, inWork: 0, deliveries: 7, asking: 1 };
    let looks = 0;
    const told = (first: Partial<Backlog>, later: Partial<Backlog> = first): Bus =>
      changed(cluster.client, 'backlog', () => Promise.resolve({ ...lane, ...(looks++ === 0 ? first : later) }));
    const search = async (bus: Bus): Promise<number> => {
      looks = 0;
      const page = new OrphanSearch({ ...cluster.deps('n2', bus), log }).page(1);
      await cluster.clock.advance(20_000);
      return (await page).found;
    };
    // It waits for a free place; something was handed out meanwhile; nobody asks.
    expect(await search(told({ handedOut: 0 }))).toBe(0);
    expect(await search(told({ inWork: 1 }, { inWork: 1, deliveries: 8 }))).toBe(0);
    expect(await search(told({ inWork: 1, asking: 0 }))).toBe(0);
    expect(await search(told({ inWork: 1 }))).toBe(1);
    await cluster.clock.advance(100_000);
    expect(await search(told({}))).toBe(1);
    expect(orphans(log)).toHaveLength(2);
    await cluster.node('n2');
    expect(await cluster.result()).toMatchObject({ run, status: 'completed' });
  });
});

describe('a lane that says that nothing waits while a run does', () => {
  it('is made anew, and the run is handed out', async () => {
    const cluster = await new Cluster().prepare();
    const first = await cluster.node('n1', { dieAt: (point) => point === 'intake.activated' });
    await cluster.submit(chain(1));
    const { run } = await cluster.status('idle.accepted');
    await cluster.until('death', () => Promise.resolve(first.dead));
    await cluster.clock.advance(100_000);
    const log = recordingLog();
    const removed: string[] = [];
    const deaf = changed(cluster.client, 'backlog', () =>
      Promise.resolve({ messages: 0, oldestAt: null, handedOut: 0, inWork: 0, deliveries: 0, asking: 1 }),
    );
    const bus = changed(deaf, 'removeQueue', (stream, name) => {
      removed.push(name);
      return cluster.client.removeQueue(stream, name);
    });
    expect((await new OrphanSearch({ ...cluster.deps('n2', bus), log }).page(1)).found).toBe(0);
    const consumer = `runs_plan_normal_${laneOf('u')}`;
    expect(removed).toEqual([consumer]);
    expect(await cluster.client.queues('PROCTOR_QUEUE')).toContain(consumer);
    expect(log.lines.map(({ event }) => event)).toEqual(['lane.made_anew']);
    await cluster.node('n2');
    expect(await cluster.result()).toMatchObject({ run, status: 'completed' });
  });
});

describe('a run that lacks nothing', () => {
  it('is left alone: parked for a person or a moment, at work for long, queued for long, or ended', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' }, patient);
    cluster.modelMap.ai = scriptedModel([scripted({ action: 'ask_human', question: 'go on?' })]);
    cluster.tools.add('slow', never, SLOW);
    const log = recordingLog();
    const { deps } = await cluster.node('n1', { log, settings: { slots: 1 } });
    await cluster.submit(chain(1));
    await cluster.result();
    await cluster.submit({ input: 'x' }, 'ai');
    await cluster.status('waiting.person');
    await cluster.submit({ ...chain(1), not_before: inAnHour(cluster) });
    await cluster.status('idle.scheduled');
    await cluster.submit(chain(1, 'slow'), 'patient');
    await cluster.status('executing.calling');
    await cluster.submit(chain(1));
    await cluster.clock.advance(FOUND_MS);
    expect(orphans(log)).toEqual([]);
    const before = (await cluster.last('CLOCK', 'proctor.clock.sweep.orphans', (text) => text)).length;
    expect(before).toBe(1);
    expect(await sweepOrphans(deps)).toBe(0);
  });

  it('is seen to by one node: another that looks within the same minute leaves it', async () => {
    const cluster = await new Cluster().prepare();
    await cluster.submit({ ...chain(1), not_before: inAnHour(cluster) });
    const { deps, node } = await cluster.node('n1');
    const { run } = await cluster.status('idle.scheduled');
    await node.stop();
    await lose(cluster, 'IN', run);
    await cluster.clock.advance(200_000);
    const other = cluster.deps('n2', cluster.client);
    const swept = Promise.all([sweepOrphans({ ...deps, bus: cluster.client }), cluster.clock.advance(100)]);
    expect((await swept)[0]).toBe(1);
    expect(await sweepOrphans(other)).toBe(0);
  });
});

describe('an activation too many', () => {
  it('changes nothing: the run moves to who takes it, its old owner is fenced, and it has one result', async () => {
    const cluster = await new Cluster(patient).prepare();
    const waiting: (() => void)[] = [];
    cluster.tools.add('slow', () => new Promise((resolve) => waiting.push(() => resolve(1))), SLOW);
    const log = recordingLog();
    const one = await cluster.node('n1', { log, settings: { slots: 1 } });
    await cluster.submit(chain(2, 'slow'), 'patient');
    const { run } = await cluster.status('executing.calling');
    await lose(cluster, 'QUEUE', run);
    await cluster.clock.advance(100_000);
    expect(orphans(log)).toEqual([]);

    // Its owner lives and works, and the node that looks cannot reach it.
    const found = recordingLog();
    const unreachable = changed(cluster.client, 'request', () => Promise.reject(new AppError('timeout', 'no answer')));
    const { found: queued } = await new OrphanSearch({ ...cluster.deps('n2', unreachable), log: found }).page(1);
    expect([queued, orphans(found).length]).toEqual([1, 1]);
    const two = await cluster.node('n2');
    await cluster.until('the call again', () => Promise.resolve(waiting.length === 2));
    expect([one.node.activeRuns, two.node.activeRuns]).toEqual([1, 1]);
    expect(new Set(cluster.tools.calls.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);

    waiting[0]?.();
    await cluster.until('the fence', () => Promise.resolve(one.node.activeRuns === 0));
    expect(log.lines.filter(({ event }) => event === 'run.fenced')).toHaveLength(1);
    for (let i = 1; i < 3; i++) {
      await cluster.until('call', () => Promise.resolve(waiting.length > i));
      waiting[i]?.();
    }
    expect(await cluster.result()).toMatchObject({ run, status: 'completed' });
    expect(await events(cluster, run, 'call_done')).toBe(2);
    const entries = await cluster.entries(run);
    const second = entries.findLast(({ events: all }) => all.some(({ type }) => type === 'claimed'));
    expect(entries.filter(({ n }) => n > (second?.n ?? 0)).every(({ epoch }) => epoch === second?.n)).toBe(true);
    expect(await cluster.results()).toHaveLength(1);
  });
});
