import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import { answer, gate, PayingCluster, PRICE, toolCall, used, WIDE } from './slices-support.ts';
import { recordingLog } from './support.ts';

/** Calls the tool in each step before the last. */
const steps =
  (last: number, tool = 'echo') =>
  ({ step }: { step: number }) =>
    step < last ? toolCall(step, tool) : answer;

describe('a slice of a budget', () => {
  it('COST-2: a run with many calls reserves once and settles once, exactly what they used', async () => {
    const one = new PayingCluster(steps(6));
    const node = await one.node('n1', { quotas: WIDE });
    await one.submit({ input: 'x' }, 'a');
    expect(await one.result()).toMatchObject({ status: 'completed', steps: 6 });
    const entries = await one.ledger();
    expect(entries.map(({ kind }) => kind)).toEqual(['reserve', 'settle']);
    expect(one.asked).toHaveLength(6);
    expect(entries[1]).toMatchObject({ amount: { nanos: one.askedTokens * 1_000, tokens: one.askedTokens } });
    expect(one.account(node)).toMatchObject({ spent: { tokens: one.askedTokens }, held: { nanos: 0, tokens: 0 } });
  });

  it('that is used up is settled, and the next one reserved; never two at once', async () => {
    const one = new PayingCluster(steps(40, 'look'));
    let most = 0;
    one.tools.add('look', (args) => {
      most = Math.max(most, node.deps.ledger.ledger.accounts.open.size);
      return args;
    });
    const agent = one.agents.get('a');
    one.agents.set('a', { ...agent, limits: { ...agent?.limits, steps: 50 } } as never);
    const node = await one.node('n1', { quotas: WIDE });
    await one.submit({ input: 'x' }, 'a');
    expect((await one.result()).status).toBe('completed');
    const kinds = (await one.ledger()).map(({ kind }) => kind);
    expect(kinds.length).toBeGreaterThan(2);
    expect(kinds.length).toBeLessThan(one.asked.length / 2);
    expect(kinds).toEqual(kinds.map((_, i) => (i % 2 === 0 ? 'reserve' : 'settle')));
    expect(most).toBe(1);
    expect(one.account(node)).toMatchObject({ spent: { tokens: one.askedTokens }, held: { tokens: 0 } });
  });

  it('is no more than 2 % of what is left, down to a single call that is settled before it is journalled', async () => {
    const one = new PayingCluster(steps(5, 'look'));
    let open = 0;
    one.tools.add('look', () => {
      open += node.deps.ledger.ledger.accounts.open.size;
      return 1;
    });
    const node = await one.node('n1', { quotas: { users: { '*': { day: { usd: 0.35 } } }, team: { usd: 0.05 } } });
    await one.submit({ input: 'x' }, 'a');
    expect((await one.result()).status).toBe('completed');
    const kinds = (await one.ledger()).map(({ kind }) => kind);
    expect(kinds).toEqual(Array.from({ length: 5 }, () => ['reserve', 'settle']).flat());
    expect(open).toBe(0);
    const wide = new PayingCluster(steps(2));
    await wide.node('n1', { quotas: { users: { '*': { day: { usd: 0.35 } } } } });
    await wide.submit({ input: 'x' }, 'a');
    await wide.result();
    const [slice] = await wide.reserved();
    expect(slice?.amount.nanos).toBeGreaterThan(2 * 2_000_000);
    expect(slice?.amount.nanos).toBeLessThanOrEqual(0.02 * 350_000_000);
  });

  it('that is refused is tried again as a single call', async () => {
    const one = new PayingCluster(steps(2));
    // Others take the most of it between what the node knows when it asks and what the log says.
    const late = await one.node('n1', { quotas: WIDE });
    const estimate = 2_040_000;
    const others = { ...{ v: 1, kind: 'reserve', id: 'others', run: 'r', epoch: 1, until: 9e15 } };
    const accounts = [{ scope: 'user:u', period: 'day', max_nanos: 1e10 }];
    const amount = { nanos: 1e10 - 2 * estimate, tokens: 0, count: 0 };
    const { ledger } = late.deps;
    const honest = ledger.reserve.bind(ledger);
    ledger.reserve = async (entry, look) => {
      const subject = one.subjects.ledgerEntry('reserve', 'others');
      const text = JSON.stringify({ ...others, accounts, amount });
      await one.client.publish(subject, text).catch(() => undefined);
      return honest(entry, look);
    };
    await one.submit({ input: 'x' }, 'a');
    expect((await one.result()).status).toBe('completed');
    const [, slice, single] = await one.reserved();
    expect(slice?.amount.nanos).toBe(8 * (single?.amount.nanos ?? 0));
    expect(one.account(late)).toMatchObject({ spent: { tokens: one.askedTokens } });
  });

  it('is settled before the run parks', async () => {
    const one = new PayingCluster(({ step }) =>
      step === 2 ? { action: 'ask_human', question: 'well?' } : steps(4)({ step }),
    );
    const node = await one.node('n1', { quotas: WIDE, settings: { park_after_ms: 500 } });
    const seen: number[] = [];
    one.broker.intercept = ({ kind, subject, data }) => {
      if (kind === 'publish' && subject.startsWith('proctor.jrn.') && data?.includes('"parked"'))
        seen.push(one.account(node).held.tokens);
      return 'ok';
    };
    await one.submit({ input: 'x' }, 'a');
    await one.until('parked', async () => seen.length > 0);
    expect(seen).toEqual([0]);
  });

  it('is settled when its time is over, also while a tool works; the next call reserves anew', async () => {
    const one = new PayingCluster(steps(3, 'slow'));
    const node = await one.node('n1', { quotas: WIDE });
    const { open, passed } = gate();
    one.tools.add('slow', async () => {
      await passed;
      return 1;
    });
    await one.submit({ input: 'x' }, 'a');
    await one.until('the tool', async () => one.tools.calls.length > 0);
    await one.clock.advance(9_000);
    expect(one.account(node).held.tokens).toBeGreaterThan(0);
    await one.clock.advance(2_000);
    expect(one.account(node)).toMatchObject({ spent: { tokens: one.askedTokens }, held: { tokens: 0 } });
    open();
    expect((await one.result()).status).toBe('completed');
    expect(await one.reserved()).toHaveLength(2);
    expect(one.account(node)).toMatchObject({ spent: { tokens: one.askedTokens }, held: { tokens: 0 } });
  });

  it('ends with the day that it was reserved in', async () => {
    const one = new PayingCluster(steps(3, 'night'));
    await one.clock.advance(Date.parse('2026-01-01T23:59:58Z') - one.clock.now());
    const node = await one.node('n1', { quotas: WIDE });
    let first = 0;
    one.tools.add('night', async () => {
      first ||= one.askedTokens;
      await new Promise<void>((resolve) => void one.clock.after(3_000, resolve));
      return 1;
    });
    await one.submit({ input: 'x' }, 'a');
    expect((await one.result()).status).toBe('completed');
    const before = one.account(node, Date.parse('2026-01-01T12:00:00Z'));
    const after = one.account(node, Date.parse('2026-01-02T12:00:00Z'));
    expect(before.spent.tokens).toBe(first);
    expect(after.spent.tokens).toBe(one.askedTokens - first);
  });

  it('is settled before a call under other quotas, which reserves in their accounts', async () => {
    const quotas = structuredClone(WIDE);
    const one = new PayingCluster(steps(3, 'change'));
    const node = await one.node('n1', { quotas });
    one.tools.add('change', () => {
      quotas.agents = { a: { day: { usd: 5 } } };
      return 1;
    });
    await one.submit({ input: 'x' }, 'a');
    expect((await one.result()).status).toBe('completed');
    const reserved = await one.reserved();
    expect(reserved.map(({ accounts }) => accounts.length)).toEqual([1, 2]);
    const { accounts } = node.deps.ledger.ledger;
    const ofAgent = accounts.read({ scope: 'agent:a', period: 'day' }, one.clock.now());
    expect(ofAgent.spent.tokens).toBe(one.askedTokens - 500);
    expect(one.account(node)).toMatchObject({ spent: { tokens: one.askedTokens }, held: { tokens: 0 } });
  });

  it('is drawn from at the price of the model that is asked, and settled before one is asked that costs nothing', async () => {
    const fallback = { models: [{ model: 'dear' }, { model: 'free' }] };
    const one = new PayingCluster(() => answer, {
      ...{ name: 'b', model: 'paid', limits: { output_tokens_per_step: 1_000 }, fallback },
    } as never);
    one.prices = [PRICE, { ...PRICE, model: 'dear', input: 5, output: 5 }];
    const broken = (tokens: number) => () =>
      Promise.reject(new AppError('no_model', 'gone', { usage: used(tokens) as never }));
    one.modelMap.paid = { think: broken(100) };
    one.modelMap.dear = { think: broken(200) };
    let held: number | undefined;
    one.modelMap.free = {
      think: async () => {
        held = one.account(node).held.tokens;
        return scripted(answer, { input_tokens: 7, output_tokens: 7, cost_usd: 0 });
      },
    };
    const node = await one.node('n1', { quotas: WIDE });
    await one.submit({ input: 'x' }, 'b');
    expect(await one.result()).toMatchObject({ status: 'completed', fallbacks: [{}, {}] });
    expect(held).toBe(0);
    const entries = await one.ledger();
    expect(entries.map(({ kind }) => kind)).toEqual(['reserve', 'settle']);
    expect(entries[1]).toMatchObject({ amount: { tokens: 300 } });
  });

  it('is not drawn from by a model whose estimate does not fit in what is left', async () => {
    const fallback = { models: [{ model: 'dear' }] };
    const one = new PayingCluster(() => answer, {
      ...{ name: 'b', model: 'paid', limits: { output_tokens_per_step: 1_000 }, fallback },
    } as never);
    one.prices = [PRICE, { ...PRICE, model: 'dear', input: 50, output: 50 }];
    one.modelMap.paid = { think: () => Promise.reject(new AppError('no_model', 'gone')) };
    one.modelMap.dear = one.paying(() => answer);
    const node = await one.node('n1', { quotas: WIDE });
    await one.submit({ input: 'x' }, 'b');
    expect(await one.result()).toMatchObject({ status: 'completed', fallbacks: [{}] });
    const entries = await one.ledger();
    expect(entries.map(({ kind }) => kind)).toEqual(['reserve', 'settle', 'reserve', 'settle']);
    expect(entries[1]).toMatchObject({ amount: { tokens: 0 } });
    expect(one.account(node)).toMatchObject({ spent: { tokens: one.askedTokens }, held: { tokens: 0 } });
  });

  it('of a team: each run has its own, and all of it is charged to the account of the team', async () => {
    const one = new PayingCluster(steps(3), { name: 'boss', model: 'boss', delegates_to: ['a'] });
    one.prices = [PRICE, { ...PRICE, model: 'boss' }];
    one.modelMap.boss = one.paying(({ step }) =>
      step === 1 ? { action: 'delegate', members: ['1', '2'].map((input) => ({ agent: 'a', input })) } : answer,
    );
    const quotas = { ...WIDE, team: { usd: 8 } };
    const node = await one.node('n1', { quotas });
    await one.submit({ input: 'x' }, 'boss');
    const root = await one.until('root', async () => (await one.results()).find(({ agent }) => agent === 'boss'));
    expect(root.status).toBe('completed');
    expect(one.asked).toHaveLength(8);
    const team = node.deps.ledger.ledger.accounts.read({ scope: `team:${root.run}`, period: 'ever' }, 0);
    expect(team).toMatchObject({ spent: { tokens: one.askedTokens }, held: { tokens: 0 } });
    expect(new Set((await one.reserved()).map(({ run }) => run)).size).toBe(3);
  });

  it('tells of each mark once, by what is spent, whatever slices hold', async () => {
    const log = recordingLog();
    const one = new PayingCluster(() => answer);
    one.modelMap.paid = { think: async () => scripted(answer, used(1_000)) };
    await one.node('n1', { log, quotas: { users: { '*': { day: { tokens: 100_000 } } } } });
    for (let i = 0; i < 12; i++) {
      for (let n = 0; n < 10; n++) await one.submit({ input: `${i}-${n}` }, 'a');
      await one.until('results', async () => (await one.results()).length === 10 * (i + 1));
    }
    const marks = log.lines.filter(({ event }) => event === 'budget.threshold').map(({ fields }) => fields.percent);
    expect(marks).toEqual([50, 80]);
  });
});
