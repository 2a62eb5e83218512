import { describe, expect, it } from 'vitest';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';
import { Journal } from '../../src/runtime/journal.ts';
import { startNode } from '../../src/runtime/node.ts';
import { Cluster, chain } from './support.ts';

/** Races and rare orders of events: each of these once went wrong. */

const command = (cluster: Cluster, verb: string, body: object) =>
  cluster.client.request(cluster.subjects.api(verb), JSON.stringify({ by: 'op', ...body }), { timeoutMs: 1_000 });
const tell = (cluster: Cluster, run: string, kind: string, id: string, body: object = {}) =>
  cluster.client.publish(cluster.subjects.inbox({ run, kind, id }), JSON.stringify({ v: 1, by: 'op', ...body }));
const eventsOf = async (cluster: Cluster, run: string) => (await cluster.entries(run)).flatMap((entry) => entry.events);
const hanging = () => new Promise<never>(() => {});

/** A node whose journal fails or waits where a test says so. */
async function nodeWith(
  cluster: Cluster,
  name: string,
  append: (entry: JournalEntry, write: () => Promise<'stored' | 'fenced'>) => Promise<'stored' | 'fenced'>,
  options: Parameters<Cluster['node']>[1] = {},
) {
  const bus = new MemoryBus(cluster.broker, name);
  const deps = cluster.deps(name, bus, options);
  class Watched extends Journal {
    override append(...args: Parameters<Journal['append']>) {
      return append(args[1], () => super.append(...args));
    }
  }
  const journal = new Watched(bus, cluster.subjects, deps.log, options.machine);
  const starting = startNode({ ...deps, journal });
  await cluster.clock.advance(10);
  return { node: await starting, bus };
}

const asking = () => {
  const cluster = new Cluster({ name: 'ai', model: 'ai' });
  cluster.modelMap.ai = scriptedModel([
    scripted({ action: 'ask_human', question: 'go on?' }),
    scripted({ action: 'final_answer', answer: 'done' }),
  ]);
  return cluster;
};

describe('a write that fails', () => {
  it('gives the message that it was to store back at once', async () => {
    const cluster = new Cluster();
    cluster.tools.add('hang', hanging, { timeout_ms: 600_000 });
    let failing = true;
    await nodeWith(cluster, 'n1', (entry, write) => {
      if (!failing || !entry.events.some((event) => event.type === 'resume')) return write();
      failing = false;
      return Promise.reject(new AppError('unavailable', 'not now', { retryable: true }));
    });
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'hang' }] } });
    const { run } = await cluster.status('executing.calling');
    await tell(cluster, run, 'resume', 'r');
    await cluster.clock.advance(3_000);
    expect(await cluster.last('IN', 'proctor.in.>', String)).toEqual([]);
  });

  it('that is stored after the owner has crashed is in no snapshot without having been folded', async () => {
    const cluster = asking();
    const ask = cluster.modelMap.ai;
    let stored: () => void = () => {};
    let fault: () => void = () => {};
    let thinks = 0;
    cluster.modelMap.ai = {
      think: async (input) => {
        if (++thinks !== 2) return ask?.think(input) ?? hanging();
        await new Promise<void>((resolve) => {
          fault = resolve;
        });
        return scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: {} }] });
      },
    };
    const validator = {
      faults: () => {
        throw new Error('a fault of ours');
      },
    };
    const holding = async (entry: JournalEntry, write: () => Promise<'stored' | 'fenced'>) => {
      const result = await write();
      if (entry.events.some((event) => event.type === 'pause'))
        await new Promise<void>((resolve) => {
          stored = resolve;
        });
      return result;
    };
    const { node } = await nodeWith(cluster, 'n1', holding, { validator, settings: { snapshot_every: 1 } });
    await cluster.submit({ input: 'x' }, 'ai');
    const { run, requires } = await cluster.status('waiting.person');
    await cluster.until('parked run', () => Promise.resolve(node.activeRuns === 0));
    await command(cluster, 'resolve', { run, c: requires?.c, verdict: 'done', result: 'yes' });
    await cluster.until('second model call', () => Promise.resolve(thinks === 2));
    await tell(cluster, run, 'pause', 'p');
    await cluster.clock.advance(10);
    fault();
    await cluster.clock.advance(10);
    stored();
    await cluster.clock.advance(10_000);
    expect(await cluster.results()).toEqual([]);
    expect((await cluster.statuses()).map((one) => one.state)).toEqual(['waiting.paused']);
  });
});

