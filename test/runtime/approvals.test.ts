import { beforeEach, describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import type { ApprovalRequest } from '../../src/core/approval-wire.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Json } from '../../src/core/json.ts';
import { sweepApprovals } from '../../src/runtime/approval-requests.ts';
import {
  addApprover,
  decide,
  edit,
  notices,
  openRequests,
  payloadFor,
  refused,
  request,
  signedBy,
  type TestApprover,
} from './approval-support.ts';
import { Cluster } from './support.ts';

/** Approvals on simulated time: what is asked, which words count, and what the run makes of them. */

const pay = (amount: number, id = 'pay') => ({ id, tool: 'pay', args: { amount, to: 'bob' } });
const plan = (...steps: object[]) => ({ input: 'pay the bill', plan: { steps } });

let cluster: Cluster;
let alice: TestApprover;

/** A cluster with a tool `pay` that needs an approval at every call. */
async function build(approvals: object = {}, tool: object = {}): Promise<Cluster> {
  const made = await new Cluster({ name: 'payer', approvals: approvals as never }).prepare();
  made.tools.add('pay', (args) => ({ paid: args.amount ?? null }), {
    requires_approval: true,
    parameters: { type: 'object', properties: { amount: { type: 'number' } }, required: ['amount'] },
    ...tool,
  });
  return made;
}

const paid = () => cluster.tools.calls.filter((call) => call.tool === 'pay').map((call) => call.args.amount);

beforeEach(async () => {
  cluster = await build({ risk: ['high'] });
  alice = await addApprover(cluster, 'alice');
});

describe('a request (APPR-2)', () => {
  it('says everything that an approver needs, with the exact arguments, and is there for who comes late', async () => {
    await cluster.node();
    await cluster.submit(
      plan(
        { id: 'look', tool: 'echo', args: { token: 'hunter2' } },
        { ...pay(12), args: { amount: 12, api_key: 'k-1' }, after: ['look'] },
      ),
      'payer',
    );
    const asked = await request(cluster);
    expect(asked).toMatchObject({
      v: 1,
      id: `${asked.run}:${asked.c}`,
      agent: 'payer',
      user: 'u',
      task: '"pay the bill"',
      tool: 'pay',
      action: 'write',
      args: { amount: 12, api_key: 'k-1' },
      risk: 'low',
      reasons: [{ rule: 'tool_protected' }],
      policy: 'policy@1',
      needed: 1,
      given: [],
      groups: ['approvers'],
    });
    expect(asked.deadline - asked.created_at).toBe(300_000);
    expect(asked.steps.map((step) => step.calls[0]?.tool)).toEqual(['echo']);
    expect(asked.steps[0]?.calls[0]?.preview).not.toContain('hunter2');
  });

  it('is stored before the run is parked, and a parked run is on no node', async () => {
    const { node } = await cluster.node();
    await cluster.submit(plan(pay(1)), 'payer');
    const { run } = await request(cluster);
    const types = await cluster.until('parked', async () => {
      const found = (await cluster.entries(run)).flatMap(({ events }) => events.map(({ type }) => type));
      return found.includes('parked') ? found : null;
    });
    expect(types.indexOf('approval_asked')).toBeLessThan(types.indexOf('parked'));
    await cluster.until('free node', async () => node.activeRuns === 0);
  });

  it('is taken back when it is decided, timed out or cancelled', async () => {
    const heard = notices(cluster);
    await cluster.node();
    for (const end of ['approved', 'rejected', 'timed_out', 'cancelled'] as const) {
      await cluster.submit(plan(pay(1)), 'payer');
      const asked = await request(cluster);
      if (end === 'approved') await decide(cluster, asked, alice);
      if (end === 'rejected') await decide(cluster, asked, alice, { verdict: 'deny', why: 'too much' });
      if (end === 'cancelled') {
        const subject = cluster.subjects.inbox({ run: asked.run, kind: 'cancel', id: 'x' });
        await cluster.client.publish(subject, JSON.stringify({ v: 1, by: 'op' }));
      }
      await cluster.until(`no request after ${end}`, async () => (await openRequests(cluster)).length === 0);
      await cluster.until(`word of ${end}`, async () => heard.at(-1)?.state === end);
    }
    expect(heard.map(({ state }) => state)).toEqual(['approved', 'rejected', 'timed_out', 'cancelled']);
  });

  it('is made again after a crash between its storing and the journal, and stays one', async () => {
    await cluster.node('n1', { dieAt: (point) => point === 'approval.asked' });
    await cluster.submit(plan(pay(1)), 'payer');
    await request(cluster);
    await cluster.node('n2');
    await cluster.until('asked', async () => {
      const [asked] = await openRequests(cluster);
      const entries = await cluster.entries(asked?.run ?? '');
      return entries.some(({ events }) => events.some(({ type }) => type === 'approval_asked'));
    });
    expect(await openRequests(cluster)).toHaveLength(1);
  });
});

describe('an approval', () => {
  it('lets the call be made, once, with exactly these arguments', async () => {
    await cluster.node();
    await cluster.submit(plan(pay(12)), 'payer');
    await decide(cluster, await request(cluster), alice);
    expect(await cluster.result()).toMatchObject({ status: 'completed' });
    expect(paid()).toEqual([12]);
    expect(await refused(cluster)).toEqual([]);
  });

  it('wakes a parked run on any node (APPR-5)', async () => {
    const first = await cluster.node('n1', { settings: { park_after_ms: 500 } });
    await cluster.submit(plan(pay(12)), 'payer');
    const asked = await request(cluster);
    await cluster.until('parked', async () => first.node.activeRuns === 0);
    first.kill();
    await cluster.node('n2');
    await decide(cluster, asked, alice);
    expect(await cluster.result()).toMatchObject({ status: 'completed' });
    expect(paid()).toEqual([12]);
  });

  it('may bring other arguments, which are checked against the schema and shown to the model', async () => {
    cluster.modelMap.m = {
      think: async ({ step, window }) =>
        scripted(
          step === 1
            ? { action: 'tool_call', calls: [{ tool: 'pay', args: { amount: 12 } }] }
            : { action: 'final_answer', answer: ((await window()).at(-1)?.decision as unknown as Json) ?? null },
        ),
    };
    cluster.agents.set('m', { ...(cluster.agents.get('payer') as never as object), name: 'm', model: 'm' } as never);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'm');
    const asked = await request(cluster);
    await decide(cluster, asked, alice, { edited: edit({ amount: 'many' }) });
    const [refusal] = await cluster.until('refusal', async () => {
      const found = await refused(cluster);
      return found.length > 0 ? found : null;
    });
    expect(refusal).toMatchObject({ code: 'edited_invalid', approver: 'alice' });
    expect(refusal?.message).toContain('amount');
    await decide(cluster, asked, alice, { edited: edit({ amount: 5 }), why: 'five is enough' });
    const result = await cluster.result();
    expect(paid()).toEqual([5]);
    expect(result.answer).toMatchObject({ action: 'tool_call', calls: [{ tool: 'pay', args: { amount: 5 } }] });
  });

  it('is not used up by a failure, and a call that may be repeated needs no second one', async () => {
    cluster.tools.add(
      'pay',
      (args, call) => {
        if (call.attempt === 1) throw new AppError('timeout', 'the worker was lost');
        return args;
      },
      { requires_approval: true },
    );
    await cluster.node();
    await cluster.submit(plan(pay(12)), 'payer');
    const asked = await request(cluster);
    await decide(cluster, asked, alice);
    expect(await cluster.result()).toMatchObject({ status: 'completed' });
    expect(cluster.tools.calls.map(({ attempt, idempotencyKey }) => [attempt, idempotencyKey])).toEqual([
      [1, `${asked.run}:${asked.c}`],
      [2, `${asked.run}:${asked.c}`],
    ]);
    const events = (await cluster.entries(asked.run)).flatMap((entry) => entry.events);
    expect(events.filter(({ type }) => type === 'approval_asked')).toHaveLength(1);
  });

  it('does not let a call be repeated whose outcome nobody knows', async () => {
    cluster.tools.add(
      'pay',
      () => {
        throw new AppError('timeout', 'the worker was lost');
      },
      { requires_approval: true, idempotent: false },
    );
    await cluster.node();
    await cluster.submit(plan(pay(12)), 'payer');
    await decide(cluster, await request(cluster), alice);
    const status = await cluster.status('waiting.person');
    expect(status.requires?.kind).toBe('resolve');
    expect(paid()).toEqual([12]);
  });
});

