import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import { AppError } from '../../src/core/errors.ts';
import { Cluster, chain, recordingLog } from './support.ts';

/** Kill switches over simulated nodes: each scope and mode, children, restarts, nodes that are cut off. */

const AGENT = { name: 'a', version: '2', model: 'plan' };

function operatorOf(cluster: Cluster): Operator {
  return createOperator({ bus: cluster.client, subjects: cluster.subjects, by: 'olga', clock: cluster.clock });
}

/** Runs something while time goes on. */
async function done<T>(cluster: Cluster, work: Promise<T>): Promise<T> {
  let over: { value: T } | { thrown: unknown } | undefined;
  work.then(
    (value) => {
      over = { value };
    },
    (thrown: unknown) => {
      over = { thrown };
    },
  );
  await cluster.until('end of the work', async () => over !== undefined);
  if (over !== undefined && 'value' in over) return over.value;
  throw (over as unknown as { thrown: unknown }).thrown;
}

const set = (cluster: Cluster, scope: string, mode: 'kill' | 'pause' | 'drain' | 'revive', why = 'a test') =>
  done(cluster, operatorOf(cluster).switch(scope, mode, why));

/** A cluster with a tool that takes a second, and stops when it is told to. */
function slowCluster(...agents: ConstructorParameters<typeof Cluster>): Cluster & { effects: number } {
  const cluster = Object.assign(new Cluster(AGENT, ...agents), { effects: 0 });
  cluster.tools.add('slow', (_args, call) => {
    return new Promise((resolve, reject) => {
      const cancel = cluster.clock.after(1_000, () => {
        cluster.effects++;
        resolve('done');
      });
      call.signal.addEventListener('abort', () => {
        cancel();
        reject(call.signal.reason as Error);
      });
    });
  });
  return cluster;
}

const calling = (cluster: Cluster, times = 1) =>
  cluster.until('call', async () => cluster.tools.calls.length >= times, 60_000, 10);

describe('a run that has ended', () => {
  it.each(['global', 'agent:a', 'agent:a@2', 'user:u', 'run'])(
    'is neither continued nor retried while a kill is over %s; the error says which, and what lifts it',
    async (kind) => {
      const cluster = new Cluster(AGENT);
      await cluster.node();
      await cluster.submit({ ...chain(3), limits: { steps: 1 } }, 'a');
      const { run } = await cluster.result();
      const scope = kind === 'run' ? `run:${run}` : kind;
      await set(cluster, scope, 'kill', 'runaway');
      const operator = operatorOf(cluster);
      const refused = { code: 'killed', message: expect.stringMatching(/runaway\. .*proctor revive /) };
      await expect(done(cluster, operator.continue(run))).rejects.toMatchObject(refused);
      // A retry is a run of its own.
      if (kind !== 'run') await expect(done(cluster, operator.retry(run))).rejects.toMatchObject(refused);
      expect(await cluster.statuses()).toHaveLength(1);
      await set(cluster, scope, 'revive');
      const next = await done(cluster, operator.continue(run));
      const result = await cluster.until('its result', async () =>
        (await cluster.results()).find((one) => one.run === next.run),
      );
      expect(result.code).toBe('completed');
    },
  );
});