describe('a delegation', () => {
  it('to an agent whose definition is gone fails its step instead of waiting for ever', async () => {
    const cluster = new Cluster({
      name: 'boss',
      model: 'boss',
      delegates_to: ['plan'],
      limits: { failing_steps: 1 } as never,
    });
    cluster.modelMap.boss = scriptedModel([scripted({ action: 'delegate', agent: 'plan', input: 'part' })]);
    const first = await cluster.node('n1', {
      settings: { lease_ms: 1_000 },
      dieAt: (point) => point === 'entry.folded',
    });
    await cluster.submit({ input: 'x' }, 'boss');
    await cluster.until('death', () => Promise.resolve(first.dead));
    const stored = await cluster.client.last('PROCTOR_AGENTS', cluster.subjects.agentVersion('plan', '1'));
    if (stored !== null) await cluster.client.remove('PROCTOR_AGENTS', stored);
    cluster.agents.delete('plan');
    await cluster.node('n2', { settings: { lease_ms: 1_000 } });
    expect(await cluster.result(60_000)).toMatchObject({ code: 'max_retries' });
  });

  const delegating = (tool: string) => {
    const cluster = new Cluster({ name: 'boss', model: 'boss', delegates_to: ['plan'] });
    cluster.tools.add('hang', hanging, { timeout_ms: 86_400_000 });
    const plan = { steps: [{ id: 'a', tool, args: {}, after: [] }] };
    const part = scripted({ action: 'delegate', agent: 'plan', input: 'part', plan });
    cluster.modelMap.boss = scriptedModel([part]);
    return cluster;
  };
  const settings = { lease_ms: 1_000 };
  /** The one that takes over cannot get as far as to delegate. */
  const stuck = (entry: JournalEntry, write: () => Promise<'stored' | 'fenced'>) =>
    entry.n === 0 ? hanging() : write();

  it('that the parent did not live to know of does not outlive the parent', async () => {
    const cluster = delegating('hang');
    const first = await cluster.node('n1', { settings, dieAt: (point) => point === 'delegate.child_activated' });
    await cluster.submit({ input: 'x' }, 'boss');
    await cluster.until('death', () => Promise.resolve(first.dead));
    await nodeWith(cluster, 'n2', stuck, { settings });
    const [{ run } = { run: '' }] = await cluster.statuses();
    await cluster.until('takeover', async () => {
      const claims = (await eventsOf(cluster, run)).filter((event) => event.type === 'claimed');
      return claims.length === 2;
    });
    await tell(cluster, run, 'cancel', 'c');
    const both = async () => (await cluster.results()).length === 2;
    await cluster.until('both results', both, 30_000);
    expect((await cluster.results()).map((one) => one.code)).toEqual(['cancelled', 'cancelled']);
  });

  it('that is made after the parent has ended starts nothing', async () => {
    const cluster = delegating('echo');
    const zombie = await cluster.node('zombie', { settings });
    cluster.broker.intercept = ({ node, subject, attempt }) => {
      if (node === 'zombie' && subject.includes('.jrn.') && subject.includes('-d') && attempt === 1) zombie.bus.cut();
      return 'ok';
    };
    await cluster.submit({ input: 'x' }, 'boss');
    await cluster.until('cut', () => Promise.resolve(!zombie.bus.connected));
    await nodeWith(cluster, 'n2', stuck, { settings });
    const [{ run } = { run: '' }] = await cluster.statuses();
    await tell(cluster, run, 'cancel', 'c');
    expect(await cluster.result(30_000)).toMatchObject({ code: 'cancelled', agent: 'boss' });
    zombie.bus.heal();
    await cluster.clock.advance(30_000);
    expect(cluster.tools.calls).toEqual([]);
    expect((await cluster.results()).map((one) => one.code)).toEqual(['cancelled', 'cancelled']);
  });
});

