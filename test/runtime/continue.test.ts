import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import { AppError } from '../../src/core/errors.ts';
import type { RunResult } from '../../src/core/result.ts';
import type { WindowStep } from '../../src/ports/model.ts';
import { CONTINUE_POINTS } from '../../src/runtime/fault-points.ts';
import { RunFold } from '../../src/runtime/fold.ts';
import { clientOf, drive } from '../client/support.ts';
import { Cluster, chain } from './support.ts';

function operatorOf(cluster: Cluster): Operator {
  return createOperator({ bus: cluster.client, subjects: cluster.subjects, by: 'olga', clock: cluster.clock });
}

const resultOf = (cluster: Cluster, run: string): Promise<RunResult> =>
  cluster.until(`result of ${run}`, async () => (await cluster.results()).find((one) => one.run === run));

/** A run of four plan steps that its limit ended after `steps` of them. */
async function limited(steps: number, cluster = new Cluster()) {
  const node = await cluster.node();
  await cluster.submit({ ...chain(4), limits: { steps } });
  const result = await cluster.result();
  expect(result).toMatchObject({ code: 'max_steps', partial: { i: steps - 1 } });
  return { cluster, node, run: result.run };
}

describe('a run that ended at a limit', () => {
  it('goes on as a new run with its plan, its results and new limits, and repeats nothing', async () => {
    const { cluster, run } = await limited(2);
    const continued = await drive(cluster, clientOf(cluster).continue(run, { why: 'nearly there' }));
    expect(continued).toMatchObject({ ok: true, continues: run, state: 'idle.accepted' });
    const result = await resultOf(cluster, continued.run);
    expect(result).toMatchObject({ status: 'completed', answer: { i: 3 }, continues: run, steps: 3 });
    expect(cluster.tools.calls.map((call) => call.args)).toEqual([{ i: 0 }, { i: 1 }, { i: 2 }, { i: 3 }]);
    const [first] = (await cluster.entries(continued.run))[0]?.events ?? [];
    expect(first).toMatchObject({ continues: { runs: [run], by: 'u', why: 'nearly there', spent: { steps: 2 } } });
  });

  it('goes on again and again; results of all runs before are at hand', async () => {
    const { cluster, run } = await limited(1);
    const client = clientOf(cluster);
    const runs = [run];
    for (const steps of [1, 1]) {
      const next = await drive(cluster, client.continue(runs.at(-1) ?? '', { limits: { steps } }));
      expect(await resultOf(cluster, next.run)).toMatchObject({ code: 'max_steps', partial: { i: runs.length } });
      runs.push(next.run);
    }
    const last = await drive(cluster, client.continue(runs.at(-1) ?? ''));
    expect(await resultOf(cluster, last.run)).toMatchObject({ answer: { i: 3 }, steps: 2, continues: runs[2] });
    const [first] = (await cluster.entries(last.run))[0]?.events ?? [];
    expect(first).toMatchObject({ continues: { runs: runs.toReversed(), spent: { steps: 3, tool_calls: 3 } } });
    expect(cluster.tools.calls).toHaveLength(4);
  });

  it('shows its model what was done, which steps failed, and what came of them', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai', planning: true, retry_backoff_ms: 0 });
    let window: WindowStep[] = [];
    let read: unknown;
    const echo = (x: number, plan_step?: string) =>
      scripted({
        action: 'tool_call',
        calls: [{ tool: 'echo', args: { x }, ...(plan_step === undefined ? {} : { plan_step }) }],
      });
    const model = scriptedModel([
      scripted({
        action: 'plan',
        plan: { steps: ['a', 'b'].map((id) => ({ id, tool: 'echo', args: {}, after: [] })) },
      }),
      echo(1, 'a'),
      echo(2),
      async (input) => {
        window = await input.window();
        read = await input.plan?.result('a');
        return echo(3, 'b');
      },
      scripted({ action: 'final_answer', answer: 'done' }),
    ]);
    cluster.modelMap.ai = model;
    await cluster.node();
    await cluster.submit({ input: 'x', limits: { steps: 3 } }, 'ai');
    const { run } = await cluster.result();
    const next = await drive(cluster, clientOf(cluster).continue(run));
    expect(await resultOf(cluster, next.run)).toMatchObject({ status: 'completed', answer: 'done', steps: 2 });
    expect(model.requests.map((request) => request.phase)).toEqual(['planning', ...Array(4).fill('deciding')]);
    expect(read).toEqual({ x: 1 });
    expect(window).toMatchObject([
      { earlier: true, decision: { action: 'plan' } },
      { earlier: true, observations: [{ status: 'ok', result: { x: 1 } }] },
      { earlier: true, observations: [{ status: 'ok', result: { x: 2 } }] },
    ]);
    expect(model.requests.at(-1)?.plan?.done).toEqual(['a', 'b']);
    const ids = new Set(window.flatMap((step) => step.observations.map((seen) => seen.c)));
    expect([...ids].every((c) => c.startsWith('earlier1-'))).toBe(true);
  });

  it('tries anew what failed for good before', async () => {
    const cluster = new Cluster();
    let broken = true;
    cluster.tools.add('fixed', () => {
      if (broken) throw new AppError('tool_error', 'no such table');
      return 'rows';
    });
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'fixed' }] } });
    const { run, code } = await cluster.result();
    expect(code).toBe('error');
    broken = false;
    const next = await drive(cluster, operatorOf(cluster).continue(run, { why: 'the table is there' }));
    expect(await resultOf(cluster, next.run)).toMatchObject({ status: 'completed', answer: 'rows' });
  });

  it('is one run when the order comes twice with one key, and two without', async () => {
    const { cluster, run } = await limited(2);
    const client = clientOf(cluster);
    const [one, same, other] = [
      await drive(cluster, client.continue(run, { key: 'k' })),
      await drive(cluster, client.continue(run, { key: 'k' })),
      await drive(cluster, client.continue(run)),
    ];
    expect(same.run).toBe(one.run);
    expect(other.run).not.toBe(one.run);
    await resultOf(cluster, one.run);
    await resultOf(cluster, other.run);
    expect(await drive(cluster, client.continue(run, { key: 'k' }))).toMatchObject({
      run: one.run,
      state: 'completed.answered',
    });
    expect(await cluster.results()).toHaveLength(3);
  });

  it('may be given more than its agent allows by an operator only, and the journal says by whom', async () => {
    const cluster = new Cluster({ name: 'small', limits: { steps: 2 } as never });
    await cluster.node();
    await cluster.submit(chain(4), 'small');
    const { run } = await cluster.result();
    const more = { limits: { steps: 10 }, why: 'worth it' };
    await expect(drive(cluster, clientOf(cluster).continue(run, more))).rejects.toMatchObject({
      code: 'invalid_request',
      field: 'limits.steps',
    });
    const next = await drive(cluster, operatorOf(cluster).continue(run, more));
    expect(await resultOf(cluster, next.run)).toMatchObject({ status: 'completed', steps: 3 });
    const [first] = (await cluster.entries(next.run))[0]?.events ?? [];
    expect(first).toMatchObject({ limits: { steps: 10 }, continues: { by: 'olga', why: 'worth it' } });
  });
});

