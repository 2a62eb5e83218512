import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors.ts';
import type { ToolDefinition } from '../../../src/core/tool.ts';
import { addApprover, decide, openRequests, refused, request } from '../../runtime/approval-support.ts';
import { Cluster, type NodeOptions } from '../../runtime/support.ts';
import { say, use } from '../support.ts';

/**
 * Seen elsewhere: a tool that was approved once runs again on a later, unrelated turn; one call asks twice; or the
 * approval is used up by a failure before the tool ever ran. https://github.com/microsoft/agent-framework/issues/6851
 *
 * Proctor: one call is one request, and one approval is one call. It survives a failure before the call and a crash after
 * it; where nobody can know whether a payment went out, it is not sent again, a person is asked.
 */

const PAY = { requires_approval: true, idempotent: false };

async function approved(pay: () => Promise<string> | string, tool: Partial<ToolDefinition>, options?: NodeOptions) {
  const cluster = await new Cluster({ name: 'payer', model: 'm' }).prepare();
  cluster.tools.add('pay', pay, { ...PAY, ...tool });
  const turns = [use('pay', { amount: 12 }), use('echo', { unrelated: 1 }), use('echo', { unrelated: 2 }), say()];
  cluster.modelMap.m = { think: async ({ step }) => turns[step - 1] ?? say() };
  const alice = await addApprover(cluster, 'alice');
  await cluster.node('n1', { settings: { lease_ms: 1_000, park_after_ms: 500 }, ...options });
  await cluster.submit({ input: 'x' }, 'payer');
  const asked = await request(cluster);
  await cluster.clock.advance(5_000);
  await decide(cluster, asked, alice);
  const paid = () => cluster.tools.calls.filter((call) => call.tool === 'pay').length;
  return { cluster, alice, asked, paid };
}

describe('a call that was approved', () => {
  it('is made once, however many turns follow, and however often the same word is said', async () => {
    const { cluster, alice, asked, paid } = await approved(() => 'paid', {});
    expect(await cluster.result()).toMatchObject({ status: 'completed', tool_calls: 3 });
    for (const times of [1, 2]) {
      await decide(cluster, asked, alice);
      await cluster.until('refusal', async () => (await refused(cluster)).length === times);
    }
    await cluster.clock.advance(60_000);
    expect((await refused(cluster)).map(({ code }) => code)).toEqual(['not_pending', 'not_pending']);
    expect(paid()).toBe(1);
  });

  it('was asked about once', async () => {
    const { cluster, asked } = await approved(() => 'paid', {});
    await cluster.result();
    const events = (await cluster.entries(asked.run)).flatMap((entry) => entry.events);
    expect(events.filter(({ type }) => type === 'approval_asked')).toHaveLength(1);
    expect(await openRequests(cluster)).toEqual([]);
  });

  it('keeps its approval when it fails before anything was done', async () => {
    let tries = 0;
    const { cluster, asked } = await approved(() => {
      if (++tries === 1) throw new AppError('no_worker', 'no worker is up', { retryable: true });
      return 'paid';
    }, {});
    expect(await cluster.result()).toMatchObject({ status: 'completed' });
    expect(tries).toBe(2);
    const events = (await cluster.entries(asked.run)).flatMap((entry) => entry.events);
    expect(events.filter(({ type }) => type.startsWith('approval_')).map(({ type }) => type)).toEqual([
      'approval_asked',
      'approval_decided',
    ]);
  });

  it.each(['approval.judged', 'inbox.activated', 'call.sent', 'call.returned'] as const)(
    'and whose node dies at %s takes effect once, without another word, when it may be repeated',
    async (point) => {
      let left = 1;
      const dieAt = (at: string) => at === point && left-- > 0;
      const { cluster, asked } = await approved(() => 'paid', { idempotent: true }, { dieAt });
      await cluster.until('death', async () => left <= 0, 5_000);
      await cluster.node('n2');
      expect(await cluster.result()).toMatchObject({ status: 'completed' });
      const keys = cluster.tools.calls.filter((call) => call.tool === 'pay').map((call) => call.idempotencyKey);
      expect([...new Set(keys)]).toEqual([`${asked.run}:${asked.c}`]);
      expect(await refused(cluster)).toEqual([]);
    },
  );

  it('and whose node died over it is not made again blindly: a person is asked what came of it', async () => {
    let left = 1;
    const { cluster, paid } = await approved(() => 'paid', {}, { dieAt: (at) => at === 'call.returned' && left-- > 0 });
    await cluster.until('death', async () => left === 0);
    await cluster.node('n2');
    const { requires } = await cluster.status('waiting.person');
    expect(requires?.kind).toBe('resolve');
    expect(paid()).toBe(1);
  });

  it('and whose worker was lost over it is not made again blindly either', async () => {
    const { cluster, paid } = await approved(() => {
      throw new AppError('worker_lost', 'the worker is gone', { retryable: true });
    }, {});
    expect((await cluster.status('waiting.person')).requires?.kind).toBe('resolve');
    expect(paid()).toBe(1);
  });
});