describe('a message that is offered again before it is stored', () => {
  it('is journalled once, so that a pause does not come after the resume that ended it', async () => {
    const cluster = new Cluster();
    cluster.tools.add('hang', hanging, { timeout_ms: 600_000 });
    let go: () => void = () => {};
    const slow = async (entry: JournalEntry, write: () => Promise<'stored' | 'fenced'>) => {
      if (entry.events.some((event) => event.type === 'drain'))
        await new Promise<void>((resolve) => {
          go = resolve;
        });
      return write();
    };
    await nodeWith(cluster, 'owner', slow, { settings: { lease_ms: 600_000 } });
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'hang' }] } });
    const { run } = await cluster.status('executing.calling');
    await tell(cluster, run, 'drain', 'd');
    await cluster.clock.advance(100);
    cluster.broker.intercept = ({ node, kind, subject }) =>
      node === 'owner' && kind === 'pull' && subject === 'inbox' ? 'lost' : 'ok';
    await cluster.node('other');
    await cluster.clock.advance(3_000);
    await tell(cluster, run, 'pause', 'p');
    await cluster.clock.advance(1_200);
    await tell(cluster, run, 'resume', 'r');
    await cluster.clock.advance(3_000);
    go();
    await cluster.clock.advance(3_000);
    const types = (await eventsOf(cluster, run)).map((event) => event.type);
    expect(types.filter((type) => type === 'pause')).toHaveLength(1);
    expect(types.at(-1)).toBe('resume');
  });
});

describe('a node that stops', () => {
  it('waits for a call that must not be repeated also when its start is still being written', async () => {
    const cluster = new Cluster();
    let finish: (value: string) => void = () => {};
    const pay = () =>
      new Promise<string>((resolve) => {
        finish = resolve;
      });
    cluster.tools.add('pay', pay, { idempotent: false });
    let go: () => void = () => {};
    const slow = async (entry: JournalEntry, write: () => Promise<'stored' | 'fenced'>) => {
      if (entry.events.some((event) => event.type === 'call_started'))
        await new Promise<void>((resolve) => {
          go = resolve;
        });
      return write();
    };
    const { node } = await nodeWith(cluster, 'n1', slow);
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'pay' }] } });
    const { run } = await cluster.status('executing.calling');
    const stopping = node.stop();
    await cluster.clock.advance(1_000);
    go();
    await cluster.clock.advance(1_000);
    finish('paid');
    await cluster.clock.advance(3_000);
    await stopping;
    const types = (await eventsOf(cluster, run)).map((event) => event.type);
    expect(types.slice(-3)).toEqual(['call_started', 'call_done', 'handed_over']);
    expect(cluster.tools.calls).toHaveLength(1);
  });

  it('owns nothing afterwards, also when it was just taking a run or about to restart one', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    let go: () => void = () => {};
    const slow = async (entry: JournalEntry, write: () => Promise<'stored' | 'fenced'>) => {
      if (entry.events.some((event) => event.type === 'claimed'))
        await new Promise<void>((resolve) => {
          go = resolve;
        });
      return write();
    };
    cluster.modelMap.ai = { think: hanging };
    const settings = { lease_ms: 600_000 };
    const { node } = await nodeWith(cluster, 'n1', slow, { settings });
    await cluster.submit({ input: 'x' }, 'ai');
    await cluster.clock.advance(100);
    const stopping = node.stop();
    await cluster.clock.advance(3_000);
    go();
    await cluster.clock.advance(3_000);
    await stopping;
    expect(node.activeRuns).toBe(0);
    const [{ run } = { run: '' }] = await cluster.statuses();
    expect((await eventsOf(cluster, run)).at(-1)?.type).toBe('handed_over');
    cluster.modelMap.ai = scriptedModel([scripted({ action: 'final_answer', answer: 'at once' })]);
    await cluster.node('n2', { settings });
    expect(await cluster.result(5_000)).toMatchObject({ answer: 'at once' });
  });

  it('gives back a run that it was about to restart', async () => {
    const cluster = new Cluster();
    let faults = 0;
    const validator = {
      faults: () => {
        faults++;
        throw new Error('a fault of ours');
      },
    };
    const settings = { lease_ms: 600_000 };
    const { node } = await cluster.node('n1', { validator, settings });
    await cluster.submit(chain(1));
    while (faults === 0) await cluster.clock.advance(10);
    const stopping = node.stop();
    await cluster.clock.advance(2_000);
    await stopping;
    await cluster.clock.advance(2_000);
    expect(faults).toBe(1);
    await cluster.node('n2', { settings });
    expect(await cluster.result(5_000)).toMatchObject({ status: 'completed' });
  });
});