describe('an order to go on is refused', () => {
  it('while the run works, after its answer, and to other users', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit({ ...chain(1), not_before: new Date(cluster.clock.now() + 60_000).toISOString() });
    const { run } = await cluster.status('idle.scheduled');
    const order = () => drive(cluster, clientOf(cluster).continue(run));
    await expect(order()).rejects.toMatchObject({ code: 'not_ended' });
    await cluster.result();
    await expect(order()).rejects.toMatchObject({ code: 'already_completed' });
    await expect(drive(cluster, clientOf(cluster, 'mallory').continue(run))).rejects.toMatchObject({
      code: 'unknown_run',
    });
  });

  it('to the submitter when an operator ended the run', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit({ ...chain(1), not_before: new Date(cluster.clock.now() + 60_000).toISOString() });
    const { run } = await cluster.status('idle.scheduled');
    const operator = operatorOf(cluster);
    await drive(cluster, operator.cancel(run, 'stop it'));
    await cluster.result();
    await expect(drive(cluster, clientOf(cluster).continue(run))).rejects.toMatchObject({ code: 'not_allowed' });
    const next = await drive(cluster, operator.continue(run));
    expect(await resultOf(cluster, next.run)).toMatchObject({ status: 'completed' });
  });

  it('while nobody knows whether a call took effect, unless a person says that it may be made again', async () => {
    const cluster = new Cluster();
    let times = 0;
    cluster.tools.add('pay', () => (times++ === 0 ? new Promise(() => {}) : 'paid'), {
      idempotent: false,
      timeout_ms: 86_400_000,
    });
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'pay' }] }, limits: { wall_ms: 5_000 } });
    const { run, code, unknown_outcomes } = await cluster.result();
    expect({ code, unknown_outcomes }).toEqual({ code: 'timeout', unknown_outcomes: ['2-0'] });
    const client = clientOf(cluster);
    await expect(drive(cluster, client.continue(run))).rejects.toMatchObject({
      code: 'outcome_unknown',
      message: expect.stringContaining('2-0'),
    });
    expect(times).toBe(1);
    const next = await drive(cluster, client.continue(run, { repeat_unknown: true }));
    expect(await resultOf(cluster, next.run)).toMatchObject({ answer: 'paid', unknown_outcomes: [] });
  });
});

