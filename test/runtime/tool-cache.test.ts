import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { StoredResult } from '../../src/core/blob.ts';
import { DecisionTrace } from '../../src/core/decision-trace.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Json } from '../../src/core/json.ts';
import { Policy } from '../../src/core/policy.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import { parseAnnouncement } from '../../src/core/tool-wire.ts';
import type { ThinkInput, WindowStep } from '../../src/ports/model.ts';
import type { Metrics } from '../../src/ports/telemetry.ts';
import { listTools } from '../../src/runtime/cluster-doors.ts';
import { nodeReports } from '../../src/runtime/node-reports.ts';
import { clientOf, drive } from '../client/support.ts';
import { Cluster } from './support.ts';

/** Results that answer equal calls (TOOL-10). */

type Call = { tool: string; args?: Record<string, Json> };

/** An agent that makes the calls that its task lists, one after the other. */
function cluster(...more: object[]) {
  const made = new Cluster({ name: 'ai', model: 'ai', retry_backoff_ms: 0 }, ...more);
  const windows: WindowStep[][] = [];
  made.modelMap.ai = {
    think: async (input: ThinkInput) => {
      windows.push(await input.window());
      const next = (input.task.input as unknown as Call[])[input.step - 1];
      return next === undefined
        ? scripted({ action: 'final_answer', answer: 'done' })
        : scripted({ action: 'tool_call', calls: [{ tool: next.tool, args: next.args ?? {} }] });
    },
  };
  let rate = 1;
  made.tools.add('rate', () => ({ rate: rate++ }), { effect: 'read', cache_ms: 60_000, idempotent: false });
  return { on: made, windows };
}

async function run(on: Cluster, calls: Call[], user = 'u', agent = 'ai') {
  const before = new Set((await on.results()).map((one) => one.run));
  await on.submit({ input: calls }, agent, user);
  return on.until('its result', async () => (await on.results()).find((one) => !before.has(one.run)));
}

const lastOf = (windows: WindowStep[][]) => (windows.at(-1) ?? []).map(({ observations }) => observations[0]);