describe('what a person says', () => {
  it('in more bytes than a result may have is refused, with the field', async () => {
    const cluster = asking();
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const { run, requires } = await cluster.status('waiting.person');
    const body = { run, c: requires?.c, verdict: 'done', result: 'x'.repeat(300_000) };
    await expect(command(cluster, 'resolve', body)).rejects.toMatchObject({ code: 'invalid_request', field: 'result' });
    await tell(cluster, run, 'resolve', 'r', { c: requires?.c, verdict: 'done', result: 'x'.repeat(1_048_400) });
    await cluster.clock.advance(10_000);
    expect(await cluster.results()).toEqual([]);
    const list = await cluster.client.request(cluster.subjects.api('dead_letters'), '{}', { timeoutMs: 1_000 });
    expect(JSON.parse(list.data)).toMatchObject({ letters: [{ code: 'invalid_message', source: 'inbox' }] });
  });
});

describe('results that arrive at once', () => {
  it('fit the entries that hold them, whatever they are written in', async () => {
    const cluster = new Cluster();
    const answers: ((value: string) => void)[] = [];
    cluster.tools.add('wide', () => new Promise<string>((resolve) => void answers.push(resolve)));
    await cluster.node();
    const steps = Array.from({ length: 8 }, (_, i) => ({ id: `s${i}`, tool: 'wide' }));
    await cluster.submit({ input: 'x', plan: { steps, answer: 'done' } });
    await cluster.until('calls', () => Promise.resolve(answers.length === 8));
    for (const answer of answers) answer('語'.repeat(87_000));
    const result = await cluster.result(20_000);
    expect(result).toMatchObject({ status: 'completed', answer: 'done' });
    expect(cluster.tools.calls).toHaveLength(8);
  });
});

describe('a status', () => {
  it('says that a run was taken, not only that it came on', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.modelMap.ai = { think: hanging };
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    expect(await cluster.status('thinking.deciding', 1_000)).toMatchObject({ node: 'n1' });
  });

  it('of a node that lost its run, and comes late, does not stay', async () => {
    const cluster = new Cluster();
    const waiting: ((value: string) => void)[] = [];
    cluster.tools.add('slow', () => new Promise<string>((resolve) => void waiting.push(resolve)), {
      timeout_ms: 600_000,
    });
    /** A connection that hangs without anybody noticing. */
    class Hanging extends MemoryBus {
      override get connected(): boolean {
        return true;
      }
    }
    const bus = new Hanging(cluster.broker, 'zombie');
    const starting = startNode(cluster.deps('zombie', bus, { settings: { lease_ms: 1_000 } }));
    await cluster.clock.advance(10);
    const zombie = await starting;
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'slow' }] } });
    await cluster.until('call', () => Promise.resolve(waiting.length === 1), 1_000, 1);
    bus.cut();
    await cluster.node('other', { settings: { lease_ms: 1_000 } });
    await cluster.until('takeover', () => Promise.resolve(waiting.length === 2));
    waiting[1]?.('from the owner');
    await cluster.result();
    waiting[0]?.('from the zombie');
    bus.heal();
    await cluster.clock.advance(2_000);
    expect(zombie.activeRuns).toBe(0);
    expect((await cluster.statuses()).map((one) => one.state)).toEqual(['completed.answered']);
  });
});

describe('a status of a parked run', () => {
  it('that comes late does not stay', async () => {
    const cluster = asking();
    const settings = { lease_ms: 1_000 };
    const zombie = await cluster.node('zombie', {
      settings,
      dieAt: (point) => {
        if (point === 'park.snapshot_written') zombie.bus.cut();
        return false;
      },
    });
    await cluster.submit({ input: 'x' }, 'ai');
    await cluster.until('cut', () => Promise.resolve(!zombie.bus.connected));
    const [{ run } = { run: '' }] = await cluster.statuses();
    await cluster.node('other', { settings });
    await cluster.clock.advance(5_000);
    await tell(cluster, run, 'resolve', 'r', { c: '2-0', verdict: 'done', result: 'yes' });
    await cluster.result();
    zombie.bus.heal();
    await cluster.clock.advance(2_000);
    expect((await cluster.statuses()).map((one) => one.state)).toEqual(['completed.answered']);
  });
});