describe('a kill', () => {
  it.each(['global', 'agent:a', 'agent:a@2', 'user:u', 'run'])(
    'of the scope %s ends a run at once and cancels its calls; others go on',
    async (kind) => {
      const cluster = slowCluster();
      await cluster.node();
      await cluster.submit(chain(3, 'slow'), 'a', 'u');
      await calling(cluster);
      const run = cluster.tools.calls[0]?.run ?? '';
      const scope = kind === 'run' ? `run:${run}` : kind;
      if (kind !== 'global') await cluster.submit(chain(1), 'plan', 'other');
      const { nodes } = await set(cluster, scope, 'kill', 'the wrong customers');
      expect(nodes).toEqual(['n1']);
      const result = await cluster.until('result', async () =>
        (await cluster.results()).find((one) => one.run === run),
      );
      expect(result).toMatchObject({ code: 'killed', outcome: 'cancelled' });
      expect(result.duration_ms).toBeLessThan(900);
      expect(cluster.effects).toBe(0);
      const events = (await cluster.entries(run)).flatMap((entry) => entry.events);
      expect(events.at(-1)).toEqual({ type: 'kill', by: 'olga', why: 'the wrong customers', scope });
      if (kind === 'global') return;
      const other = await cluster.until('other result', async () =>
        (await cluster.results()).find((one) => one.run !== run),
      );
      expect(other.code).toBe('completed');
    },
  );

  it('refuses later tasks with an error that names the switch, until the revival; what was killed stays ended', async () => {
    const cluster = slowCluster();
    await cluster.node();
    await cluster.submit({ ...chain(1), not_before: new Date(cluster.clock.now() + 3_600_000).toISOString() }, 'a');
    await cluster.status('idle.scheduled');
    await cluster.clock.advance(2_000);
    await set(cluster, 'agent:a', 'kill', 'broken');
    await cluster.submit(chain(1), 'a');
    const rejected = await cluster.status('rejected');
    expect(rejected.error).toMatchObject({ code: 'killed' });
    expect(rejected.error?.message).toMatch(/switch agent:a, by olga at .*: broken.*proctor revive agent:a/);
    await set(cluster, 'agent:a', 'revive', 'repaired');
    await cluster.submit(chain(1), 'a');
    await cluster.until('two results', async () => (await cluster.results()).length === 2);
    expect(new Set((await cluster.results()).map((one) => one.code))).toEqual(new Set(['completed', 'killed']));
    await cluster.clock.advance(4_000_000);
    expect(cluster.tools.calls).toHaveLength(1);
  });

  it('ends what waits for a person, what waits for a moment and what is queued', async () => {
    const cluster = slowCluster({ name: 'b', model: 'asks' });
    cluster.modelMap.asks = scriptedModel([scripted({ action: 'ask_human', question: 'which?' })]);
    const first = await cluster.node('n1', { settings: { slots: 1, park_after_ms: 100 } });
    await cluster.submit('{"input":"x"}', 'b');
    await cluster.submit({ ...chain(1), not_before: new Date(cluster.clock.now() + 3_600_000).toISOString() }, 'a');
    await cluster.status('waiting.person');
    await cluster.status('idle.scheduled');
    await cluster.clock.advance(2_000);
    for (let i = 0; i < 3; i++) await cluster.submit(chain(1, 'slow'), 'a');
    await calling(cluster);
    await set(cluster, 'global', 'kill');
    await cluster.until('five results', async () => (await cluster.results()).length === 5);
    expect(new Set((await cluster.results()).map((one) => one.code))).toEqual(new Set(['killed']));
    expect(cluster.tools.calls).toHaveLength(1);
    expect(cluster.effects).toBe(0);
    await first.node.stop();
  });

  it('that was revived before anybody came to a parked run has ended it all the same', async () => {
    const cluster = slowCluster();
    const first = await cluster.node();
    await cluster.submit({ ...chain(1), not_before: new Date(cluster.clock.now() + 60_000).toISOString() }, 'a');
    await cluster.status('idle.scheduled');
    await cluster.clock.advance(2_000);
    first.kill();
    const order = (mode: string) =>
      cluster.client.publish(cluster.subjects.switchOf('agent:a'), JSON.stringify({ mode, by: 'o', why: 'w' }));
    await order('kill');
    await order('revive');
    await cluster.node('n2');
    expect(await cluster.result()).toMatchObject({ code: 'killed' });
    expect(cluster.tools.calls).toEqual([]);
  });

  it('of a run reaches what it delegated to, also when that attaches late', async () => {
    const cluster = slowCluster({ name: 'boss', model: 'delegates', delegates_to: ['a'] });
    cluster.modelMap.delegates = {
      think: () =>
        Promise.resolve(scripted({ action: 'delegate', agent: 'a', input: 'x', plan: chain(2, 'slow').plan })),
    };
    // The parent dies right after it wrote the first entry of its child: the activation comes with its next owner.
    const first = await cluster.node('n1', { dieAt: (point) => point === 'delegate.child_activated' });
    await cluster.submit('{"input":"x"}', 'boss');
    await cluster.until('death', async () => first.dead);
    const parent = (await cluster.statuses()).find((one) => one.agent === 'boss')?.run ?? '';
    await cluster.client.publish(cluster.subjects.switchOf(`run:${parent}`), 'kill');
    await cluster.node('n2');
    await cluster.until('two results', async () => (await cluster.results()).length === 2);
    expect((await cluster.results()).map((one) => one.code)).toEqual(['killed', 'killed']);
    expect(cluster.tools.calls).toEqual([]);
  });

  it('survives the restart of all nodes', async () => {
    const cluster = slowCluster();
    const first = await cluster.node();
    await set(cluster, 'user:u', 'kill');
    await done(cluster, first.node.stop());
    await cluster.node('n2');
    await cluster.submit(chain(1), 'a', 'u');
    expect((await cluster.status('rejected')).error?.code).toBe('killed');
    expect(cluster.tools.calls).toEqual([]);
  });

  it('by one word without a name is carried out, and so is what cannot be read', async () => {
    for (const text of ['kill', '{"mode":']) {
      const cluster = slowCluster();
      await cluster.node();
      await cluster.submit(chain(1, 'slow'), 'a');
      await calling(cluster);
      await cluster.client.publish(cluster.subjects.switchOf('global'), text);
      expect(await cluster.result()).toMatchObject({ code: 'killed' });
      expect(cluster.effects).toBe(0);
    }
  });
});

