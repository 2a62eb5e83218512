import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import type { Json } from '../../src/core/json.ts';
import { DEFAULT_LIMITS } from '../../src/core/limits.ts';
import type { ThinkInput, WindowStep } from '../../src/ports/model.ts';
import { addApprover, decide, request } from './approval-support.ts';
import { Cluster } from './support.ts';

/** A price that holds for a minute, and what is bought at it (TOOL-9). */

type Step = { tool: string; args?: Record<string, Json>; afterMs?: number };

/** A model that makes these calls one after the other, each after its time has passed, and keeps what it saw. */
function played(cluster: Cluster, steps: Step[]) {
  const windows: WindowStep[][] = [];
  cluster.modelMap.ai = {
    think: async (input: ThinkInput) => {
      windows.push(await input.window());
      const next = steps[input.step - 1];
      if (next === undefined) return scripted({ action: 'final_answer', answer: 'done' });
      const { tool, args = {}, afterMs = 0 } = next;
      if (afterMs > 0) await new Promise<void>((resolve) => void cluster.clock.after(afterMs, resolve));
      return scripted({ action: 'tool_call', calls: [{ tool, args }] });
    },
  };
  return windows;
}

function shop(more: { requires_approval?: boolean; depends_on?: string[] } = {}) {
  const cluster = new Cluster({
    name: 'ai',
    model: 'ai',
    retry_backoff_ms: 0,
    limits: { ...DEFAULT_LIMITS, step_ms: 100_000 },
  });
  let price = 100;
  cluster.tools.add('price', () => price++, { effect: 'read', valid_ms: 60_000 });
  cluster.tools.add('stock', () => 7, { effect: 'read' });
  cluster.tools.add('buy', (args) => args, { effect: 'write', ...more });
  return cluster;
}

const callsOf = (cluster: Cluster) => cluster.tools.calls.map(({ tool }) => tool);
const lastOf = (windows: WindowStep[][]) => (windows.at(-1) ?? []).map(({ observations }) => observations[0]);

describe('a result that may be acted on for a time only', () => {
  it('is acted on within it', async () => {
    const cluster = shop();
    played(cluster, [{ tool: 'price' }, { tool: 'buy', afterMs: 50_000 }]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    expect((await cluster.result()).code).toBe('completed');
    expect(callsOf(cluster)).toEqual(['price', 'buy']);
  });

  it('is fetched again before a call that does more than read; the model sees its age and is told', async () => {
    const cluster = shop();
    const windows = played(cluster, [
      { tool: 'price' },
      { tool: 'stock', afterMs: 70_000 },
      { tool: 'buy' },
      { tool: 'price' },
      { tool: 'buy' },
    ]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const { run, code } = await cluster.result();
    expect(code).toBe('completed');
    expect(callsOf(cluster)).toEqual(['price', 'stock', 'price', 'buy']);
    const seen = lastOf(windows);
    expect(seen[0]).toMatchObject({ status: 'ok', valid_ms: 60_000, stale: true, at: expect.any(Number) });
    expect(seen[1]).not.toHaveProperty('stale');
    expect(seen[2]).toMatchObject({ status: 'refused', error: { code: 'stale_result' } });
    expect(seen[2]?.error?.message).toMatch(/^the result of price \{\} is 7\d(\.\d)? s old .* call price again/);
    expect(seen[3]).not.toHaveProperty('stale');
    // The journal says how long it holds, beside the call.
    const planned = (await cluster.entries(run)).flatMap(({ events }) =>
      events.flatMap((event) => (event.type === 'decided' ? (event.calls ?? []) : [])),
    );
    expect(planned[0]).toMatchObject({ tool: 'price', valid_ms: 60_000 });
  });

  it('stays too old when fetching it again fails', async () => {
    const cluster = shop();
    let fails = false;
    cluster.tools.add(
      'price',
      () => {
        if (fails) throw new Error('no connection');
        fails = true;
        return 1;
      },
      { effect: 'read', valid_ms: 60_000 },
    );
    const windows = played(cluster, [{ tool: 'price' }, { tool: 'price', afterMs: 70_000 }, { tool: 'buy' }]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    expect((await cluster.result()).code).toBe('completed');
    expect(callsOf(cluster)).not.toContain('buy');
    expect(lastOf(windows)[2]?.error?.code).toBe('stale_result');
  });

  it('is nothing to a tool that depends on others', async () => {
    const cluster = shop({ depends_on: ['stock'] });
    played(cluster, [{ tool: 'price' }, { tool: 'buy', afterMs: 70_000 }]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    expect((await cluster.result()).code).toBe('completed');
    expect(callsOf(cluster)).toEqual(['price', 'buy']);
  });

  it('is too old when the approval comes after its validity: the call is not made', async () => {
    const cluster = shop({ requires_approval: true });
    const windows = played(cluster, [{ tool: 'price' }, { tool: 'buy' }]);
    await cluster.node();
    const alice = await addApprover(cluster, 'alice');
    await cluster.submit({ input: 'x' }, 'ai');
    const asked = await request(cluster);
    await cluster.clock.advance(90_000);
    await decide(cluster, asked, alice);
    const { code, run } = await cluster.result();
    expect(code).toBe('completed');
    expect(callsOf(cluster)).toEqual(['price']);
    expect(lastOf(windows)[1]).toMatchObject({ status: 'error', error: { code: 'stale_result' } });
    const types = (await cluster.entries(run)).flatMap(({ events }) => events.map(({ type }) => type));
    expect(types).toContain('approval_decided');
    expect(types).not.toContain('call_started');
  });

  it('an approval within the validity is in time', async () => {
    const cluster = shop({ requires_approval: true });
    played(cluster, [{ tool: 'price' }, { tool: 'buy' }]);
    await cluster.node();
    const alice = await addApprover(cluster, 'alice');
    await cluster.submit({ input: 'x' }, 'ai');
    const asked = await request(cluster);
    await cluster.clock.advance(20_000);
    await decide(cluster, asked, alice);
    expect((await cluster.result()).code).toBe('completed');
    expect(callsOf(cluster)).toEqual(['price', 'buy']);
  });

  it('costs a run without such tools nothing: its steps are not marked', async () => {
    const cluster = shop();
    played(cluster, [{ tool: 'stock' }, { tool: 'buy' }]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const { run } = await cluster.result();
    expect(JSON.stringify(await cluster.entries(run))).not.toMatch(/valid_ms|perishable|stale/);
  });
});