describe('a node that was cut off for longer than its lease', () => {
  it('lets go of runs that others took, without waiting for what it does for them', async () => {
    const cluster = new Cluster();
    cluster.tools.add('hang', hanging, { timeout_ms: 600_000 });
    const settings = { lease_ms: 1_000 };
    const zombie = await cluster.node('zombie', { settings });
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'hang' }] } });
    await cluster.status('executing.calling');
    zombie.bus.cut();
    const other = await cluster.node('other', { settings });
    await cluster.until('takeover', () => Promise.resolve(other.node.activeRuns === 1));
    zombie.bus.heal();
    await cluster.clock.advance(1_000);
    expect(zombie.node.activeRuns).toBe(0);
    expect(other.node.activeRuns).toBe(1);
  });
});

describe('a moment that comes before its time', () => {
  it('is waited for again', async () => {
    const cluster = new Cluster();
    let behind = 0;
    const bus = new MemoryBus(cluster.broker, 'n1');
    const deps = cluster.deps('n1', bus, { settings: { park_after_ms: 0 } });
    const clock = { now: () => cluster.clock.now() - behind, after: cluster.clock.after.bind(cluster.clock) };
    const starting = startNode({ ...deps, clock });
    await cluster.clock.advance(10);
    const node = await starting;
    await cluster.submit({ ...chain(1), not_before: new Date(cluster.clock.now() + 60_000).toISOString() });
    await cluster.status('idle.scheduled');
    await cluster.until('parked run', () => Promise.resolve(node.activeRuns === 0));
    const [{ run } = { run: '' }] = await cluster.statuses();
    // The clock is set back between the timer's coming and its entry.
    cluster.broker.intercept = ({ kind, subject }) => {
      if (kind === 'publish' && subject.includes('.queue.')) behind = 1_000;
      return 'ok';
    };
    await cluster.until('early timer', async () => (await eventsOf(cluster, run)).some((one) => one.type === 'timer'));
    expect(await cluster.result(60_000)).toMatchObject({ status: 'completed' });
  });
});

describe('a replica that lags behind', () => {
  /** Reads that any replica may answer find nothing of journals, for a while. */
  class Lagging extends MemoryBus {
    lags = true;

    override last(...args: Parameters<MemoryBus['last']>): ReturnType<MemoryBus['last']> {
      const options = (args as unknown[])[2] as { authoritative?: boolean } | undefined;
      const stale = this.lags && args[0].includes('_JRN_') && options?.authoritative !== true;
      return stale ? Promise.resolve(null) : super.last(...args);
    }
  }

  it('costs no run, and no message to one', async () => {
    const cluster = new Cluster();
    const bus = new Lagging(cluster.broker, 'n1');
    const starting = startNode(cluster.deps('n1', bus));
    await cluster.clock.advance(10);
    await starting;
    await cluster.submit(chain(1));
    await cluster.submit({ ...chain(1), not_before: new Date(cluster.clock.now() + 3_600_000).toISOString() });
    const [, second] = await cluster.until('acceptance', async () => {
      const all = await cluster.statuses();
      return all.length === 2 && all.map((one) => one.run).sort((a, b) => a.localeCompare(b));
    });
    await tell(cluster, second ?? '', 'cancel', 'c');
    await cluster.clock.advance(300);
    bus.lags = false;
    await cluster.until('both results', async () => (await cluster.results()).length === 2, 30_000);
    expect(new Set((await cluster.results()).map((one) => one.code))).toEqual(new Set(['cancelled', 'completed']));
  });
});

describe('a decision that comes while its run is being paused', () => {
  it('is asked for again when the run is resumed at once', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    let decide: () => void = () => {};
    let go: () => void = () => {};
    let thinks = 0;
    cluster.modelMap.ai = {
      think: async () => {
        if (thinks++ === 0)
          await new Promise<void>((resolve) => {
            decide = resolve;
          });
        return scripted({ action: 'final_answer', answer: thinks });
      },
    };
    const slow = async (entry: JournalEntry, write: () => Promise<'stored' | 'fenced'>) => {
      if (entry.events.some((event) => event.type === 'pause'))
        await new Promise<void>((resolve) => {
          go = resolve;
        });
      return write();
    };
    await nodeWith(cluster, 'n1', slow);
    await cluster.submit({ input: 'x' }, 'ai');
    const { run } = await cluster.status('thinking.deciding');
    await tell(cluster, run, 'pause', 'p');
    await cluster.clock.advance(100);
    decide();
    await cluster.clock.advance(100);
    await tell(cluster, run, 'resume', 'r');
    await cluster.clock.advance(100);
    go();
    expect(await cluster.result(5_000)).toMatchObject({ status: 'completed', answer: 2 });
  });
});