describe('an acknowledged kill', () => {
  it('waits for a node that is cut off until that has stopped acting by itself', async () => {
    const cluster = slowCluster();
    const log = recordingLog();
    await cluster.node('n1');
    const far = await cluster.node('far', { log, settings: { switch_stale_ms: 3_000, lease_ms: 60_000 } });
    await cluster.clock.advance(2_000);
    far.bus.cut();
    const before = cluster.clock.now();
    // The node that answers believes what its own settings say.
    const { nodes } = await set(cluster, 'agent:a', 'kill');
    expect(nodes).toEqual(['n1']);
    expect(cluster.clock.now() - before).toBeGreaterThan(9_000);
    expect(far.node.notReady()).toEqual([expect.stringContaining('kill switches: not read for more than 3 s')]);
    expect(log.lines.map((line) => line.event)).toContain('switches.stale');
    far.bus.heal();
    await cluster.until('reading', async () => far.node.notReady().length === 0);
    expect(log.lines.map((line) => line.event)).toContain('switches.read_again');
  });

  it('does not wait for a node that has stopped', async () => {
    const cluster = slowCluster();
    await cluster.node('n1');
    const second = await cluster.node('n2');
    await done(cluster, second.node.stop());
    const before = cluster.clock.now();
    expect((await set(cluster, 'global', 'kill')).nodes).toEqual(['n1']);
    expect(cluster.clock.now() - before).toBeLessThan(1_000);
  });
});

describe('a node that is cut off', () => {
  it('begins no effect once its reading is old, and goes on when it can read again', async () => {
    const cluster = slowCluster();
    const { bus } = await cluster.node('n1', { settings: { switch_stale_ms: 3_000, lease_ms: 60_000 } });
    cluster.tools.add('waits', (_args, call) => {
      const { startBy } = call;
      expect(startBy).toBeLessThanOrEqual(cluster.clock.now() + 3_000);
      return null;
    });
    await cluster.submit(
      { ...chain(2, 'waits'), not_before: new Date(cluster.clock.now() + 8_000).toISOString() },
      'a',
    );
    await cluster.status('idle.scheduled');
    bus.cut();
    await cluster.clock.advance(30_000);
    expect(cluster.tools.calls).toEqual([]);
    bus.heal();
    expect(await cluster.result()).toMatchObject({ code: 'completed' });
  });
});

