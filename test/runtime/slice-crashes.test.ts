import { describe, expect, it, vi } from 'vitest';
import type { EffectScope } from '../../src/runtime/effects.ts';
import { Effort } from '../../src/runtime/effort.ts';
import { BUDGET_POINTS, FAULT_POINTS, type FaultPoint } from '../../src/runtime/fault-points.ts';
import { Spending } from '../../src/runtime/spending.ts';
import { answer, gate, PayingCluster, PRICE, toolCall, used, WIDE } from './slices-support.ts';
import { silent, type TestNode } from './support.ts';

/** What becomes of a slice whose owner dies, loses the run, or is cut off over a call. */

const settings = { lease_ms: 1_000, park_after_ms: 500, snapshot_every: 3, claims_without_progress: 50 };

/** A run that calls tools, delegates and waits for a person; a node dies at one point of it, another goes on. */
async function scenario(dieAt?: FaultPoint, hit = 1) {
  const one = new PayingCluster(({ step }) => (step < 3 ? toolCall(step) : answer), {
    name: 'boss',
    model: 'boss',
    delegates_to: ['a'],
    limits: { output_tokens_per_step: 1_000 } as never,
  });
  await one.prepare();
  one.prices = [PRICE, { ...PRICE, model: 'boss' }];
  one.tools.add('echo', async (args, call) => {
    // Something from outside reaches the run while it is in work.
    await one.order(call.run, 'resume').catch(() => undefined);
    await new Promise<void>((resolve) => void one.clock.after(30, resolve));
    return args;
  });
  one.tools.add('once', () => 'paid', { idempotent: false });
  const decisions = [
    toolCall(1),
    toolCall(2, 'once'),
    { action: 'delegate', agent: 'a', input: 'part' },
    { action: 'ask_human', question: 'go on?' },
    toolCall(3),
  ];
  one.modelMap.boss = one.paying(({ step }) => decisions[step - 1] ?? answer);
  const visited = new Set<FaultPoint>();
  let left = hit;
  let node: TestNode | null = null;
  let crashes = 0;
  const options = {
    settings,
    quotas: WIDE,
    dieAt: (point: FaultPoint) => {
      visited.add(point);
      return point === dieAt && left > 0 && --left === 0;
    },
  };
  const not_before = new Date(one.clock.now() + 2_000).toISOString();
  await one.submit({ input: 'x', key: 'k', not_before }, 'boss');
  const told = new Set<string>();
  const look = async () => {
    if (node === null || node.dead) {
      if (node !== null) crashes++;
      node = await one.node(`n${crashes}`, options);
    }
    for (const { requires, run } of await one.statuses()) {
      if (requires?.c === undefined || told.has(`${run}${requires.c}`)) continue;
      told.add(`${run}${requires.c}`);
      await one.order(run, 'resolve', { c: requires.c, verdict: 'done', result: 'yes' });
    }
    return (await one.results()).some(({ agent }) => agent === 'boss');
  };
  await one.until('result of the whole', look);
  // Longer than a lease: what the last owner did not finish is finished, or left to the sweep in ten minutes.
  await one.clock.advance(20_000);
  await look();
  await one.clock.advance(5_000);
  const last: TestNode = node ?? (await one.node('last', options));
  const estimates = (await one.reserved()).map(({ amount }) => amount.tokens);
  return {
    one,
    crashes,
    visited,
    left,
    account: one.account(last),
    open: last.deps.ledger.ledger.accounts.open,
    estimates,
  };
}

/** The spending of a run, without its owner. */
async function spender() {
  const one = new PayingCluster(() => answer);
  const { deps } = await one.node('n1', { quotas: WIDE, settings });
  await one.submit({ input: 'x' }, 'a');
  const { run } = await one.result();
  const fold = await deps.journal.load(run);
  const [accepted] = (await one.entries(run))[0]?.events ?? [];
  if (fold === null || accepted?.type !== 'accepted') throw new Error('no journal');
  const spending = new Spending({ deps, accepted, log: silent }, fold);
  const scope = { deps, accepted, log: silent, context: fold.context, effort: new Effort() } as EffectScope;
  return { one, deps, spending, scope };
}

describe('a slice whose owner dies', () => {
  it('COST-2: is charged what its calls used and at most the estimate of one more, wherever that is, and is not held on', async () => {
    const calm = await scenario();
    const points = [...FAULT_POINTS, ...BUDGET_POINTS].filter((point) => point !== 'delegate.member_stopped');
    expect(new Set(points.filter((point) => !calm.visited.has(point)))).toEqual(new Set());
    expect(calm.account).toMatchObject({ spent: { tokens: calm.one.askedTokens }, held: { tokens: 0 } });
    // Of each of the two runs one call may have been under way.
    const estimate = Math.max(...calm.estimates) / 8 + 500;
    for (const point of points) {
      for (const hit of [1, 2, 4]) {
        const seen = await scenario(point, hit);
        if (seen.left > 0) continue;
        const where = `${point} #${hit}`;
        expect(seen.crashes, where).toBe(1);
        expect([...seen.open], where).toEqual([]);
        expect(seen.account.held, where).toEqual({ nanos: 0, tokens: 0, count: 0 });
        expect(seen.account.spent.tokens, where).toBeGreaterThanOrEqual(seen.one.askedTokens);
        expect(seen.account.spent.tokens, where).toBeLessThanOrEqual(seen.one.askedTokens + 2 * estimate);
      }
    }
  }, 240_000);

  it('that was in a tool call is charged exactly what its calls used', async () => {
    const one = new PayingCluster(({ step }) => (step < 4 ? toolCall(step, 'fatal') : answer));
    let node: TestNode | undefined;
    one.tools.add('fatal', ({ n }) => {
      if (n === 3 && node?.name === 'n1') node.kill();
      return node?.dead ? new Promise(() => {}) : 1;
    });
    node = await one.node('n1', { quotas: WIDE, settings });
    await one.submit({ input: 'x' }, 'a');
    const dying = node;
    await one.until('death', async () => dying.dead);
    node = await one.node('n2', { quotas: WIDE, settings });
    expect((await one.result()).status).toBe('completed');
    expect(one.asked).toHaveLength(4);
    expect(one.account(node)).toMatchObject({ spent: { tokens: one.askedTokens }, held: { tokens: 0 } });
  });
});