describe('a tool that says how long its results answer equal calls', () => {
  it('is called once; the model, the journal, the trace and the figures say what came from the cache', async () => {
    const { on, windows } = cluster();
    const counted: unknown[] = [];
    const metrics = new Proxy({} as Metrics, {
      get: (_, name) => (labels: unknown) => {
        if (name === 'toolCache') counted.push(labels);
        return () => {};
      },
    });
    const { deps } = await on.node('n1', { telemetry: { tracing: null, metrics } });
    const done = await run(on, [
      { tool: 'rate', args: { of: 'EUR', to: 'USD' } },
      { tool: 'rate', args: { to: 'USD', of: 'EUR' } },
      { tool: 'rate', args: { of: 'EUR', to: 'CHF' } },
    ]);
    expect(done.code).toBe('completed');
    expect(on.tools.calls.map(({ args }) => args.to)).toEqual(['USD', 'CHF']);

    const seen = lastOf(windows);
    expect(seen.map((one) => one?.result)).toEqual([{ rate: 1 }, { rate: 1 }, { rate: 2 }]);
    expect(seen.map((one) => one?.cached)).toEqual([undefined, true, undefined]);
    expect(seen[1]?.at).toBeLessThanOrEqual(seen[0]?.at ?? 0);

    const events = (await on.entries(done.run)).flatMap((entry) => entry.events);
    const ends = events.filter((event) => event.type === 'call_done');
    expect(ends.map(({ cached }) => cached)).toEqual([undefined, { at: seen[1]?.at }, undefined]);
    // What is not called needs no word in the journal before it.
    expect(events.filter(({ type }) => type === 'call_started')).toHaveLength(2);
    const trace = DecisionTrace.parse(await drive(on, clientOf(on).trace(done.run)));
    expect(trace.steps[1]?.calls[0]?.observation.cached_at).toBe(new Date(seen[1]?.at ?? 0).toISOString());
    expect(trace.steps[0]?.calls[0]?.observation).not.toHaveProperty('cached_at');

    expect(counted).toEqual([
      { tool: 'rate', outcome: 'miss' },
      { tool: 'rate', outcome: 'hit' },
      { tool: 'rate', outcome: 'miss' },
    ]);
    const [report] = await drive(on, nodeReports(deps));
    expect(report?.caches).toEqual({ tools: { rate: { hits: 1, misses: 2 } }, answers: { hits: 0, misses: 0 } });
    const { tools } = await drive(on, listTools(deps));
    expect(tools.map(({ name, cache }) => [name, cache])).toEqual([
      ['echo', null],
      ['rate', { hits: 1, misses: 2 }],
    ]);
  });

  it('is called anew when the time is over, for another version, and after an error', async () => {
    const { on } = cluster();
    await on.node();
    await run(on, [{ tool: 'rate' }]);
    await on.clock.advance(60_001);
    await run(on, [{ tool: 'rate' }]);
    expect(on.tools.calls).toHaveLength(2);

    on.tools.add('rate', () => 'new', { effect: 'read', cache_ms: 60_000, version: '2.0.0' });
    await run(on, [{ tool: 'rate' }]);
    expect(on.tools.calls).toHaveLength(3);

    let tries = 0;
    const failing = () => {
      if (tries++ === 0) throw new AppError('tool_error', 'the market is closed');
      return 'open';
    };
    on.tools.add('market', failing, { effect: 'read', cache_ms: 60_000 });
    await run(on, [{ tool: 'market' }, { tool: 'market' }, { tool: 'market' }]);
    expect(tries).toBe(2);
  });

  it('is called for each user, unless it says that its results are for everybody', async () => {
    const { on } = cluster();
    on.tools.add('news', () => 'none', { effect: 'read', cache_ms: 60_000, cache_scope: 'shared' });
    await on.node();
    for (const user of ['u', 'v']) await run(on, [{ tool: 'rate' }, { tool: 'news' }], user);
    expect(on.tools.calls.map(({ tool, user }) => `${tool} ${user}`)).toEqual(['rate u', 'news u', 'rate v']);
  });

  it('costs no room of a rate, and the cache is of the node: another one calls the tool', async () => {
    const { on } = cluster();
    const quotas = { rates: [{ for: 'tool:rate', capacity: 1, every_ms: 3_600_000 }] };
    const first = await on.node('n1', { quotas });
    const done = await run(on, [{ tool: 'rate' }, { tool: 'rate' }, { tool: 'rate' }]);
    expect(done.code).toBe('completed');
    expect(on.tools.calls).toHaveLength(1);
    const waits = (await on.entries(done.run)).flatMap(({ events }) => events.filter((e) => e.type === 'call_retry'));
    expect(waits).toEqual([]);
    await first.node.stop();
    await on.node('n2');
    await run(on, [{ tool: 'rate' }]);
    expect(on.tools.calls).toHaveLength(2);
  });

  it('passes the gates as any call: who may not call the tool gets nothing of it', async () => {
    const { on, windows } = cluster({ name: 'other', model: 'ai', tools: ['echo'] });
    const { deps } = await on.node();
    await run(on, [{ tool: 'rate' }]);
    await run(on, [{ tool: 'rate' }], 'u', 'other');
    expect(lastOf(windows)[0]).toMatchObject({ status: 'refused', error: { code: 'tool_not_listed' } });
    const policy = Policy.parse({
      autonomy: [{ agent: '*', level: 'autonomous' }],
      permissions: [{ id: 'no-rate', tool: 'rate', do: 'deny' }],
    });
    const order = { policy, lines: {}, text: JSON.stringify(policy), by: 'olga', why: '', source: 'test' };
    await drive(on, deps.policies.apply({ ...order, running: false }));
    await run(on, [{ tool: 'rate' }]);
    expect(lastOf(windows)[0]).toMatchObject({ status: 'refused', error: { code: 'not_permitted' } });
    expect(deps.toolResults.figures()).toEqual({ rate: { hits: 0, misses: 1 } });
  });

  it('never answers with what may not be acted on any more', async () => {
    const { on, windows } = cluster();
    let price = 10;
    on.tools.add('price', () => price++, { effect: 'read', cache_ms: 600_000, valid_ms: 30_000 });
    on.tools.add('buy', (args) => args, { effect: 'write' });
    await on.node();
    await run(on, [{ tool: 'price' }]);
    await on.clock.advance(20_000);
    // Fetched 20 s ago for another run: good for ten more.
    await run(on, [{ tool: 'price' }, { tool: 'buy' }]);
    expect(on.tools.calls.map(({ tool }) => tool)).toEqual(['price', 'buy']);
    expect(lastOf(windows)[0]).toMatchObject({ cached: true, valid_ms: 30_000, result: 10 });
    await on.clock.advance(11_000);
    await run(on, [{ tool: 'price' }, { tool: 'buy' }]);
    expect(on.tools.calls.map(({ tool }) => tool)).toEqual(['price', 'buy', 'price', 'buy']);
  });

  it('does not keep a result that lies beside the journal', async () => {
    const { on } = cluster();
    const large = () => new StoredResult({ sha256: 'a'.repeat(64), bytes: 300_000, parts: 1 }, '"begins');
    on.tools.add('dump', large, { effect: 'read', cache_ms: 60_000 });
    await on.node();
    await run(on, [{ tool: 'dump' }, { tool: 'dump' }]);
    expect(on.tools.calls).toHaveLength(2);
  });
});

describe('a definition', () => {
  const written = { name: 't', description: '', parameters: {} };
  const faults = (more: object) => ToolDefinition.safeParse({ ...written, ...more }).error?.issues[0];

  it('may cache only what it reads', () => {
    expect(faults({ cache_ms: 1_000, effect: 'read' })).toBeUndefined();
    expect(faults({ cache_ms: 1_000 })).toMatchObject({
      path: ['cache_ms'],
      message: 'expected nothing, as the effect is write: only results of tools that read are cached',
    });
    expect(faults({ cache_scope: 'shared', effect: 'read' })?.path).toEqual(['cache_scope']);
  });

  it('that caches what it writes is not believed when a worker announces it', () => {
    const definition = JSON.stringify({ ...written, cache_ms: 1_000 });
    const info = { name: 'tool_t', id: 'w', version: '1.0.0', metadata: { 'proctor.definition': definition } };
    const read = () => parseAnnouncement(JSON.stringify(info), 't');
    expect(read).toThrow(expect.objectContaining({ code: 'bad_definition' }));
    expect(read).toThrow(/cache_ms.*only results of tools that read are cached/);
  });
});
