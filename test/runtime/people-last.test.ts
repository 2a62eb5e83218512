import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import { HumanItem } from '../../src/core/human-wire.ts';
import { RunFold } from '../../src/runtime/fold.ts';
import { Cluster, recordingLog } from './support.ts';

/** People take over what tools or the time leave undone, where the agent names them (DEG-2, APPR-6). */

const PERSON = { person: { queue: 'support' } };

/** Asks for the tool at every step, with other arguments each time. */
function desk(tools: string[], agent: object = {}): Cluster {
  const more = { name: 'desk', model: 'm', retry_backoff_ms: 1, loops: { detect: false }, fallback: PERSON, ...agent };
  const cluster = new Cluster(more as never);
  cluster.modelMap.m = {
    think: ({ step }) =>
      Promise.resolve(
        scripted({
          action: 'tool_call',
          calls: step === 1 ? [{ tool: 'look', args: {} }] : tools.map((tool) => ({ tool, args: { step } })),
        }),
      ),
  };
  cluster.tools
    .add('look', () => 'half of it')
    .add('broken', (args) => {
      throw new AppError('not_found', `no order at step ${String(args.step)}`);
    })
    .add('hangs', () => new Promise<never>(() => {}))
    .add('slow', () => cluster.clock.now());
  return cluster;
}

const items = (cluster: Cluster) =>
  cluster.last('HUMAN', 'proctor.human.*.*.0', (text) => HumanItem.parse(JSON.parse(text)));

describe('a run whose calls keep failing', () => {
  it('is queued for a person with the steps and the error that ended it', async () => {
    const cluster = desk(['broken']);
    const log = recordingLog();
    await cluster.node('n1', { log });
    await cluster.submit({ input: 'order 7' }, 'desk');
    const result = await cluster.result();
    const link = {
      kind: 'tool',
      to: 'person',
      queue: 'support',
      error: { code: 'not_found', message: 'no order at step 4' },
    };
    expect(result).toMatchObject({
      status: 'failed',
      outcome: 'failure',
      code: 'queued_for_human',
      partial: 'half of it',
      steps: 4,
      fallbacks: [link],
      notice: 'A person will look at this.',
      error: { code: 'queued_for_human', reason: 'the task is queued for a person: no order at step 4' },
    });
    expect(result.step_log.map(({ calls }) => calls[0]?.status)).toEqual(['ok', 'error', 'error', 'error']);
    expect(await items(cluster)).toMatchObject([
      { run: result.run, queue: 'support', task: '"order 7"', partial: '"half of it"', errors: [link] },
    ]);
    expect((await items(cluster))[0]?.steps.at(-1)?.calls[0]).toMatchObject({ tool: 'broken', status: 'error' });
    expect(log.lines.filter(({ event }) => event === 'using_fallback').map(({ fields }) => fields)).toMatchObject([
      { error_kind: 'tool', code: 'not_found', to: 'the queue support of people' },
    ]);
  });

  it('also when another call of the last step was a success, after the one that failed', async () => {
    const cluster = desk(['broken', 'slow'], { limits: { failing_steps: 1 } });
    let done = () => {};
    cluster.tools.add('slow', () => new Promise<null>((resolve) => (done = () => resolve(null))));
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'desk');
    await cluster.until('calls', async () => cluster.tools.calls.length === 3);
    await cluster.clock.advance(100);
    done();
    expect(await cluster.result()).toMatchObject({
      code: 'queued_for_human',
      fallbacks: [{ kind: 'tool', error: { code: 'not_found' } }],
    });
  });

  it('is queued by the chart only with its last call: the same journal, read again, ends the same', async () => {
    const cluster = desk(['broken']);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'desk');
    const { run } = await cluster.result();
    const entries = await cluster.entries(run);
    const fold = (change = (entry: (typeof entries)[number]) => entry) => {
      const again = new RunFold();
      for (const entry of entries) again.fold(change(entry));
      return again.path;
    };
    expect(fold()).toBe('failed.queued_for_human');
    // As nodes before wrote it.
    const without = (entry: (typeof entries)[number]) => ({
      ...entry,
      v: 3 as const,
      events: entry.events.filter(({ type }) => type !== 'using_fallback'),
    });
    expect(fold(without)).toBe('failed.max_retries');
  });

  it('is not when only a gate said no', async () => {
    const cluster = desk(['unknown_tool']);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'desk');
    const result = await cluster.result();
    expect(result).toMatchObject({ code: 'max_retries' });
    expect(result).not.toHaveProperty('fallbacks');
    expect(await items(cluster)).toEqual([]);
  });
});