describe('a pause', () => {
  it.each(['global', 'agent:a', 'agent:a@2', 'user:u'])(
    'of the scope %s lets calls finish, begins none, stops the clock, and ends with the revival',
    async (scope) => {
      const cluster = slowCluster();
      await cluster.node();
      await cluster.submit({ ...chain(3, 'slow'), limits: { wall_ms: 6_000 } }, 'a', 'u');
      await calling(cluster);
      await set(cluster, scope, 'pause', 'the API is down');
      await cluster.submit(chain(1), 'a', 'u');
      await cluster.clock.advance(60_000);
      expect(cluster.effects).toBe(1);
      expect(cluster.tools.calls).toHaveLength(1);
      const states = (await cluster.statuses()).map((one) => one.state);
      expect(states).toEqual(['waiting.paused', 'waiting.paused']);
      const run = cluster.tools.calls[0]?.run ?? '';
      const why = await done(cluster, operatorOf(cluster).why(run));
      expect(why).toMatchObject({ waiting_for: `the switch ${scope} to be lifted`, orphaned: false });
      expect(why.text).toMatch(/set by olga at .*: the API is down; unblock: an operator: proctor revive/);
      await expect(done(cluster, operatorOf(cluster).resume(run))).rejects.toMatchObject({ code: 'switch_in_force' });
      await set(cluster, scope, 'revive', 'it is back');
      await cluster.until('two results', async () => (await cluster.results()).length === 2);
      expect((await cluster.results()).map((one) => one.code)).toEqual(['completed', 'completed']);
      expect(cluster.effects).toBe(3);
    },
  );

  it('of a run that an operator paused alone is not lifted with the switch', async () => {
    const cluster = slowCluster();
    await cluster.node();
    await cluster.submit(chain(3, 'slow'), 'a');
    await calling(cluster);
    const operator = operatorOf(cluster);
    const run = cluster.tools.calls[0]?.run ?? '';
    await done(cluster, operator.pause(run, 'mine'));
    await cluster.status('waiting.paused');
    await set(cluster, 'agent:a', 'pause');
    await set(cluster, 'agent:a', 'revive');
    await cluster.clock.advance(30_000);
    expect(cluster.effects).toBe(1);
    await done(cluster, operator.resume(run));
    expect(await cluster.result()).toMatchObject({ code: 'completed' });
  });

  it('begins no retry of a call within the step', async () => {
    const cluster = slowCluster();
    let tries = 0;
    cluster.tools.add('flaky', async () => {
      tries++;
      await new Promise<void>((resolve) => void cluster.clock.after(500, resolve));
      if (tries === 1) throw new AppError('rate_limit', 'slow down', { retryable: true });
      return 'ok';
    });
    await cluster.node();
    await cluster.submit({ ...chain(1, 'flaky'), limits: { wall_ms: 10_000 } }, 'a');
    await calling(cluster);
    await set(cluster, 'agent:a', 'pause');
    await cluster.clock.advance(60_000);
    expect(tries).toBe(1);
    const why = await done(cluster, operatorOf(cluster).why(cluster.tools.calls[0]?.run ?? ''));
    expect(why).toMatchObject({ waiting_for: 'the switch agent:a to be lifted', orphaned: false });
    await set(cluster, 'agent:a', 'revive');
    expect(await cluster.result()).toMatchObject({ code: 'completed' });
  });
});

describe('a drain', () => {
  it('lets the step end with all its calls, then pauses; new tasks do not begin', async () => {
    const cluster = slowCluster();
    await cluster.node();
    await cluster.submit(chain(3, 'slow'), 'a');
    await calling(cluster);
    await set(cluster, 'agent:a', 'drain');
    await cluster.submit(chain(1), 'a');
    await cluster.clock.advance(60_000);
    expect(cluster.tools.calls).toHaveLength(1);
    expect((await cluster.statuses()).map((one) => one.state)).toEqual(['waiting.paused', 'waiting.paused']);
    await set(cluster, 'agent:a', 'revive');
    await cluster.until('two results', async () => (await cluster.results()).length === 2);
  });
});

