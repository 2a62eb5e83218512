import { describe, expect, it } from 'vitest';
import { assign } from 'xstate';
import { agentRunMachine } from '../../machines/agent-run/machine.ts';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { createOperator } from '../../src/client/operator.ts';
import type { RunMachine } from '../../src/runtime/fold.ts';
import { clientOf, drive } from '../client/support.ts';
import { Cluster, chain, recordingLog, type TestNode } from './support.ts';

/** A build of the chart that cannot fold an outcome. */
const fault = assign(() => {
  throw new Error('this build has a fault');
});
const broken = agentRunMachine.provide({ actions: { callDone: fault, finishStep: fault } } as never) as RunMachine;

const command = (cluster: Cluster, verb: string, body: object) =>
  cluster.client.request(cluster.subjects.api(verb), JSON.stringify({ by: 'op', ...body }), { timeoutMs: 1_000 });

const operatorOf = (cluster: Cluster) =>
  createOperator({ bus: cluster.client, subjects: cluster.subjects, by: 'op', clock: cluster.clock });

describe('an entry that cannot be folded', () => {
  const held = async () => {
    const cluster = new Cluster();
    const bad = await cluster.node('bad', { machine: broken });
    await cluster.submit(chain(2));
    const status = await cluster.status('idle.held');
    await cluster.clock.advance(60_000);
    return { cluster, bad, run: status.run, status };
  };

  it('holds the run for an operator, who is told, and costs nothing more', async () => {
    const { cluster, bad, run, status } = await held();
    expect(status.requires).toMatchObject({ kind: 'release' });
    expect(bad.node.activeRuns).toBe(0);
    expect(await cluster.results()).toEqual([]);
    const events = (await cluster.entries(run)).flatMap((entry) => entry.events);
    expect(events).toContainEqual(expect.objectContaining({ type: 'quarantined', entry: 3 }));
  });

  it('is seen in the tree of the node as long as the process lives', async () => {
    const { cluster, run } = await held();
    const [node] = await drive(cluster, operatorOf(cluster).trees());
    const types = node?.tree?.tree.children.find(({ id }) => id === 'agents')?.supervisor?.children;
    const type = types?.find(({ id }) => id === 'agent:plan')?.supervisor;
    expect(type?.children).toEqual([]);
    expect(type?.ended).toMatchObject([{ id: run, code: 'quarantined' }]);
  });

  it('is folded again by newer code, and the run goes on with nothing done twice', async () => {
    const { cluster, bad, run } = await held();
    await bad.node.stop();
    await cluster.node('good');
    await command(cluster, 'release', { run });
    expect(await cluster.result()).toMatchObject({ status: 'completed', steps: 3 });
    expect(cluster.tools.calls).toHaveLength(2);
  });

  it('holds the run again when the code is still the same', async () => {
    const { cluster, run } = await held();
    await command(cluster, 'release', { run });
    await cluster.clock.advance(5_000);
    const events = (await cluster.entries(run)).flatMap((entry) => entry.events);
    expect(events.filter((event) => event.type === 'quarantined')).toHaveLength(2);
    expect(await cluster.results()).toEqual([]);
  });

  it('ends the run when an operator says so', async () => {
    const { cluster, run } = await held();
    await command(cluster, 'fail', { run, why: 'not worth it' });
    expect(await cluster.result()).toMatchObject({
      status: 'failed',
      code: 'error',
      error: { reason: expect.stringContaining('not worth it') },
    });
  });

  it('is not let go on by the submitter of the run when an operator ended it', async () => {
    const { cluster, run } = await held();
    await command(cluster, 'fail', { run, why: 'not worth it' });
    await cluster.result();
    await expect(drive(cluster, clientOf(cluster).continue(run))).rejects.toMatchObject({ code: 'not_allowed' });
    await command(cluster, 'continue', { run });
    await cluster.until('the next run', async () => (await cluster.statuses()).length === 2);
  });

  it('is not released when nothing holds the run', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit(chain(1));
    const { run } = await cluster.result();
    await expect(command(cluster, 'release', { run })).rejects.toMatchObject({ code: 'not_held' });
  });
});