describe('a slice whose owner is cut off from the run', () => {
  it('is charged by the next owner with the call that was under way; the old one makes no other from it', async () => {
    const waiting = gate();
    const one = new PayingCluster(async ({ step }) => {
      if (step === 3 && one.asked.length === 3) await waiting.passed;
      return step < 5 ? toolCall(step) : answer;
    });
    const zombie = await one.node('n1', { quotas: WIDE, settings });
    await one.submit({ input: 'x' }, 'a');
    await one.until('the third call', async () => one.asked.length === 3);
    zombie.bus.cut();
    const next = await one.node('n2', { quotas: WIDE, settings });
    expect((await one.result()).status).toBe('completed');
    const before = one.account(next).spent.tokens;
    const [slice] = await one.reserved();
    // The two that are journalled, the estimate of the third, and the three of the next owner.
    const journalled = one.askedTokens - 502;
    expect(one.asked).toHaveLength(6);
    expect(before).toBeGreaterThan(one.askedTokens);
    expect(before).toBeLessThanOrEqual(journalled + (slice?.amount.tokens ?? 0) / 8 + 500);
    zombie.bus.heal();
    waiting.open();
    await one.clock.advance(30_000);
    expect(one.asked).toHaveLength(6);
    for (const node of [zombie, next])
      expect(one.account(node)).toMatchObject({ spent: { tokens: before }, held: { tokens: 0 } });
  });

  it('is settled at its estimate when a call is cut off that does not say what it used, and not drawn from again', async () => {
    const first = gate();
    const one = new PayingCluster(async ({ step }) => {
      if (one.asked.length === 2) await first.passed;
      return step < 3 ? toolCall(step) : answer;
    });
    const node = await one.node('n1', { quotas: WIDE, settings });
    await one.submit({ input: 'x' }, 'a');
    await one.until('the second call', async () => one.asked.length === 2);
    const run = (await one.statuses())[0]?.run ?? '';
    await one.order(run, 'pause');
    await one.status('waiting.paused');
    await one.order(run, 'resume', { by: 'op2' });
    expect((await one.result()).status).toBe('completed');
    const reserved = await one.reserved();
    expect(reserved).toHaveLength(2);
    const estimate = (reserved[0]?.amount.tokens ?? 0) / 8;
    expect(one.account(node).held.tokens).toBe(0);
    const known = one.askedTokens - 501;
    expect(one.account(node).spent.tokens).toBeGreaterThanOrEqual(known + 501);
    expect(one.account(node).spent.tokens).toBeLessThanOrEqual(known + estimate + 500);
    first.open();
  });

  it('is drawn from by no call after one that was charged and that the journal does not tell of', async () => {
    const { one, deps, spending, scope } = await spender();
    const call = async (think: string) => {
      const hold = await spending.hold(scope, think, 1_000);
      if (hold === null || 'type' in hold) throw new Error('not held');
      await hold.settle(used(10), true);
    };
    const before = (await one.reserved()).length;
    for (const think of ['think-7', 'think-8']) await call(think);
    expect(await one.reserved()).toHaveLength(before + 1);
    // The run asks the same once more: it has not heard of the answer.
    await call('think-8');
    expect(await one.reserved()).toHaveLength(before + 2);
    await spending.close();
    expect([...deps.ledger.ledger.accounts.open]).toEqual([]);
  });

  it('is settled when the ledger takes entries again, after it has refused one', async () => {
    const { deps, spending, scope } = await spender();
    const told = vi.spyOn(deps.ledger, 'tell').mockRejectedValueOnce(new Error('the disk is full'));
    const hold = await spending.hold(scope, 'think-7', 1_000);
    if (hold === null || 'type' in hold) throw new Error('not held');
    await hold.settle(used(10), true);
    await expect(spending.close()).rejects.toThrow('the disk is full');
    await spending.close();
    expect(told).toHaveBeenCalledTimes(2);
    expect([...deps.ledger.ledger.accounts.open]).toEqual([]);
  });

  it('of a run that is killed is settled before its activation is gone', async () => {
    const never = gate();
    const one = new PayingCluster(async () => {
      await never.passed;
      return answer;
    });
    const node = await one.node('n1', { quotas: WIDE, settings });
    await one.submit({ input: 'x' }, 'a');
    await one.until('the call', async () => one.asked.length === 1);
    await one.order((await one.statuses())[0]?.run ?? '', 'kill');
    expect((await one.result()).code).toBe('killed');
    await one.until('gone', async () => (await one.last('QUEUE', 'proctor.queue.>', (text) => text)).length === 0);
    const [slice] = await one.reserved();
    expect(one.account(node)).toMatchObject({
      spent: { tokens: (slice?.amount.tokens ?? 0) / 8 },
      held: { tokens: 0 },
    });
  });
});