describe('a denial', () => {
  it('is an observation with its reason, and no timeout', async () => {
    const seen: Json[] = [];
    cluster.modelMap.m = {
      think: async ({ step, window }) => {
        if (step > 1) seen.push((await window()).at(-1)?.observations as unknown as Json);
        return scripted(
          step === 1
            ? { action: 'tool_call', calls: [{ tool: 'pay', args: { amount: 12 } }] }
            : { action: 'final_answer', answer: 'gave up' },
        );
      },
    };
    cluster.agents.set('m', { ...(cluster.agents.get('payer') as never as object), name: 'm', model: 'm' } as never);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'm');
    await decide(cluster, await request(cluster), alice, { verdict: 'deny', why: 'ask the boss' });
    expect(await cluster.result()).toMatchObject({ answer: 'gave up' });
    expect(seen).toEqual([
      [
        {
          c: expect.any(String),
          tool: 'pay',
          status: 'refused',
          result: null,
          error: { code: 'approval_denied', message: 'alice said no: ask the boss', retryable: false },
        },
      ],
    ]);
    expect(paid()).toEqual([]);
  });

  it('is never what a timeout is shown as: without a word in 300 s the call counts as not approved', async () => {
    await cluster.node();
    await cluster.submit(plan(pay(12)), 'payer');
    const asked = await request(cluster);
    const result = await cluster.result();
    expect(result.error?.reason).toMatch(/nobody approved the call in time/);
    expect(cluster.clock.now()).toBeGreaterThanOrEqual(asked.created_at + 300_000);
    expect(paid()).toEqual([]);
  });
});

