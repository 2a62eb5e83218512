import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import { LedgerEntry } from '../../src/core/ledger-wire.ts';
import { Cluster, recordingLog } from './support.ts';

/** 1 USD for a million tokens of either kind: a token costs 1,000 nanos. */
const PRICE = { model: 'paid', from: '2020-01-01', input: 1, output: 1 };
const LIMITS = { output_tokens_per_step: 1_000 };
const answer = { action: 'final_answer', answer: 'done' } as const;
const used = (tokens: number) => ({ input_tokens: tokens, output_tokens: 0, cost_usd: tokens / 1_000_000 });

function cluster(replies: Parameters<typeof scriptedModel>[0]): Cluster {
  const made = new Cluster({ name: 'paying', model: 'paid', limits: LIMITS as never });
  made.prices = [PRICE];
  made.modelMap.paid = scriptedModel(replies);
  return made;
}

/** Too little for a slice: each call reserves its own estimate. */
const TIGHT = { users: { '*': { day: { usd: 0.05 } } } };

const entries = (on: Cluster) => on.last('LEDGER', '>', (text) => LedgerEntry.parse(JSON.parse(text)));
const user = (name: string) => ({ scope: `user:${name}`, period: 'day' as const });

describe('a budget', () => {
  it('COST-2: holds the estimate before a model call, and what it cost after; 10 USD a user a day unless told otherwise', async () => {
    let during: unknown;
    const one = cluster([
      () => {
        during = node.deps.ledger.ledger.accounts.read(user('u'), one.clock.now());
        return scripted(answer, used(500));
      },
    ]);
    const node = await one.node();
    await one.submit({ input: 'x' }, 'paying');
    expect(await one.result()).toMatchObject({ status: 'completed', cost_usd: 0.0005 });
    const [reserve, settle, ...more] = await entries(one);
    expect(more).toEqual([]);
    expect(reserve).toMatchObject({
      kind: 'reserve',
      accounts: [{ scope: 'user:u', period: 'day', max_nanos: 10_000_000_000 }],
    });
    if (reserve?.kind !== 'reserve') throw new Error('no reservation');
    expect(reserve.amount.tokens).toBeGreaterThan(8 * 2_000);
    expect(reserve.amount.nanos).toBe(reserve.amount.tokens * 1_000);
    expect(during).toMatchObject({ held: reserve.amount, spent: { nanos: 0 } });
    expect(settle).toEqual({ v: 1, kind: 'settle', id: reserve.id, amount: { nanos: 500_000, tokens: 500, count: 0 } });
    expect(node.deps.ledger.ledger.accounts.read(user('u'), one.clock.now())).toMatchObject({
      spent: { nanos: 500_000, tokens: 500 },
      held: { nanos: 0 },
    });
  });

  it('that is used up ends the run budget_exceeded before the call, and says what is left and when it begins anew', async () => {
    const log = recordingLog();
    const one = cluster([
      scripted({ action: 'think', thought: 'hm' } as never, used(2_000)),
      scripted(answer, used(1)),
    ]);
    await one.node('n1', { log, quotas: { users: { '*': { day: { usd: 0.004 } } } } });
    await one.submit({ input: 'x' }, 'paying');
    const result = await one.result();
    expect(result).toMatchObject({ status: 'failed', error: { code: 'budget_exceeded' }, cost_usd: 0.002 });
    expect(JSON.stringify(result)).toContain('user:u this day');
    expect(JSON.stringify(result)).toContain('it begins anew at 2026-01-02T00:00:00.000Z');
    const said = log.lines.find(({ event }) => event === 'budget_exceeded');
    expect(said?.fields).toMatchObject({ user_id: 'u', most: '0.0040 USD', current_spend: '0.0020 USD' });
    expect(log.lines.filter(({ event }) => event === 'budget.threshold').map(({ fields }) => fields.percent)).toEqual([
      50,
    ]);
  });

  it('counts in USD and in tokens, for the user, the agent and the team at once: all or none', async () => {
    const quotas = {
      users: { u: { day: { usd: 1 }, month: { tokens: 50_000 } } },
      agents: { paying: { day: { usd: 5, tokens: 2_500 } } },
      team: { usd: 3 },
    };
    const one = cluster([scripted(answer, used(1_900)), scripted(answer, used(1))]);
    const node = await one.node('n1', { quotas });
    await one.submit({ input: 'x' }, 'paying');
    const first = await one.result();
    expect(first.status).toBe('completed');
    const { accounts } = node.deps.ledger.ledger;
    const now = one.clock.now();
    for (const [scope, period] of [
      ['user:u', 'day'],
      ['user:u', 'month'],
      ['agent:paying', 'day'],
      [`team:${first.run}`, 'ever'],
    ] as const) {
      expect(accounts.read({ scope, period }, now).spent).toMatchObject({ nanos: 1_900_000, tokens: 1_900 });
    }
    await one.submit({ input: 'x' }, 'paying');
    const second = await one.until('second', async () => (await one.results()).find(({ run }) => run !== first.run));
    expect(second).toMatchObject({ status: 'failed', error: { code: 'budget_exceeded' } });
    expect(JSON.stringify(second)).toContain('agent:paying this day');
    expect(accounts.read(user('u'), one.clock.now()).held).toMatchObject({ nanos: 0, tokens: 0 });
  });

  it('waits for what other calls hold, and goes on with what they did not use', async () => {
    let release = (): void => {};
    const first = new Promise<void>((resolve) => {
      release = resolve;
    });
    const one = cluster([
      async () => {
        await first;
        return scripted(answer, used(10));
      },
      scripted(answer, used(10)),
    ]);
    await one.node('n1', { quotas: { users: { '*': { day: { usd: 0.003 } } } } });
    await one.submit({ input: 'x' }, 'paying');
    await one.status('thinking.deciding');
    await one.submit({ input: 'y' }, 'paying');
    await one.clock.advance(2_000);
    expect(await one.results()).toEqual([]);
    release();
    await one.until('both', async () => (await one.results()).length === 2, 20_000);
    expect((await one.results()).map(({ status }) => status)).toEqual(['completed', 'completed']);
  });

  it('is charged the estimate of a call over which its node died, by an entry of the next owner', async () => {
    const one = cluster([scripted(answer, used(500)), scripted(answer, used(700))]);
    const dying = await one.node('n1', { quotas: TIGHT, dieAt: (point) => point === 'think.returned' });
    await one.submit({ input: 'x' }, 'paying');
    await one.until('death', async () => dying.dead);
    const next = await one.node('n2', { quotas: TIGHT });
    expect(await one.result()).toMatchObject({ status: 'completed' });
    const all = await entries(one);
    expect(all.map(({ kind }) => kind)).toEqual(['reserve', 'lost', 'reserve', 'settle']);
    const [reserve] = all;
    const estimate = reserve?.kind === 'reserve' ? reserve.amount.nanos : 0;
    expect(next.deps.ledger.ledger.accounts.read(user('u'), one.clock.now())).toMatchObject({
      spent: { nanos: estimate + 700_000 },
      held: { nanos: 0 },
    });
  });

  it('charges a call that failed what it says it used, nothing if it was refused, the estimate if nobody knows', async () => {
    const one = cluster([
      new AppError('rate_limit', 'too many', { retryable: true }),
      new AppError('bad_reply', 'cut off', { retryable: true, usage: used(300) }),
      new AppError('model_unavailable', 'no answer'),
      scripted(answer, used(1)),
    ]);
    await one.node('n1', { quotas: TIGHT });
    await one.submit({ input: 'x' }, 'paying');
    await one.result();
    const ends = (await entries(one)).filter(({ kind }) => kind === 'settle' || kind === 'lost');
    expect(ends.map((entry) => (entry.kind === 'settle' ? entry.amount.tokens : entry.kind))).toEqual([
      0,
      300,
      'lost',
      1,
    ]);
  });

  it('asks nobody where nothing costs money: such runs leave no entry', async () => {
    const one = new Cluster();
    await one.node('n1', { quotas: { users: { '*': { day: { usd: 0, tokens: 0 } } }, team: { usd: 0 } } });
    await one.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'echo' }] } });
    expect((await one.result()).status).toBe('completed');
    expect(await entries(one)).toEqual([]);
  });

  it('fails closed: without the ledger no call is made, and the run says why', async () => {
    const one = cluster([scripted(answer, used(1))]);
    const node = await one.node();
    one.broker.intercept = ({ kind, subject }) =>
      kind === 'publish' && subject.startsWith('proctor.ledger.') ? 'lost' : 'ok';
    await one.submit({ input: 'x' }, 'paying');
    const result = await one.result();
    expect(result.status).toBe('failed');
    expect(JSON.stringify(result)).toContain('ledger');
    expect(one.modelMap.paid).toMatchObject({ requests: [] });
    expect(node.dead).toBe(false);
  });
});
