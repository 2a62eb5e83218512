import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { API_ANSWERS } from '../../src/client/answers.ts';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import { API_VERBS } from '../../src/core/door-wire.ts';
import { AppError } from '../../src/core/errors.ts';
import { DEFAULT_LIMITS } from '../../src/core/limits.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import { serveTools } from '../../src/worker/serve-tools.ts';
import type { WorkerTool } from '../../src/worker/worker-tool.ts';
import { Cluster, chain, silent } from '../runtime/support.ts';
import { all, clientOf, drive } from './support.ts';

function operatorOf(cluster: Cluster): Operator {
  return createOperator({ bus: cluster.client, subjects: cluster.subjects, by: 'olga', clock: cluster.clock });
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  );

describe('an operator', () => {
  it('knows the answer to every verb that nodes serve', () => {
    expect(new Set(Object.keys(API_ANSWERS))).toEqual(new Set(Object.keys(API_VERBS)));
  });

  it('lists runs by agent, user and state, and reads details, journal and result', async () => {
    const cluster = new Cluster({ name: 'other' });
    await cluster.node();
    await cluster.submit(chain(2), 'plan', 'alice');
    await cluster.submit('not JSON', 'other', 'bob');
    await cluster.result();
    const operator = operatorOf(cluster);
    const list = (filter?: Parameters<Operator['runs']>[0]) =>
      drive(cluster, all(operator.runs(filter))).then((runs) => runs.map((one) => `${one.user} ${one.state}`));
    expect((await list()).toSorted()).toEqual(['alice completed.answered', 'bob rejected']);
    expect(await list({ agent: 'other' })).toEqual(['bob rejected']);
    expect(await list({ user: 'alice', state: 'completed' })).toEqual(['alice completed.answered']);
    expect(await list({ user: 'nobody' })).toEqual([]);
    const [run] = await drive(cluster, all(operator.runs({ user: 'alice' })));
    const id = run?.run ?? '';
    const details = await drive(cluster, operator.run(id));
    expect(details).toMatchObject({ status: { run: id }, task: { input: 'chain' }, context: { steps: 3 } });
    const entries = await drive(cluster, all(operator.journal(id)));
    expect(entries).toEqual(await cluster.entries(id));
    expect(await drive(cluster, all(operator.journal(id, 2)))).toEqual(entries.slice(2));
    expect(await drive(cluster, operator.result(id))).toMatchObject({ run: id, status: 'completed' });
  });

  it('sees breakers and accounts, and closes a breaker for all nodes', async () => {
    const cluster = new Cluster({ name: 'once', limits: { ...DEFAULT_LIMITS, failing_steps: 1 } });
    let down = true;
    cluster.tools.add('flaky', () => {
      if (down) throw new AppError('tool_crash', 'gone', { retryable: true });
      return 'ok';
    });
    const quotas = { caps: [{ for: 'tool:flaky', calls: 100 }] };
    await cluster.node('n1', { quotas });
    const other = await cluster.node('n2', { quotas });
    const operator = operatorOf(cluster);
    const task = { input: 'x', plan: { steps: [{ id: 'a', tool: 'flaky' }] } };
    expect(await drive(cluster, operator.breakers())).toEqual([]);
    expect(await drive(cluster, codeOf(operator.resetBreaker('tool:flaky', 'why not')))).toBe('unknown_breaker');
    for (const ended of [1, 2]) {
      await cluster.submit(task, 'once');
      await cluster.until('an end', async () => (await cluster.results()).length === ended);
    }
    const [open] = await drive(cluster, operator.breakers());
    expect(open).toMatchObject({ target: 'tool:flaky', state: 'open', probes: 0 });
    expect(await drive(cluster, all(operator.accounts()))).toMatchObject([
      { scope: 'cap:tool:flaky', period: '2026-01-01T00', spent: { count: 5 }, held: { count: 0 } },
    ]);
    down = false;
    await drive(cluster, operator.resetBreaker('tool:flaky', 'repaired'));
    expect(await drive(cluster, operator.breakers())).toEqual([]);
    expect(other.deps.ledger.ledger.breakers.get('tool:flaky').state).toBe('closed');
    await cluster.submit(task, 'once');
    await cluster.until('an end', async () => (await cluster.results()).length === 3);
    expect((await cluster.results()).filter(({ status }) => status === 'completed')).toHaveLength(1);
  });

  it('pauses, resumes and cancels a run, and the journal says who did', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const later = new Date(cluster.clock.now() + 3_600_000).toISOString();
    await cluster.submit({ ...chain(1), not_before: later });
    const { run } = await cluster.status('idle.scheduled');
    const operator = operatorOf(cluster);
    await drive(cluster, operator.pause(run, 'look first'));
    await cluster.status('waiting.paused');
    await drive(cluster, operator.resume(run));
    await cluster.status('idle.scheduled');
    await drive(cluster, operator.cancel(run, 'enough'));
    expect(await drive(cluster, operator.result(run, { wait: true }))).toMatchObject({ code: 'cancelled' });
    const orders = (await cluster.entries(run)).flatMap(({ events }) => events.filter((event) => 'by' in event));
    expect(orders.map((event) => [event.type, 'by' in event && event.by, 'why' in event && event.why])).toEqual([
      ['pause', 'olga', 'look first'],
      ['resume', 'olga', ''],
      ['cancel', 'olga', 'enough'],
    ]);
    expect(await codeOf(drive(cluster, operator.release(run)))).toBe('not_held');
    expect(await codeOf(drive(cluster, operator.fail(run)))).toBe('not_held');
  });

  it('answers what a run asked', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.modelMap.ai = scriptedModel([
      scripted({ action: 'ask_human', question: 'which colour?' }),
      async (input) =>
        scripted({ action: 'final_answer', answer: (await input.window())[0]?.observations[0]?.result ?? null }),
    ]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const { run, requires } = await cluster.status('waiting.person');
    const operator = operatorOf(cluster);
    expect(await codeOf(drive(cluster, operator.resolve(run, '9-9', { verdict: 'repeat' })))).toBe('not_waiting');
    await drive(cluster, operator.resolve(run, requires?.c ?? '', { verdict: 'done', result: 'red' }));
    expect(await drive(cluster, operator.result(run, { wait: true }))).toMatchObject({ answer: 'red' });
  });

  it('reads dead letters and gives one a second chance', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit(chain(1), 'late');
    const operator = operatorOf(cluster);
    const letters = await cluster.until('dead letter', async () => {
      const found = await drive(cluster, all(operator.deadLetters()));
      return found.length > 0 && found;
    });
    const [letter] = letters;
    expect(letter).toMatchObject({ code: 'unknown_agent', subject: 'proctor.tasks.late.u' });
    const shown = await drive(cluster, operator.deadLetter(letter?.id ?? ''));
    expect(JSON.parse(shown.body)).toEqual(chain(1));
    expect(await drive(cluster, operator.deadLetterRetry(letter?.id ?? ''))).toMatchObject({ ok: true, seq: 2 });
    expect(await codeOf(drive(cluster, operator.deadLetter('task.none')))).toBe('unknown_dead_letter');
  });

  it('retries a run that has ended, once, as a new run that names the old one', async () => {
    const cluster = new Cluster();
    let broken = true;
    cluster.tools.add('moody', () => {
      if (broken) throw new AppError('tool_error', 'not today');
      return 'fine';
    });
    await cluster.node();
    await cluster.submit({ ...chain(1, 'moody'), key: 'k' });
    const { run } = await cluster.result();
    broken = false;
    const operator = operatorOf(cluster);
    const retried = await drive(cluster, operator.retry(run, 'the tool is well again'));
    expect(retried.run).not.toBe(run);
    expect(await drive(cluster, operator.result(retried.run, { wait: true }))).toMatchObject({ answer: 'fine' });
    expect((await drive(cluster, operator.run(retried.run))).task).toMatchObject({ retry_of: run });
    expect((await drive(cluster, operator.retry(run))).run).toBe(retried.run);
    const later = new Date(cluster.clock.now() + 3_600_000).toISOString();
    const waiting = await drive(cluster, clientOf(cluster).submit({ ...chain(1), not_before: later }, 'plan'));
    expect(await codeOf(drive(cluster, operator.retry(waiting.run)))).toBe('not_ended');
  });

  it('sees every node, what waits and since when, and dead letters', async () => {
    const cluster = new Cluster();
    cluster.tools.add('stuck', () => new Promise(() => {}));
    const first = await cluster.node('n1', { settings: { lease_ms: 500_000 } });
    await cluster.node('n2', { settings: { lease_ms: 10_000, slots: 1 } });
    const operator = operatorOf(cluster);
    expect((await drive(cluster, operator.nodes())).map((node) => [node.node, node.active_runs])).toEqual([
      ['n1', 0],
      ['n2', 0],
    ]);
    await cluster.submit(chain(1), 'nobody');
    await drive(cluster, first.node.stop());
    const well = await drive(cluster, operator.health());
    expect(well).toMatchObject({ nodes: [{ node: 'n2', slots: 1 }], dead_letters: 1, stale: [] });
    expect(well.queues).toEqual(
      ['tasks', 'inbox', 'agent:plan'].map((name) => ({ name, waiting: 0, oldest_at: null })),
    );
    await Promise.all([1, 2].map(() => cluster.submit(chain(1, 'stuck'))));
    await cluster.clock.advance(5_000);
    const busy = await drive(cluster, operator.health());
    expect(busy.nodes[0]?.active_runs).toBe(1);
    expect(busy.queues.at(-1)).toMatchObject({ name: 'agent:plan', waiting: 1, oldest_at: expect.any(Number) });
  });

  it('sees a run whose node is gone and that nobody takes over', async () => {
    const cluster = new Cluster();
    cluster.tools.add('stuck', () => new Promise(() => {}));
    const first = await cluster.node('n1', { settings: { slots: 1 } });
    await cluster.node('n2', { settings: { slots: 1 } });
    await Promise.all([1, 2].map(() => cluster.submit(chain(1, 'stuck'))));
    await cluster.until(
      'two owners',
      async () => new Set((await cluster.statuses()).map((one) => one.node)).size === 2,
    );
    first.kill();
    await cluster.clock.advance(10_000);
    const { stale } = await drive(cluster, operatorOf(cluster).health());
    expect(stale.map((run) => [run.node, run.agent, run.state])).toEqual([['n1', 'plan', 'executing.calling']]);
  });

  it('sees the tools that workers offer, with their figures', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const tool = (name: string): WorkerTool => ({
      definition: ToolDefinition.parse({ name, description: `${name}!`, parameters: { type: 'object' } }),
      handler: () => 1,
    });
    const { client: bus, clock, subjects } = cluster;
    const offer = (id: string, ...names: string[]) =>
      serveTools({ bus, subjects, clock, log: silent, id, tools: names.map(tool) });
    await drive(cluster, Promise.all([offer('w1', 'a', 'b'), offer('w2', 'a')]));
    bus.serve('$SRV.STATS', () => Promise.resolve('{"name":"somebody else"}'));
    const operator = operatorOf(cluster);
    const tools = await drive(cluster, operator.tools());
    expect(tools.map((one) => [one.name, one.from, one.workers, one.calls])).toEqual([
      ['a', 'worker', 2, 0],
      ['b', 'worker', 1, 0],
      ['echo', 'node', 0, 0],
    ]);
    const a = await drive(cluster, operator.tool('a'));
    expect(a.definition.description).toBe('a!');
    expect(a.workers.map((worker) => worker.id).toSorted()).toEqual(['w1', 'w2']);
    expect(await codeOf(drive(cluster, operator.tool('c')))).toBe('unknown_tool');
  });

  it('follows pages to their end', async () => {
    const cluster = new Cluster();
    const asked: unknown[] = [];
    const status = { v: 1, agent: 'a', user: 'u', at: 1, state: 'x', phase: 'executing', step: 0 };
    cluster.client.serve('proctor.api.runs', async ({ data }) => {
      const { after } = JSON.parse(data) as { after: number };
      asked.push(after);
      const run = { ...status, progress: null, can_cancel: true, run: `20260101-a-${after}` };
      return JSON.stringify({ runs: [run], next: after < 20 ? after + 10 : null });
    });
    const runs = await drive(cluster, all(operatorOf(cluster).runs()));
    expect(runs.map(({ run }) => run)).toEqual(['20260101-a-0', '20260101-a-10', '20260101-a-20']);
    expect(asked).toEqual([0, 10, 20]);
  });

  it('learns about a node, or that there is none', async () => {
    const cluster = new Cluster();
    expect(await codeOf(drive(cluster, operatorOf(cluster).node()))).toBe('no_node');
    await cluster.node('n1');
    expect(await drive(cluster, operatorOf(cluster).node())).toMatchObject({ node: 'n1', agents: ['plan'] });
  });
});