describe('several approvers', () => {
  it('must approve the very same arguments, each once', async () => {
    cluster = await build({ needed: 2 });
    const [a, b, c] = [
      await addApprover(cluster, 'a'),
      await addApprover(cluster, 'b'),
      await addApprover(cluster, 'c'),
    ];
    await cluster.node();
    await cluster.submit(plan(pay(12)), 'payer');
    const asked = await request(cluster);
    expect(asked.needed).toBe(2);
    await decide(cluster, asked, a as TestApprover);
    const shown = await request(cluster, (one) => one.given.length === 1);
    expect(shown.given).toMatchObject([{ approver: 'a', digest: asked.digest }]);
    await decide(cluster, asked, a as TestApprover);
    await cluster.until('refusal', async () => (await refused(cluster)).at(-1)?.code === 'decided_before');
    await decide(cluster, asked, b as TestApprover, { edited: edit({ amount: 5 }) });
    const both = await request(cluster, (one) => one.given.length === 2);
    expect(both.given[1]).toMatchObject({ approver: 'b', args: { amount: 5 } });
    await cluster.clock.advance(5_000);
    expect(paid()).toEqual([]);
    await decide(cluster, asked, c as TestApprover, { edited: edit({ amount: 5 }) });
    await cluster.result();
    expect(paid()).toEqual([5]);
  });

  it('are stopped by one that denies', async () => {
    cluster = await build({ needed: 2 });
    const [a, b] = [await addApprover(cluster, 'a'), await addApprover(cluster, 'b')];
    await cluster.node();
    await cluster.submit(plan(pay(12)), 'payer');
    const asked = await request(cluster);
    await decide(cluster, asked, a as TestApprover);
    await request(cluster, (one) => one.given.length === 1);
    await decide(cluster, asked, b as TestApprover, { verdict: 'deny', why: 'no' });
    expect((await cluster.result()).error?.reason).toMatch(/b said no: no/);
    expect(paid()).toEqual([]);
  });

  it('of another group are asked before the deadline, and only then may decide', async () => {
    cluster = await build({ escalate: { group: 'bosses', after_ms: 60_000 } });
    const boss = await addApprover(cluster, 'boss', { groups: ['bosses'] });
    await cluster.node('n1', { settings: { park_after_ms: 1_000 } });
    await cluster.submit(plan(pay(12)), 'payer');
    const asked = await request(cluster);
    await decide(cluster, asked, boss);
    await cluster.until('refusal', async () => (await refused(cluster)).at(-1)?.code === 'not_in_group');
    const escalated = await request(cluster, (one) => one.escalation?.done === true);
    expect(cluster.clock.now()).toBeGreaterThanOrEqual(asked.created_at + 60_000);
    expect(cluster.clock.now()).toBeLessThan(asked.deadline);
    expect(escalated.groups).toEqual(['approvers', 'bosses']);
    await decide(cluster, escalated, boss);
    await cluster.result();
    expect(paid()).toEqual([12]);
    expect(await openRequests(cluster)).toEqual([]);
  });

  it('decide about parallel calls of one step, each by itself', async () => {
    await cluster.node();
    await cluster.submit(plan(pay(1, 'a'), pay(2, 'b'), pay(3, 'c')), 'payer');
    const all = await cluster.until('three requests', async () => {
      const found = await openRequests(cluster);
      return found.length === 3 ? found : null;
    });
    const of = (amount: number) => all.find((one) => one.args.amount === amount) as ApprovalRequest;
    await decide(cluster, of(3), alice);
    await cluster.until('third paid', async () => paid().includes(3));
    expect(paid()).toEqual([3]);
    await decide(cluster, of(1), alice, { verdict: 'deny', why: 'not this one' });
    await decide(cluster, of(2), alice);
    await cluster.result();
    expect(paid()).toEqual([3, 2]);
  });
});

