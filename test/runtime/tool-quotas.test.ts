import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import type { RunEvent } from '../../src/core/events.ts';
import { LedgerEntry } from '../../src/core/ledger-wire.ts';
import { DEFAULT_LIMITS } from '../../src/core/limits.ts';
import { Cluster, chain, recordingLog } from './support.ts';

const entries = (on: Cluster) => on.last('LEDGER', '>', (text) => LedgerEntry.parse(JSON.parse(text)));

async function events(cluster: Cluster, run: string): Promise<RunEvent[]> {
  return (await cluster.entries(run)).flatMap((entry) => entry.events);
}

/** Steps that do not wait for each other: all calls of one step. */
function apart(count: number, tool: string) {
  return { input: 'x', plan: { steps: Array.from({ length: count }, (_, i) => ({ id: `s${i}`, tool, args: { i } })) } };
}

describe('a tool with a rate', () => {
  it('TOOL-8: that is used up makes the run wait, not fail; all nodes draw on one bucket', async () => {
    const cluster = new Cluster();
    const made: number[] = [];
    cluster.tools.add('mail', () => made.push(cluster.clock.now()));
    const quotas = { rates: [{ for: 'tool:mail', capacity: 2, every_ms: 60_000 }] };
    await cluster.node('n1', { quotas, settings: { slots: 1 } });
    await cluster.node('n2', { quotas, settings: { slots: 1 } });
    const began = cluster.clock.now();
    await cluster.submit(chain(2, 'mail'));
    await cluster.submit(chain(2, 'mail'));
    await cluster.until('both', async () => (await cluster.results()).length === 2);
    expect((await cluster.results()).map(({ status }) => status)).toEqual(['completed', 'completed']);
    expect(made).toHaveLength(4);
    expect((made[2] ?? 0) - began).toBeGreaterThan(59_000);
    expect((made[3] ?? 0) - (made[2] ?? 0)).toBeGreaterThan(50_000);
    const run = (await cluster.results())[0]?.run ?? '';
    const held = (await cluster.statuses()).find((one) => one.run === run);
    expect(held?.state).toBe('completed.answered');
  });

  it('is parked meanwhile, and a short wait costs no entry of its journal', async () => {
    const cluster = new Cluster();
    cluster.tools.add('fast', () => 'ok');
    await cluster.node('n1', { quotas: { rates: [{ for: 'tool:*', per: 'user', capacity: 1, every_ms: 500 }] } });
    await cluster.submit(chain(4, 'fast'));
    const result = await cluster.result();
    expect(result.status).toBe('completed');
    expect((await events(cluster, result.run)).filter(({ type }) => type === 'call_retry')).toEqual([]);
    const takes = (await entries(cluster)).filter(({ kind }) => kind === 'take');
    expect(takes.length).toBeGreaterThan(4);
    expect(takes[0]).toMatchObject({ buckets: [{ scope: 'tool:fast user:u' }] });
  });
});

describe('a model with a rate', () => {
  it('TOOL-8: is asked when there is a token, however long that takes, and no step fails over it', async () => {
    const cluster = new Cluster({ name: 'asking', model: 'far', limits: { ...DEFAULT_LIMITS, wall_ms: 86_400_000 } });
    const asked: number[] = [];
    cluster.modelMap.far = {
      think: () => {
        asked.push(cluster.clock.now());
        return Promise.resolve(scripted({ action: 'final_answer', answer: 'ok' }));
      },
    };
    await cluster.node('n1', { quotas: { rates: [{ for: 'model:far', capacity: 1, every_ms: 10_000 }] } });
    for (let i = 0; i < 8; i++) await cluster.submit({ input: 'x' }, 'asking');
    await cluster.until('all', async () => (await cluster.results()).length === 8, 600_000);
    expect((await cluster.results()).every(({ status }) => status === 'completed')).toBe(true);
    expect((asked[7] ?? 0) - (asked[0] ?? 0)).toBeGreaterThanOrEqual(70_000);
  });
});

describe('a cap', () => {
  it('TOOL-13: pauses the tool for all runs until the next full hour', async () => {
    const cluster = new Cluster({ name: 'long', limits: { ...DEFAULT_LIMITS, wall_ms: 86_400_000 } });
    const made: number[] = [];
    cluster.tools.add('delete_row', () => made.push(cluster.clock.now()), { idempotent: false });
    await cluster.node('n1', { quotas: { caps: [{ for: 'tool:delete_*', calls: 3 }] } });
    await cluster.submit(apart(5, 'delete_row'), 'long');
    await cluster.until('three calls', async () => made.length === 3, 10_000);
    await cluster.clock.advance(60_000);
    expect(made).toHaveLength(3);
    const { run } = (await cluster.statuses())[0] ?? { run: '' };
    const waits = (await events(cluster, run)).filter((event) => event.type === 'call_retry');
    expect(waits[0]).toMatchObject({ error: { code: 'cap_reached' }, not_before: Date.parse('2026-01-01T01:00:00Z') });
  });
});