describe('a run that is out of time', () => {
  it('is queued for a person with what was found', async () => {
    const cluster = desk(['hangs'], { limits: { wall_ms: 20_000 } });
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'desk');
    const result = await cluster.result();
    const error = { code: 'timeout', message: 'the run used its 20000 ms' };
    expect(result).toMatchObject({
      code: 'queued_for_human',
      partial: 'half of it',
      fallbacks: [{ kind: 'time', to: 'person', queue: 'support', error }],
    });
    expect(await items(cluster)).toMatchObject([{ run: result.run, errors: [{ kind: 'time', error }] }]);
  });

  it('also when its node died, and another one finds it too late', async () => {
    const cluster = desk(['hangs'], { limits: { wall_ms: 20_000 } });
    const first = await cluster.node();
    await cluster.submit({ input: 'x' }, 'desk');
    await cluster.until('call', async () => cluster.tools.calls.some(({ tool }) => tool === 'hangs'));
    first.kill();
    await cluster.clock.advance(30_000);
    await cluster.node('n2');
    expect(await cluster.result()).toMatchObject({ code: 'queued_for_human', fallbacks: [{ kind: 'time' }] });
    expect(await items(cluster)).toHaveLength(1);
  });

  it('also while the model is asked', async () => {
    const cluster = desk([], { limits: { wall_ms: 20_000 } });
    cluster.modelMap.m = { think: () => new Promise(() => {}) };
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'desk');
    expect(await cluster.result()).toMatchObject({ code: 'queued_for_human', fallbacks: [{ kind: 'time' }] });
  });
});

describe('nobody is asked', () => {
  it.each([
    ['max_retries', 'broken', {}],
    ['timeout', 'hangs', { wall_ms: 20_000 }],
  ])('where the agent names no people: it ends %s', async (code, tool, limits) => {
    const cluster = desk([tool], { fallback: { models: [] }, limits });
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'desk');
    const result = await cluster.result();
    expect(result).toMatchObject({ code });
    expect(result).not.toHaveProperty('fallbacks');
    expect(await items(cluster)).toEqual([]);
  });

  it('about a run that is cancelled, in the moment when its time is over', async () => {
    const cluster = desk(['hangs'], { limits: { wall_ms: 20_000 } });
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'desk');
    await cluster.until('call', async () => cluster.tools.calls.some(({ tool }) => tool === 'hangs'));
    const [status] = await cluster.statuses();
    const body = JSON.stringify({ run: status?.run, by: 'olga', why: 'enough' });
    await cluster.client.request(cluster.subjects.api('cancel'), body, { timeoutMs: 5_000 });
    await cluster.clock.advance(30_000);
    const result = await cluster.result();
    expect(result).toMatchObject({ code: 'cancelled' });
    expect(result).not.toHaveProperty('fallbacks');
    expect(await items(cluster)).toEqual([]);
  });

  it('about a run that goes round in circles', async () => {
    const cluster = desk([], { loops: undefined, limits: { failing_steps: 100 } });
    cluster.modelMap.m = {
      think: () => Promise.resolve(scripted({ action: 'tool_call', calls: [{ tool: 'look', args: {} }] })),
    };
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'desk');
    const { code } = await cluster.result();
    expect(code).toBe('loop_detected');
    expect(await items(cluster)).toEqual([]);
  });
});