describe('a word that counts for nothing', () => {
  const cases: [code: string, say: (asked: ApprovalRequest) => Promise<void>][] = [
    ['unknown_approver', async (asked) => decide(cluster, asked, { ...alice, name: 'mallory' })],
    [
      'bad_signature',
      async (asked) => {
        const payload = JSON.stringify(payloadFor(asked, alice));
        const signature = alice.signer.sign(`${payload} `);
        const body = JSON.stringify({ v: 1, key: alice.signer.publicKey, payload, signature });
        await cluster.client.publish(cluster.subjects.decision(asked.run, asked.c, 'alice'), body);
      },
    ],
    [
      'wrong_key',
      async (asked) => decide(cluster, asked, { name: 'alice', signer: (await addApprover(cluster, 'eve')).signer }),
    ],
    ['own_task', async (asked) => decide(cluster, asked, await addApprover(cluster, 'u'))],
    ['own_task', async (asked) => decide(cluster, asked, await addApprover(cluster, 'also-u', { users: ['u'] }))],
    [
      'not_in_group',
      async (asked) => decide(cluster, asked, await addApprover(cluster, 'far', { groups: ['others'] })),
    ],
    ['other_cluster', async (asked) => decide(cluster, asked, alice, { cluster: 'another0cluster' })],
    ['other_call', async (asked) => decide(cluster, asked, alice, { c: '9-9' })],
    ['other_run', async (asked) => decide(cluster, asked, alice, { run: '20260101-abc-1' })],
    ['other_arguments', async (asked) => decide(cluster, asked, alice, { digest: 'a'.repeat(64) })],
    ['other_policy', async (asked) => decide(cluster, asked, alice, { policy: 'payer@2' })],
    ['expired', async (asked) => decide(cluster, asked, alice, { expires_at: cluster.clock.now() - 1 })],
    [
      'edited_digest',
      async (asked) => decide(cluster, asked, alice, { edited: { ...edit({ amount: 1 }), args: { amount: 2 } } }),
    ],
    ['malformed', async (asked) => decide(cluster, asked, alice, { verdict: 'deny', why: ' ' })],
    [
      'malformed',
      async (asked) =>
        void (await cluster.client.publish(cluster.subjects.decision(asked.run, asked.c, 'alice'), 'yes')),
    ],
    [
      'malformed',
      async (asked) =>
        void (await cluster.client.publish(
          cluster.subjects.inbox({ run: asked.run, kind: 'decision', id: 'alice' }),
          signedBy(alice, payloadFor(asked, alice)),
        )),
    ],
    [
      'revoked_key',
      async (asked) =>
        decide(cluster, asked, await addApprover(cluster, 'alice', { signer: alice.signer, revoked: true })),
    ],
  ];

  it.each(cases)('is refused and kept in the audit, and the run hears nothing of it: %s', async (code, say) => {
    await cluster.node();
    await cluster.submit(plan(pay(12)), 'payer');
    const asked = await request(cluster);
    await cluster.clock.advance(1_000);
    const before = (await cluster.entries(asked.run)).flatMap(({ events }) => events.map(({ type }) => type));
    await say(asked);
    const kept = await cluster.until('refusal', async () => (await refused(cluster))[0]);
    expect(kept).toMatchObject({ kind: 'decision_refused', code, run: asked.run });
    await cluster.clock.advance(5_000);
    const after = (await cluster.entries(asked.run)).flatMap(({ events }) => events.map(({ type }) => type));
    expect(after).toEqual(before);
    expect(await cluster.last('IN', 'proctor.in.*.decision.>', (text) => text)).toEqual([]);
    expect(await cluster.last('DEAD', 'proctor.dead.>', (text) => text)).toEqual([]);
    // The run is unharmed: somebody who may decide still can.
    await decide(cluster, asked, await addApprover(cluster, 'carol'));
    await cluster.result();
    expect(paid()).toEqual([12]);
  });

  it('is one that comes after the first, or after the end of the run', async () => {
    const bob = await addApprover(cluster, 'bob');
    await cluster.node();
    await cluster.submit(plan(pay(12), { id: 'later', tool: 'echo', args: {}, after: ['pay'] }), 'payer');
    const asked = await request(cluster);
    await decide(cluster, asked, alice);
    await cluster.result();
    await decide(cluster, asked, alice);
    await decide(cluster, asked, bob, { verdict: 'deny', why: 'late' });
    await cluster.until('refusals', async () => (await refused(cluster)).length === 2);
    expect((await refused(cluster)).map(({ code }) => code)).toEqual(['not_pending', 'not_pending']);
    expect(paid()).toEqual([12]);
  });

  it('is one about a call that needs no approval', async () => {
    await cluster.node();
    await cluster.submit(plan(pay(12)), 'payer');
    const asked = await request(cluster);
    await decide(cluster, { ...asked, c: '1-0' }, alice);
    const kept = await cluster.until('refusal', async () => (await refused(cluster))[0]);
    expect(kept.code).toBe('not_asked');
  });
});