describe('a run that crashes', () => {
  it('its node, again and again, ends crash_limit and does not block the others', async () => {
    const cluster = new Cluster();
    const settings = { lease_ms: 1_000 };
    let poison = '';
    await (await cluster.prepare()).submit({ ...chain(1), key: 'poison' });
    let node = await cluster.node('n0', { settings, dieAt: (point) => point === 'claim.written' });
    let deaths = 0;
    const result = await cluster.until('end', async () => {
      poison ||= (await cluster.statuses())[0]?.run ?? '';
      if (node.dead) {
        deaths++;
        let doomed = true;
        node = await cluster.node(`n${deaths}`, {
          settings,
          // From the fourth claim on the run would go through, if it were let.
          dieAt: (point) => {
            if (point === 'claim.written' && doomed && deaths < 4) {
              doomed = false;
              return true;
            }
            return false;
          },
        });
      }
      return (await cluster.results())[0];
    });
    expect(deaths).toBe(4);
    expect(result).toMatchObject({ run: poison, status: 'failed', code: 'crash_limit' });
    await cluster.submit(chain(1));
    await cluster.until('the next run', async () => (await cluster.results()).length === 2);
  });

  it('its node, again and again, does not take those to their end that were only beside it', async () => {
    const cluster = new Cluster({ name: 'killer', model: 'kills' }, { name: 'slow', model: 'slow' });
    let node: TestNode;
    let deaths = 0;
    // Before any other run can have made progress.
    cluster.modelMap.kills = {
      think: () => {
        const here = node;
        cluster.clock.after(200, () => here.kill());
        return new Promise(() => {});
      },
    };
    cluster.modelMap.slow = {
      think: () =>
        new Promise((resolve) => {
          cluster.clock.after(1_000, () => resolve(scripted({ action: 'final_answer', answer: 'done' })));
        }),
    };
    const settings = { lease_ms: 1_000 };
    node = await cluster.node('n0', { settings });
    await cluster.submit({ input: 'x' }, 'killer');
    const others = 5;
    for (let i = 0; i < others; i++) await cluster.submit({ input: 'x' }, 'slow', `u${i}`);
    await cluster.until('all ends', async () => {
      if (node.dead) node = await cluster.node(`n${++deaths}`, { settings });
      return (await cluster.results()).length === 1 + others;
    });
    const ends = (await cluster.results()).map(({ agent, code }) => `${agent} ${code}`);
    expect(ends.toSorted((a, b) => a.localeCompare(b))).toEqual([
      'killer crash_limit',
      ...Array<string>(others).fill('slow completed'),
    ]);
    expect(deaths).toBe(4);
  });

  it('by a fault of the runtime goes on under a new claim', async () => {
    const cluster = new Cluster();
    let faults = 0;
    const validator = {
      faults: () => {
        if (faults++ < 2) throw new Error('a fault of ours');
        return null;
      },
    };
    await cluster.node('n1', { validator });
    await cluster.submit(chain(1));
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'completed', steps: 2 });
    const claims = (await cluster.entries(result.run))
      .flatMap((entry) => entry.events)
      .filter((event) => event.type === 'claimed');
    expect(claims).toHaveLength(3);
  });

  it('by a fault of the runtime each time is given up after three restarts within a minute', async () => {
    const cluster = new Cluster();
    const log = recordingLog();
    let faults = 0;
    const validator = {
      faults: () => {
        faults++;
        throw new Error('a fault of ours');
      },
    };
    await cluster.node('n1', { validator, log });
    await cluster.submit(chain(1));
    expect(await cluster.result()).toMatchObject({ status: 'failed', code: 'crash_limit' });
    expect(faults).toBe(4);
    expect(log.lines).toContainEqual(
      expect.objectContaining({ level: 'error', event: 'run.restart_intensity_reached' }),
    );
  });
});

