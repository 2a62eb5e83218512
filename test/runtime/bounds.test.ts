import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Json } from '../../src/core/json.ts';
import { MAX_SNAPSHOT_BYTES } from '../../src/core/run-state.ts';
import { Cluster, chain } from './support.ts';

/** Nothing that a run writes may be larger, deeper or longer than what can be read back. */

describe('a result', () => {
  const answering = async (value: Json, definition = {}) => {
    const cluster = new Cluster();
    cluster.tools.add('tool', () => value, definition);
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'tool' }] }, limits: { failing_steps: 1 } });
    return cluster;
  };

  it.each([
    ['too large', 'x'.repeat(300_000), 'result_too_large'],
    ['nested too deep', JSON.parse(`${'['.repeat(100)}${']'.repeat(100)}`) as Json, 'bad_result'],
  ])('that is %s is an error of its step, and the journal stays readable', async (_what, value, code) => {
    const cluster = await answering(value);
    const result = await cluster.result();
    const events = (await cluster.entries(result.run)).flatMap((entry) => entry.events);
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'call_failed', error: expect.objectContaining({ code }) }),
    );
  });

  it('that is too large of a call that must not be repeated goes to a person: it was done', async () => {
    const cluster = await answering('x'.repeat(300_000), { idempotent: false });
    expect((await cluster.status('waiting.person')).requires).toMatchObject({ kind: 'resolve' });
    expect(cluster.tools.calls).toHaveLength(1);
  });

  it('with a long error is stored with the error cut', async () => {
    const cluster = new Cluster();
    cluster.tools.add('tool', () => {
      throw new AppError('c'.repeat(500), 'm'.repeat(100_000), { field: 'f'.repeat(1_000) });
    });
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'tool' }] }, limits: { failing_steps: 1 } });
    expect((await cluster.result()).step_log[0]?.calls[0]?.status).toBe('error');
  });
});

describe('a run of very wide steps', () => {
  it('tells all of them, in messages that fit, and its result holds the newest', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai', limits: { steps: 1_000, tool_calls: 10_000 } as never });
    cluster.tools.add('wide', () => 'y'.repeat(5_000));
    const calls = (step: number) => Array.from({ length: 64 }, () => ({ tool: 'wide', args: { step } }));
    cluster.modelMap.ai = {
      think: ({ step }) =>
        Promise.resolve(
          scripted(step <= 40 ? { action: 'tool_call', calls: calls(step) } : { action: 'final_answer', answer: 1 }),
        ),
    };
    await cluster.node();
    const told: number[] = [];
    cluster.client.subscribe('proctor.evt.>', (message) => {
      const { steps = [] } = JSON.parse(message.data) as { steps?: { step: number }[] };
      told.push(...steps.map((step) => step.step));
    });
    await cluster.submit({ input: 'x' }, 'ai');
    const result = await cluster.result();
    expect(told).toEqual(Array.from({ length: 41 }, (_, i) => i + 1));
    expect(result.steps).toBe(41);
    expect(result.step_log.at(-1)?.step).toBe(41);
    expect(result.step_log.length + result.steps_omitted).toBe(41);
    expect(result.steps_omitted).toBeGreaterThan(0);
  });
});

describe('a snapshot', () => {
  it('stays within its bound in the widest run there is', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai', limits: { steps: 1_000, tool_calls: 100_000 } as never });
    const names = Array.from({ length: 300 }, (_, i) => `tool-${'n'.repeat(50)}-${i}`);
    for (const name of names) cluster.tools.add(name, () => 1);
    cluster.modelMap.ai = {
      think: ({ step }) => {
        const calls = Array.from({ length: 64 }, (_, i) => ({
          tool: names[(step * 64 + i) % names.length] ?? '',
          args: {},
          plan_step: `${'s'.repeat(55)}${(step * 64 + i) % 200}`,
        }));
        return Promise.resolve(
          scripted(step <= 12 ? { action: 'tool_call', calls } : { action: 'ask_human', question: '?' }),
        );
      },
    };
    await cluster.node();
    await cluster.submit(
      {
        input: 'x',
        plan: { steps: Array.from({ length: 200 }, (_, i) => ({ id: `${'s'.repeat(55)}${i}`, tool: 't' })) },
      },
      'ai',
    );
    await cluster.status('waiting.person');
    const [snapshot] = await cluster.last('SNAP_20260101', 'proctor.snap.>', String);
    expect(snapshot?.length).toBeGreaterThan(10_000);
    expect(snapshot?.length).toBeLessThanOrEqual(MAX_SNAPSHOT_BYTES);
  });
});

describe('a task', () => {
  it('whose numbers are longer written out than they came is refused, not tried for ever', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit(
      `{"input":[${Array.from({ length: 60_000 }, () => '1e20').join(',')}]}`
        .slice(0, 262_000)
        .replace(/,?[^,\]]*$/, ']}'),
    );
    expect((await cluster.status('rejected')).error).toMatchObject({ code: 'task_too_large', field: 'body' });
    await cluster.submit(chain(1));
    expect((await cluster.result()).status).toBe('completed');
  });
});
