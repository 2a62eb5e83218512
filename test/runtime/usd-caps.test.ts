import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import type { RunEventOf } from '../../src/core/events.ts';
import type { Json } from '../../src/core/json.ts';
import { LedgerEntry } from '../../src/core/ledger-wire.ts';
import { DEFAULT_LIMITS } from '../../src/core/limits.ts';
import type { QuotasInput } from '../../src/core/quotas.ts';
import type { ToolDefinition } from '../../src/core/tool.ts';
import { Cluster, type TestNode } from './support.ts';

const LIMITS = { ...DEFAULT_LIMITS, wall_ms: 86_400_000 };
const USD = 1_000_000_000;
const entries = (on: Cluster) => on.last('LEDGER', '>', (text) => LedgerEntry.parse(JSON.parse(text)));

/** A tool that pays, and what it paid. */
function paying(definition: Partial<ToolDefinition> = { amount_field: 'order.total' }) {
  const cluster = new Cluster({ name: 'long', limits: LIMITS });
  const paid: Json[] = [];
  cluster.tools.add('pay', (args) => paid.push(args), definition);
  return { cluster, paid };
}

const capped = (usd: number, more: object = {}): QuotasInput => ({ caps: [{ for: 'tool:pay', usd, ...more }] });

/** A run that pays once for each of the arguments, one after the other. */
function payments(...args: Record<string, Json>[]) {
  const steps = args.map((one, i) => ({ id: `s${i}`, tool: 'pay', args: one, after: i === 0 ? [] : [`s${i - 1}`] }));
  return { input: 'x', plan: { steps } };
}

const total = (usd: Json) => ({ order: { total: usd } });

function account(on: Cluster, { deps }: TestNode, scope = 'cap:tool:pay') {
  return deps.ledger.ledger.accounts.read({ scope, period: 'hour' }, on.clock.now());
}

async function failedCalls(on: Cluster): Promise<RunEventOf<'call_failed'>[]> {
  const runs = [...(await on.statuses())].map(({ run }) => run);
  const events = (await Promise.all(runs.map((run) => on.entries(run)))).flat().flatMap((entry) => entry.events);
  return events.filter((event) => event.type === 'call_failed');
}