describe('a node', () => {
  it('that stops hands its runs over: another goes on at once, and nothing counts as a crash', async () => {
    const cluster = new Cluster();
    let release: (value: string) => void = () => {};
    cluster.tools.add(
      'slow',
      () =>
        new Promise<string>((resolve) => {
          release = resolve;
        }),
      {
        timeout_ms: 600_000,
      },
    );
    const first = await cluster.node('n1', { settings: { lease_ms: 60_000 } });
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'slow' }] } });
    const { run } = await cluster.status('executing.calling');
    const stopping = first.node.stop();
    await cluster.clock.advance(3_000);
    await stopping;
    await cluster.node('n2', { settings: { lease_ms: 60_000 } });
    await cluster.clock.advance(1_000);
    release('late');
    expect(await cluster.result()).toMatchObject({ status: 'completed', answer: 'late' });
    const events = (await cluster.entries(run)).flatMap((entry) => entry.events.map((event) => event.type));
    expect(events.filter((type) => type === 'handed_over')).toHaveLength(1);
    expect(cluster.tools.calls.map((call) => call.idempotencyKey)).toEqual([`${run}:2-0`, `${run}:2-0`]);
  });

  it('that stops waits for a call that must not be repeated', async () => {
    const cluster = new Cluster();
    let finish: (value: string) => void = () => {};
    cluster.tools.add(
      'pay',
      () =>
        new Promise<string>((resolve) => {
          finish = resolve;
        }),
      { idempotent: false },
    );
    const { node } = await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'pay' }] } });
    const { run } = await cluster.status('executing.calling');
    await cluster.clock.advance(100);
    let stopped = false;
    const stopping = node.stop().then(() => {
      stopped = true;
    });
    await cluster.clock.advance(5_000);
    expect(stopped).toBe(false);
    finish('paid');
    await cluster.clock.advance(2_000);
    await stopping;
    const types = (await cluster.entries(run)).flatMap((entry) => entry.events.map((event) => event.type));
    expect(types.slice(-2)).toEqual(['call_done', 'handed_over']);
  });

  it('that was cut off for longer than its lease cannot change a run that another took', async () => {
    const cluster = new Cluster();
    const waiting: ((value: string) => void)[] = [];
    cluster.tools.add('slow', () => new Promise<string>((resolve) => void waiting.push(resolve)), {
      timeout_ms: 600_000,
    });
    const zombie = await cluster.node('zombie', { settings: { lease_ms: 1_000 } });
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'slow' }] } });
    const { run } = await cluster.status('executing.calling');
    zombie.bus.cut();
    await cluster.node('other', { settings: { lease_ms: 1_000 } });
    await cluster.until('takeover', async () => waiting.length === 2);
    waiting[0]?.('from the zombie');
    await cluster.clock.advance(100);
    zombie.bus.heal();
    await cluster.clock.advance(500);
    waiting[1]?.('from the owner');
    expect(await cluster.result()).toMatchObject({ answer: 'from the owner' });
    const writers = (await cluster.entries(run))
      .flatMap((entry) => entry.events)
      .filter((event) => event.type === 'claimed');
    expect(writers.map((claim) => claim.node)).toEqual(['zombie', 'other']);
    expect(zombie.node.activeRuns).toBe(0);
  });

  it('leaves a journal of a newer version to nodes that know it', async () => {
    const cluster = new Cluster();
    const log = recordingLog();
    await cluster.node('n1', { log });
    await cluster.submit({ ...chain(1), not_before: new Date(cluster.clock.now() + 60_000).toISOString() });
    const { run } = await cluster.status('idle.scheduled');
    await cluster.clock.advance(1_000);
    const n = (await cluster.entries(run)).length;
    await cluster.client.publish(cluster.subjects.journal(run, n), JSON.stringify({ v: 99, n, news: true }));
    await cluster.clock.advance(120_000);
    expect(await cluster.results()).toEqual([]);
    expect(log.lines.filter((line) => line.fields.code === 'journal_newer')).not.toEqual([]);
  });
});