describe('a run that was delegated', () => {
  it('asks like any other: nothing is called past its approval', async () => {
    cluster.modelMap.boss = {
      think: ({ step }) =>
        Promise.resolve(
          scripted(
            step === 1
              ? { action: 'delegate', agent: 'payer', input: 'pay', plan: { steps: [{ ...pay(12), after: [] }] } }
              : { action: 'final_answer', answer: 'done' },
          ),
        ),
    };
    const boss = { name: 'boss', model: 'boss', delegates_to: ['payer'], tools: ['*'] };
    cluster.agents.set('boss', AgentDefinition.parse(boss));
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'boss');
    const asked = await request(cluster);
    expect(asked).toMatchObject({ agent: 'payer', user: 'u' });
    await cluster.clock.advance(5_000);
    expect(paid()).toEqual([]);
    await decide(cluster, asked, await addApprover(cluster, 'u'));
    await cluster.until('refusal', async () => (await refused(cluster))[0]?.code === 'own_task');
    await decide(cluster, asked, alice);
    await cluster.until('end', async () => (await cluster.results()).length === 2);
    expect(paid()).toEqual([12]);
  });
});

describe('a request that nobody took back', () => {
  it('is swept away when the journal says that it is over, and only then', async () => {
    const { deps } = await cluster.node();
    await cluster.submit(plan(pay(12)), 'payer');
    const asked = await request(cluster);
    await cluster.clock.advance(61_000);
    expect(await sweepApprovals(deps)).toBe(0);
    await decide(cluster, asked, alice);
    await cluster.result();
    await cluster.client.publish(
      cluster.subjects.approvalRequest('approvers', asked.run, asked.c),
      JSON.stringify(asked),
    );
    expect(await sweepApprovals(deps)).toBe(0);
    await cluster.clock.advance(61_000);
    expect(await sweepApprovals(deps)).toBe(1);
    expect(await openRequests(cluster)).toEqual([]);
  });
});

describe('a journal that says approved without a signature', () => {
  it('lets nothing be called', async () => {
    await cluster.node('n1', { settings: { park_after_ms: 500 } });
    await cluster.submit(plan(pay(12)), 'payer');
    const { run, c } = await request(cluster);
    await cluster.until('parked', async () =>
      (await cluster.entries(run)).some(({ events }) => events.some(({ type }) => type === 'parked')),
    );
    const last = (await cluster.entries(run)).at(-1);
    const forged = {
      ...last,
      n: (last?.n ?? 0) + 1,
      writer: 'forger',
      events: [{ type: 'approval_decided', c, verdict: 'approved', by: 'alice', why: '' }],
    };
    await cluster.client.publish(cluster.subjects.journal(run, forged.n), JSON.stringify(forged));
    await cluster.client.publish(
      cluster.subjects.inbox({ run, kind: 'resume', id: 'x' }),
      JSON.stringify({ v: 1, by: 'op' }),
    );
    const result = await cluster.result();
    expect(result.error?.reason).toMatch(/holds 0 valid approvals of exactly these arguments and 1 are needed/);
    expect(paid()).toEqual([]);
  });
});