describe('a cap in USD', () => {
  it("TOOL-13: counts the amounts of a tool's calls over all runs and nodes, and pauses it until the next full hour", async () => {
    const { cluster, paid } = paying();
    const nodes = [
      await cluster.node('n1', { quotas: capped(100) }),
      await cluster.node('n2', { quotas: capped(100) }),
    ];
    await cluster.submit(payments(total(40), total(20.5)), 'long');
    await cluster.until('two payments', async () => paid.length === 2, 10_000);
    await cluster.submit(payments(total(40)), 'long');
    await cluster.clock.advance(60_000);
    expect(paid).toHaveLength(2);
    for (const node of nodes) expect(account(cluster, node).spent).toEqual({ nanos: 60.5 * USD, tokens: 0, count: 2 });
    const held = (await cluster.statuses()).find(({ state }) => !state.startsWith('completed'));
    const retries = (await cluster.entries(held?.run ?? '')).flatMap(({ events }) => events);
    expect(retries.find(({ type }) => type === 'call_retry')).toMatchObject({
      error: { code: 'cap_reached', message: expect.stringContaining('100 USD an hour') },
      not_before: Date.parse('2026-01-01T01:00:00Z'),
    });
    await cluster.until('all', async () => (await cluster.results()).length === 2, 7_200_000, 30_000);
    expect(paid).toHaveLength(3);
    expect((await cluster.results()).map(({ status }) => status)).toEqual(['completed', 'completed']);
  });

  it.each([
    ['is missing', {}, 'is missing'],
    ['is no number', total('40'), 'is a text'],
    ['is negative', total(-40), 'is -40'],
  ])(
    'TOOL-13: fails closed: a call whose amount %s is refused, with the field and what was expected',
    async (_what, args, words) => {
      // Where the tool names its amount itself, somebody is asked before for one that is no number (APPR-1).
      const { cluster, paid } = paying({});
      await cluster.node('n1', { quotas: capped(100, { amount_field: 'order.total' }) });
      await cluster.submit(payments(args), 'long');
      await cluster.result();
      expect(paid).toEqual([]);
      const [failed, ...more] = await failedCalls(cluster);
      expect(more).toEqual([]);
      expect(failed?.error).toMatchObject({
        code: 'amount_unknown',
        field: 'order.total',
        retryable: false,
        message: expect.stringContaining(`order.total ${words}; expected a number of USD`),
      });
      expect(await entries(cluster)).toEqual([]);
    },
  );

  it('refuses all calls of a tool of which nobody says what the amount is, and only where a cap needs it', async () => {
    const { cluster, paid } = paying({});
    await cluster.node('n1', { quotas: capped(100) });
    await cluster.submit(payments(total(1)), 'long');
    await cluster.result();
    expect((await failedCalls(cluster)).map(({ error }) => error.code)).toEqual(['amount_unknown']);
    const other = paying({});
    await other.cluster.node('n1', { quotas: { caps: [{ for: 'tool:pay', calls: 1 }] } });
    await other.cluster.submit(payments(total(1)), 'long');
    expect(await other.cluster.result()).toMatchObject({ status: 'completed' });
    expect([paid.length, other.paid.length]).toEqual([0, 1]);
  });

  it('goes by the argument that it names itself, whatever the tool says', async () => {
    const { cluster, paid } = paying({ amount_field: 'order.total' });
    const node = await cluster.node('n1', { quotas: capped(10, { amount_field: 'fee' }) });
    await cluster.submit(payments({ ...total(500), fee: 3 }), 'long');
    await cluster.submit(payments({ ...total(500), fee: 6 }), 'long');
    await cluster.until('both', async () => (await cluster.results()).length === 2);
    expect(paid).toHaveLength(2);
    expect(account(cluster, node, 'cap:tool:pay fee').spent).toMatchObject({ nanos: 9 * USD });
  });

  it('refuses at once a call that is more than an hour may have: it would wait for ever', async () => {
    const { cluster, paid } = paying();
    await cluster.node('n1', { quotas: capped(100) });
    await cluster.submit(payments(total(100.01)), 'long');
    await cluster.submit(payments(total(1_000)), 'long');
    await cluster.until('both', async () => (await cluster.results()).length === 2);
    expect(paid).toEqual([]);
    for (const { error } of await failedCalls(cluster)) {
      expect(error).toMatchObject({ code: 'cap_reached', retryable: false, suggestion: expect.any(String) });
    }
    expect(await failedCalls(cluster)).toHaveLength(2);
    expect(await entries(cluster)).toEqual([]);
  });

  it('is given back when a later gate refuses the call', async () => {
    const { cluster, paid } = paying();
    const rates = [{ for: 'tool:pay', capacity: 1, every_ms: 3_600_000 }];
    const node = await cluster.node('n1', { quotas: { ...capped(100), rates } });
    await cluster.submit(payments(total(40), total(50)), 'long');
    await cluster.until('a payment and a wait', async () => {
      const kinds = (await entries(cluster)).map(({ kind }) => kind);
      return kinds.filter((kind) => kind === 'settle').length === 2;
    });
    expect(paid).toHaveLength(1);
    expect(account(cluster, node)).toMatchObject({
      spent: { nanos: 40 * USD, count: 1 },
      held: { nanos: 0, count: 0 },
    });
  });

  it('is charged by the next owner what a node had reserved that died before the call', async () => {
    const { cluster, paid } = paying();
    const dying = await cluster.node('n1', { quotas: capped(100) });
    cluster.broker.intercept = ({ kind, node, subject }) => {
      if (kind === 'publish' && node === 'n1' && subject.startsWith('proctor.ledger.reserve.')) dying.kill();
      return 'ok';
    };
    await cluster.submit(payments(total(30)), 'long');
    await cluster.until('a death', async () => dying.dead);
    const next = await cluster.node('n2', { quotas: capped(100) });
    expect(await cluster.result()).toMatchObject({ status: 'completed' });
    expect(paid).toHaveLength(1);
    expect((await entries(cluster)).map(({ kind }) => kind)).toEqual(['reserve', 'lost', 'reserve', 'settle']);
    expect(account(cluster, next)).toMatchObject({ spent: { nanos: 60 * USD, count: 2 }, held: { nanos: 0 } });
  });

  it('is charged what a call that must not be repeated would move, when its node died over it', async () => {
    const { cluster, paid } = paying({ amount_field: 'order.total', idempotent: false });
    const dying = await cluster.node('n1', { quotas: capped(100), dieAt: (point) => point === 'call.returned' });
    await cluster.submit(payments(total(30)), 'long');
    await cluster.until('a death', async () => dying.dead);
    const next = await cluster.node('n2', { quotas: capped(100) });
    await cluster.until('its charge', async () => (await entries(cluster)).some(({ kind }) => kind === 'lost'));
    expect(paid).toHaveLength(1);
    expect(account(cluster, next)).toMatchObject({ spent: { nanos: 30 * USD, count: 1 }, held: { nanos: 0 } });
  });

  it('of a model that is reached makes an agent with another model go on with that one at once', async () => {
    const fallback = { models: [{ model: 'near' }] };
    const cluster = new Cluster({ name: 'asking', model: 'far', limits: LIMITS, fallback } as never);
    const answer = scripted({ action: 'final_answer', answer: 'near' });
    cluster.modelMap.far = scriptedModel([]);
    cluster.modelMap.near = scriptedModel([answer]);
    const node = await cluster.node('n1', { quotas: { caps: [{ for: 'model:far', calls: 1 }] } });
    const account = { scope: 'cap:model:far', period: 'hour' as const, max_count: 1 };
    const entry = { v: 1 as const, kind: 'reserve' as const, id: 'of another', run: 'r', epoch: 0 };
    const amount = { nanos: 0, tokens: 0, count: 1 };
    await node.deps.ledger.reserve({ ...entry, until: Number.MAX_SAFE_INTEGER, amount, accounts: [account] });
    await cluster.submit({ input: 'x' }, 'asking');
    expect(await cluster.result(60_000)).toMatchObject({ answer: 'near' });
  });

  it('of a model counts what its calls cost, and makes runs wait for the next hour', async () => {
    const cluster = new Cluster({ name: 'asking', model: 'far', limits: { ...LIMITS, output_tokens_per_step: 1_000 } });
    cluster.prices = [{ model: 'far', from: '2020-01-01', input: 1_000, output: 1_000 }];
    const asked: number[] = [];
    const model = scriptedModel([
      scripted({ action: 'final_answer', answer: 1 }, { input_tokens: 500, output_tokens: 500, cost_usd: 1 }),
      scripted({ action: 'final_answer', answer: 2 }, { input_tokens: 500, output_tokens: 500, cost_usd: 1 }),
    ]);
    cluster.modelMap.far = {
      think: (input) => {
        asked.push(cluster.clock.now());
        return model.think(input);
      },
    };
    const quotas = { users: { '*': {} }, caps: [{ for: 'model:*', usd: 2.5 }] };
    const node = await cluster.node('n1', { quotas });
    await cluster.submit({ input: 'x' }, 'asking');
    await cluster.until('an end', async () => (await cluster.results()).length === 1);
    // A little more than 2 USD was reserved, 1 is charged: a second does not fit.
    expect(account(cluster, node, 'cap:model:far').spent).toEqual({ nanos: USD, tokens: 0, count: 1 });
    await cluster.submit({ input: 'x' }, 'asking');
    await cluster.until('both', async () => (await cluster.results()).length === 2, 7_200_000, 30_000);
    expect((await cluster.results()).map(({ status }) => status)).toEqual(['completed', 'completed']);
    expect(asked[1]).toBeGreaterThanOrEqual(Date.parse('2026-01-01T01:00:00Z'));
  });
});