describe('a task that is not one', () => {
  const cases: [string, unknown, string, string][] = [
    ['no JSON', '{', 'invalid_task', 'body'],
    ['nothing', '', 'invalid_task', 'body'],
    ['no object', '[]', 'invalid_task', 'body'],
    ['no input', {}, 'invalid_task', 'input'],
    ['an unknown field', { input: 1, x: 1 }, 'invalid_task', 'body'],
    ["a limit above its agent's", { input: 1, limits: { steps: 21 } }, 'invalid_task', 'limits.steps'],
    [
      'a plan that waits for itself',
      { input: 1, plan: { steps: [{ id: 'a', tool: 't', after: ['a'] }] } },
      'invalid_task',
      'plan.steps',
    ],
    ['another user', { input: 1, user: 'eve' }, 'invalid_task', 'user'],
    ['too much', { input: 'x'.repeat(300_000) }, 'task_too_large', 'body'],
    ['a newer version', { v: 2, input: 1 }, 'invalid_task', 'v'],
  ];

  it.each(cases)('because of %s is answered with the field and kept', async (_what, body, code, field) => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit(body);
    const status = await cluster.status('rejected');
    expect(status.error).toMatchObject({ code, field });
    const list = await cluster.client.request(cluster.subjects.api('dead_letters'), '{}', { timeoutMs: 1_000 });
    const { letters } = JSON.parse(list.data) as { letters: { id: string }[] };
    expect(letters).toHaveLength(1);
  });

  it('for an agent that is not there is answered, kept, and can be tried again when it is', async () => {
    const cluster = new Cluster();
    const first = await cluster.node();
    await cluster.submit(chain(1), 'later');
    expect((await cluster.status('rejected')).error).toMatchObject({
      code: 'unknown_agent',
      message: expect.stringContaining('plan'),
    });
    await first.node.stop();
    cluster.agents.set('later', { ...(cluster.agents.get('plan') as never as object), name: 'later' } as never);
    await cluster.node('n2');
    const list = await cluster.client.request(cluster.subjects.api('dead_letters'), '{}', { timeoutMs: 1_000 });
    const { letters } = JSON.parse(list.data) as { letters: { id: string; code: string }[] };
    expect(letters).toMatchObject([{ code: 'unknown_agent' }]);
    await cluster.client.request(cluster.subjects.api('dead_letter_retry'), JSON.stringify({ id: letters[0]?.id }), {
      timeoutMs: 1_000,
    });
    expect(await cluster.result()).toMatchObject({ status: 'completed', agent: 'later' });
    const left = await cluster.client.request(cluster.subjects.api('dead_letters'), '{}', { timeoutMs: 1_000 });
    expect(JSON.parse(left.data)).toMatchObject({ letters: [] });
  });

  it('on a subject that is none is kept', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.client.publish('proctor.tasks.a.b.c', '{}');
    await cluster.client.publish('proctor.tasks.a b', '{}').catch(() => {});
    const status = await cluster.status('rejected');
    expect(status.error).toMatchObject({ field: 'subject' });
  });
});

describe('a message for a run', () => {
  it('that never was goes to the dead letters', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const subject = cluster.subjects.inbox({ run: '20260101-a-1', kind: 'cancel', id: '1' });
    await cluster.client.publish(subject, JSON.stringify({ v: 1 }));
    await cluster.clock.advance(1_000);
    const list = await cluster.client.request(cluster.subjects.api('dead_letters'), '{}', { timeoutMs: 1_000 });
    expect(JSON.parse(list.data)).toMatchObject({ letters: [{ code: 'unknown_run', source: 'inbox' }] });
  });

  it.each([
    ['proctor.in.20260101-a-1.nonsense.1', '{}'],
    ['proctor.in.20260101-a-1.cancel.1', 'no json'],
    ['proctor.in.x.cancel.1', '{}'],
    ['proctor.in.20260101-a-1.resolve.1', '{"verdict":"maybe"}'],
  ])('that is not one (%s) goes to the dead letters', async (subject, body) => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.client.publish(subject, body);
    await cluster.clock.advance(1_000);
    const list = await cluster.client.request(cluster.subjects.api('dead_letters'), '{}', { timeoutMs: 1_000 });
    expect(JSON.parse(list.data)).toMatchObject({ letters: [{ code: 'invalid_message' }] });
    expect(await cluster.last('IN', 'proctor.in.>', String)).toEqual([]);
  });

  it('that pauses it holds it, also over a change of nodes, until another resumes it', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    let steps = 0;
    cluster.tools.add('slow', () => new Promise((resolve) => void cluster.clock.after(1_000, () => resolve(++steps))));
    cluster.modelMap.ai = {
      think: ({ step }) =>
        Promise.resolve(
          scripted(
            step < 4
              ? { action: 'tool_call', calls: [{ tool: 'slow', args: {} }] }
              : { action: 'final_answer', answer: steps },
          ),
        ),
    };
    const first = await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const { run } = await cluster.status('executing.calling');
    await command(cluster, 'pause', { run, why: 'look' });
    await cluster.status('waiting.paused');
    await cluster.clock.advance(3_600_000);
    expect(steps).toBe(1);
    await first.node.stop();
    await cluster.node('n2');
    await command(cluster, 'resume', { run, why: 'fine' });
    expect(await cluster.result()).toMatchObject({ status: 'completed', answer: 3 });
  });
});