describe('a circuit breaker', () => {
  const failing = () => {
    // Three tries a run: one step may fail.
    const cluster = new Cluster({ name: 'once', limits: { ...DEFAULT_LIMITS, failing_steps: 1 } });
    const state = { down: true };
    cluster.tools.add('flaky', () => {
      if (state.down) throw new AppError('tool_crash', 'gone', { retryable: true });
      return 'ok';
    });
    return { cluster, state };
  };

  it('TOOL-7: opens after 5 failures in a row, over all runs and nodes, and the model is told to do without', async () => {
    const { cluster } = failing();
    const log = recordingLog();
    const nodes = [await cluster.node('n1', { log }), await cluster.node('n2', { log })];
    await cluster.submit(apart(1, 'flaky'), 'once');
    await cluster.result();
    await cluster.submit(apart(1, 'flaky'), 'once');
    await cluster.until('both', async () => (await cluster.results()).length === 2);
    expect(cluster.tools.calls).toHaveLength(5);
    for (const node of nodes) expect(node.deps.ledger.ledger.breakers.get('tool:flaky').state).toBe('open');
    expect(log.lines.filter(({ event }) => event === 'breaker.opened')).toHaveLength(1);
    const failed = (await Promise.all((await cluster.results()).map(({ run }) => events(cluster, run)))).flat();
    const open = failed.find((event) => event.type === 'call_failed' && event.error.code === 'circuit_open');
    expect(open).toMatchObject({ error: { suggestion: expect.stringContaining('without its result') } });
  });

  it('lets probes through after its time, two successes close it, and a failure opens it again', async () => {
    const { cluster, state } = failing();
    const node = await cluster.node();
    const breaker = () => node.deps.ledger.ledger.breakers.get('tool:flaky');
    const run = async () => {
      const before = (await cluster.results()).length;
      await cluster.submit(apart(1, 'flaky'), 'once');
      await cluster.until('an end', async () => (await cluster.results()).length > before, 600_000, 5);
    };
    await run();
    await run();
    expect(breaker().state).toBe('open');
    await cluster.clock.advance(60_000);
    const before = cluster.tools.calls.length;
    await run();
    expect(cluster.tools.calls).toHaveLength(before + 1);
    expect(breaker().state).toBe('open');
    await cluster.clock.advance(60_000);
    state.down = false;
    await run();
    expect(breaker()).toMatchObject({ state: 'half_open', successes: 1 });
    await run();
    expect(breaker().state).toBe('closed');
  });

  it('does not count what is the fault of the caller, and a success ends a row of failures', async () => {
    const cluster = new Cluster();
    let times = 0;
    cluster.tools.add('odd', () => {
      times++;
      if (times <= 8) throw new AppError('tool_error', 'no such file');
      if (times <= 12) throw new AppError('bad_result', 'nonsense');
      return 'ok';
    });
    const node = await cluster.node();
    const breaker = () => node.deps.ledger.ledger.breakers.get('tool:odd');
    for (let i = 1; i <= 13; i++) {
      await cluster.submit(apart(1, 'odd'));
      await cluster.until('an end', async () => (await cluster.results()).length === i);
      if (i === 8) expect(await entries(cluster)).toEqual([]);
      if (i === 12) expect(breaker()).toMatchObject({ state: 'closed', failures: 4 });
    }
    expect(times).toBe(13);
    expect(breaker().failures).toBe(0);
  });

  it('of a model makes its runs wait until it may be tried', async () => {
    const cluster = new Cluster({ name: 'asking', model: 'far', retry_backoff_ms: 100 });
    const down = new AppError('model_unavailable', 'no answer', { retryable: true });
    const asked: number[] = [];
    const say = scriptedModel([down, down, down, scripted({ action: 'final_answer', answer: 'back' })]);
    cluster.modelMap.far = {
      think: (input) => {
        asked.push(cluster.clock.now());
        return say.think(input);
      },
    };
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'asking');
    expect(await cluster.result()).toMatchObject({ status: 'completed', answer: 'back' });
    expect(asked).toHaveLength(4);
    expect((asked[3] ?? 0) - (asked[2] ?? 0)).toBeGreaterThanOrEqual(30_000);
  });

  it('may be switched off for a tool', async () => {
    const { cluster } = failing();
    const quotas = { breakers: [{ for: 'tool:fl*', rule: null }] };
    await cluster.node('n1', { quotas });
    await cluster.submit(apart(1, 'flaky'), 'once');
    await cluster.submit(apart(1, 'flaky'), 'once');
    await cluster.until('both', async () => (await cluster.results()).length === 2);
    expect(cluster.tools.calls).toHaveLength(6);
    expect(await entries(cluster)).toEqual([]);
  });
});
