import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import type { ClientBus } from '../../src/client/ask.ts';
import { AppError } from '../../src/core/errors.ts';
import { Cluster, chain } from '../runtime/support.ts';
import { all, clientOf, drive } from './support.ts';

async function errorOf(cluster: Cluster, promise: Promise<unknown>): Promise<AppError> {
  const thrown = await drive(cluster, promise).then(
    () => null,
    (error: unknown) => error,
  );
  if (thrown instanceof AppError) return thrown;
  throw new Error(`expected an AppError, got ${String(thrown)}`);
}

describe('a submitter', () => {
  it('hands in a task, watches its run to the end, and reads the result', async () => {
    const cluster = new Cluster();
    cluster.tools.add('slow', async (args) => {
      await new Promise<void>((resolve) => void cluster.clock.after(1_000, resolve));
      return args;
    });
    await cluster.node();
    const client = clientOf(cluster);
    const { run, seq, status } = await drive(cluster, client.submit(chain(3, 'slow'), 'plan'));
    expect(seq).toBe(1);
    expect(status).toMatchObject({ run, state: 'idle.accepted', task_seq: 1 });
    const seen = await drive(cluster, all(client.watch(run)));
    expect(seen.at(-1)).toMatchObject({ type: 'ended', status: { run, code: 'completed' }, result: { run } });
    expect(seen.flatMap((one) => (one.type === 'step' ? one.step.step : []))).toEqual([1, 2, 3, 4]);
    expect(await drive(cluster, client.result(run))).toMatchObject({ run, status: 'completed', answer: { i: 2 } });
  });

  it('gets its own run for each of several tasks handed in at once', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const client = clientOf(cluster);
    const inputs = [1, 2, 3, 4];
    const task = (i: number) => ({ input: i, plan: { steps: [{ id: 's', tool: 'echo', args: { i } }] } });
    const all = await drive(cluster, Promise.all(inputs.map((i) => client.submit(task(i), 'plan'))));
    const results = await drive(cluster, Promise.all(all.map(({ run }) => client.result(run, { wait: true }))));
    expect(results.map((result) => result.answer)).toEqual(inputs.map((i) => ({ i })));
  });

  it('gets the run that a key stands for already', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const client = clientOf(cluster);
    const first = await drive(cluster, client.submit({ ...chain(1), key: 'k' }, 'plan'));
    await drive(cluster, client.result(first.run, { wait: true }));
    const again = await drive(cluster, client.submit({ ...chain(1), key: 'k' }, 'plan'));
    expect(again).toMatchObject({ run: first.run, seq: 2, status: { phase: 'complete' } });
  });

  it.each([
    ['u', 'plan'],
    ['zoë@example.com', 'plan'],
  ])('as %s learns the fault and the field of a task that is refused', async (user, agent) => {
    const cluster = new Cluster();
    await cluster.node();
    const client = clientOf(cluster, user);
    const faulty = { input: 1, limits: { steps: 0 } };
    const error = await errorOf(cluster, client.submit(faulty, agent));
    expect(error).toMatchObject({ code: 'invalid_task', field: 'limits.steps' });
  });

  it('learns which agents there are when it names another', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const error = await errorOf(cluster, clientOf(cluster).submit(chain(1), 'no one'));
    expect(error).toMatchObject({ code: 'unknown_agent', field: 'agent' });
    expect(error.message).toContain('plan');
  });

  it('is told that its task is stored when no node takes it, and the task starts later', async () => {
    const cluster = new Cluster();
    const { node } = await cluster.node();
    await drive(cluster, node.stop());
    const before = cluster.clock.now();
    const error = await errorOf(cluster, clientOf(cluster).submit(chain(1), 'plan'));
    expect(error.code).toBe('not_accepted_yet');
    expect(error.message).toContain('stored');
    expect(cluster.clock.now() - before).toBeGreaterThanOrEqual(30_000);
    await cluster.node('n2');
    expect((await cluster.result()).status).toBe('completed');
  });

  it('is told that nothing confirmed its task when no stream does', async () => {
    const cluster = new Cluster();
    const publish: ClientBus['publish'] = (_subject, _data, options) =>
      new Promise((_, reject) => {
        options?.signal?.addEventListener('abort', () => reject(new AppError('aborted', 'given up')));
      });
    const bus: ClientBus = Object.assign(Object.create(cluster.client) as ClientBus, {
      publish,
      subscribe: cluster.client.subscribe.bind(cluster.client),
      flush: () => Promise.resolve(),
    });
    const error = await errorOf(cluster, clientOf(cluster, 'u', bus).submit(chain(1), 'plan'));
    expect(error).toMatchObject({ code: 'not_stored', retryable: true });
  });

  it('waits for an end whose event it never heard', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const { run } = await drive(cluster, clientOf(cluster).submit(chain(2), 'plan'));
    const deaf: ClientBus = {
      publish: (...args) => cluster.client.publish(...args),
      request: (...args) => cluster.client.request(...args),
      flush: () => cluster.client.flush(),
      subscribe: () => ({ stop: () => Promise.resolve() }),
    };
    const result = await drive(cluster, clientOf(cluster, 'u', deaf).result(run, { wait: true }));
    expect(result.status).toBe('completed');
  });

  it('may give up waiting, and the run goes on', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.modelMap.ai = scriptedModel([scripted({ action: 'ask_human', question: 'well?' })]);
    await cluster.node();
    const client = clientOf(cluster);
    const { run } = await drive(cluster, client.submit({ input: 1 }, 'ai'));
    const given = new AbortController();
    const waiting = errorOf(cluster, client.result(run, { wait: true, signal: given.signal }));
    await cluster.status('waiting.person');
    given.abort();
    expect((await waiting).code).toBe('aborted');
    expect((await drive(cluster, client.status(run))).state).toBe('waiting.person');
  });

  it('cancels its run, and is told that a result is not there before', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const client = clientOf(cluster);
    const later = new Date(cluster.clock.now() + 3_600_000).toISOString();
    const { run } = await drive(cluster, client.submit({ ...chain(1), not_before: later }, 'plan'));
    expect((await errorOf(cluster, client.result(run))).code).toBe('not_ended');
    expect(await drive(cluster, client.cancel(run, 'no longer wanted'))).toMatchObject({ ok: true, run });
    expect(await drive(cluster, client.result(run, { wait: true }))).toMatchObject({ code: 'cancelled' });
    expect((await errorOf(cluster, client.cancel(run))).code).toBe('already_ended');
  });

  it('learns nothing about a run of somebody else', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const { run } = await drive(cluster, clientOf(cluster, 'alice').submit(chain(1), 'plan'));
    const bob = clientOf(cluster, 'bob');
    const asks = [() => bob.status(run), () => bob.result(run), () => bob.cancel(run), () => all(bob.watch(run))];
    for (const asked of asks) {
      expect((await errorOf(cluster, asked())).code).toBe('unknown_run');
    }
  });

  it('is told that no node answers, whether nobody listens or nobody speaks', async () => {
    const cluster = new Cluster();
    const client = clientOf(cluster);
    expect((await errorOf(cluster, client.status('20260101-a-1'))).code).toBe('no_node');
    cluster.client.serve('proctor.ask.*.*', () => Promise.resolve(null));
    expect((await errorOf(cluster, client.status('20260101-a-1'))).code).toBe('no_node');
  });

  it.each(['no JSON', '{"v":2}'])('refuses the answer %s', async (answer) => {
    const cluster = new Cluster();
    cluster.client.serve('proctor.ask.*.*', () => Promise.resolve(answer));
    expect((await errorOf(cluster, clientOf(cluster).status('20260101-a-1'))).code).toBe('bad_answer');
  });
});