describe('a switch over a tool', () => {
  it('that kills aborts its calls and refuses later ones as unavailable', async () => {
    const cluster = slowCluster();
    await cluster.node();
    await cluster.submit(chain(1, 'slow'), 'a');
    await calling(cluster);
    await set(cluster, 'tool:slow', 'kill', 'it mails the wrong people');
    const result = await cluster.result();
    expect(cluster.effects).toBe(0);
    expect(cluster.tools.calls).toHaveLength(1);
    expect(result).toMatchObject({ code: 'max_retries' });
    expect(result.step_log[0]?.calls[0]).toMatchObject({ status: 'unavailable' });
    expect(result.step_log[1]?.calls[0]?.preview).toContain('tool slow is switched off: switch tool:slow, by olga');
    await set(cluster, 'tool:slow', 'revive');
    await cluster.submit(chain(1, 'slow'), 'a');
    await cluster.until('second result', async () => (await cluster.results())[1]?.code === 'completed');
  });

  it('leaves open whether a call that it cut off took effect: asked for again it keeps its key', async () => {
    const cluster = slowCluster();
    const keys = new Set<string>();
    let hang = true;
    cluster.tools.add('book', (_args, call) => {
      keys.add(call.idempotencyKey);
      return hang ? new Promise<never>(() => {}) : 'booked';
    });
    await cluster.node();
    await cluster.submit(chain(1, 'book'), 'a');
    await calling(cluster);
    await set(cluster, 'tool:book', 'kill');
    hang = false;
    await set(cluster, 'tool:book', 'revive');
    expect(await cluster.result()).toMatchObject({ status: 'completed', answer: 'booked' });
    expect(cluster.tools.calls).toHaveLength(2);
    expect(keys.size).toBe(1);
  });

  it('asks a person about a call that it cut off and that must not be repeated', async () => {
    const cluster = slowCluster();
    cluster.tools.add('pay', () => new Promise(() => {}), { idempotent: false });
    await cluster.node();
    await cluster.submit(chain(1, 'pay'), 'a');
    await calling(cluster);
    await set(cluster, 'tool:pay', 'kill');
    expect((await cluster.status('waiting.person')).requires).toMatchObject({ kind: 'resolve' });
  });

  it.each(['pause', 'drain'] as const)('in the mode %s lets calls wait', async (mode) => {
    const cluster = slowCluster();
    await cluster.node();
    await set(cluster, 'tool:slow', mode);
    await cluster.submit(chain(1, 'slow'), 'a');
    await cluster.clock.advance(60_000);
    expect(cluster.tools.calls).toEqual([]);
    const run = (await cluster.statuses())[0]?.run ?? '';
    const { text } = await done(cluster, operatorOf(cluster).why(run));
    expect(text).toContain(`held by the switch tool:slow (${mode}, by olga: a test): proctor revive tool:slow`);
    await set(cluster, 'tool:slow', 'revive');
    expect(await cluster.result()).toMatchObject({ code: 'completed' });
  });
});

describe('a switch over a model', () => {
  it('lets nobody ask it, and cuts off who does', async () => {
    const cluster = slowCluster({ name: 'm', model: 'far/away' });
    let asked = 0;
    cluster.modelMap['far/away'] = {
      think: () => {
        asked++;
        return asked === 1 ? new Promise(() => {}) : Promise.resolve(scripted({ action: 'final_answer', answer: 1 }));
      },
    };
    await cluster.node();
    await cluster.submit('{"input":"x"}', 'm');
    await cluster.until('question', async () => asked === 1);
    await set(cluster, 'model:far/away', 'kill');
    const failed = await cluster.until('failed step', async () =>
      (await cluster.statuses()).find((one) => one.state === 'waiting.backing_off'),
    );
    expect(failed.step).toBe(1);
    expect(asked).toBe(1);
    await set(cluster, 'model:far/away', 'revive');
    expect(await cluster.result()).toMatchObject({ code: 'completed' });
  });
});

describe('the audit', () => {
  it('says who set and revived what, why and when, and what it hit', async () => {
    const cluster = slowCluster();
    await cluster.node();
    await cluster.submit(chain(1, 'slow'), 'a');
    await calling(cluster);
    await set(cluster, 'agent:a', 'kill', 'broken');
    await cluster.result();
    await cluster.submit(chain(1), 'a');
    await cluster.status('rejected');
    await cluster.clock.advance(2_000);
    const read = async (history: boolean) => {
      const found = [];
      for await (const one of operatorOf(cluster).switches({ history })) found.push(one);
      return found;
    };
    const killed = { scope: 'agent:a', mode: 'kill', by: 'olga', why: 'broken', hits: { runs: 1, calls: 1, tasks: 1 } };
    expect(await done(cluster, read(false))).toEqual([expect.objectContaining(killed)]);
    await set(cluster, 'agent:a', 'revive', 'repaired');
    expect(await done(cluster, read(false))).toEqual([]);
    expect(await done(cluster, read(true))).toEqual([
      expect.objectContaining(killed),
      expect.objectContaining({ scope: 'agent:a', mode: 'revive', why: 'repaired' }),
    ]);
    await expect(set(cluster, 'agent:a', 'revive')).rejects.toMatchObject({ code: 'not_in_force' });
  });
});