describe('a node that dies', () => {
  it.each(CONTINUE_POINTS)('at %s is followed by another that carries the order out, once', async (point) => {
    const cluster = new Cluster();
    const { node, run } = await limited(2, cluster);
    node.kill();
    let left = 1;
    const dieAt = (at: string) => at === point && left-- > 0;
    await cluster.node('n2', { dieAt });
    const asked = clientOf(cluster).continue(run, { key: 'k' });
    asked.catch(() => undefined);
    await cluster.clock.advance(500);
    expect(left).toBe(0);
    await cluster.node('n3');
    await cluster.until('the second result', async () => (await cluster.results()).length === 2);
    await cluster.clock.advance(60_000);
    const results = await cluster.results();
    expect(results).toHaveLength(2);
    expect(results[1]).toMatchObject({ status: 'completed', answer: { i: 3 }, continues: run });
    expect(cluster.tools.calls).toHaveLength(4);
    expect(await cluster.last('IN', 'proctor.in.>', String)).toEqual([]);
    expect(await cluster.last('QUEUE', 'proctor.queue.>', String)).toEqual([]);
  });

  it('in the middle of a run that goes on loses nothing of either run', async () => {
    const cluster = new Cluster();
    const { node, run } = await limited(2, cluster);
    node.kill();
    let folded = 0;
    const dieAt = (at: string) => at === 'entry.folded' && ++folded === 3;
    const first = await cluster.node('n2', { settings: { snapshot_every: 1 }, dieAt });
    const next = await drive(cluster, clientOf(cluster).continue(run));
    await cluster.until('death', async () => first.dead);
    await cluster.node('n3');
    expect(await resultOf(cluster, next.run)).toMatchObject({ status: 'completed', answer: { i: 3 }, steps: 3 });
    const fold = new RunFold();
    for (const entry of await cluster.entries(next.run)) {
      fold.fold(entry);
      const stored = JSON.parse(JSON.stringify(fold.snapshot()));
      expect(new RunFold(stored).context).toEqual(fold.context);
    }
  });
});

describe('a call that was in work when its run ended', () => {
  it('takes effect once when the run that goes on asks for it again', async () => {
    const cluster = new Cluster();
    const effects = new Set<string>();
    let hang = true;
    cluster.tools.add('book', (_args, call) => {
      effects.add(call.idempotencyKey);
      return hang ? new Promise<never>(() => {}) : 'booked';
    });
    await cluster.node();
    const plan = { steps: [{ id: 'a', tool: 'book', args: { seat: '12A' } }] };
    await cluster.submit({ input: 'x', plan, limits: { wall_ms: 5_000 } });
    const { run } = await cluster.result();
    hang = false;
    const client = clientOf(cluster);
    const again = await drive(cluster, client.continue(run, { limits: { tool_calls: 0 } }));
    expect(await resultOf(cluster, again.run)).toMatchObject({ code: 'tool_call_limit' });
    const last = await drive(cluster, client.continue(again.run));
    expect(await resultOf(cluster, last.run)).toMatchObject({ status: 'completed', answer: 'booked' });
    expect([...effects]).toEqual([`${run}:2-0`]);
  });
});
