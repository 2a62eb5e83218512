import { describe, expect, it } from 'vitest';
import { scripted } from '../../../src/adapters/model/scripted.ts';
import { clientOf, drive } from '../../client/support.ts';
import { addApprover, decide, openRequests, request } from '../../runtime/approval-support.ts';
import { Cluster } from '../../runtime/support.ts';
import { say, use } from '../support.ts';

/**
 * Seen elsewhere: a tool asks for an approval when its agent is used directly. Used by another agent, as a tool of that,
 * the same agent runs it without a question. https://github.com/microsoft/agent-framework/issues/6062
 *
 * Proctor: a run that was delegated asks like any other, at any depth; the call is not made before. The one who handed in
 * the task cannot approve it, and is told whom it waits for.
 */

/** `boss` gives its work to `middle`, which gives it to `payer`, which pays; each asked by a chain of that length. */
async function paidBy(chain: string[]) {
  const agents = chain.map((name, i) => ({ name, model: 'm', delegates_to: chain.slice(i + 1, i + 2) }));
  const cluster = await new Cluster(...agents).prepare();
  cluster.tools.add('pay', () => 'paid', { requires_approval: true });
  cluster.modelMap.m = {
    think: async ({ agent, step }) => {
      const [next] = agent.delegates_to;
      if (step > 1) return say();
      return next === undefined
        ? use('pay', { amount: 12 })
        : scripted({ action: 'delegate', agent: next, input: 'x' });
    },
  };
  await cluster.node();
  await cluster.submit({ input: 'x' }, chain[0]);
  const top = await cluster.until('run', async () => (await cluster.statuses()).find((one) => one.agent === chain[0]));
  return { cluster, top: top.run };
}

describe('a tool that needs an approval', () => {
  it.each([[['payer']], [['boss', 'payer']], [['boss', 'middle', 'payer']]])('asks for one under %j', async (chain) => {
    const { cluster, top } = await paidBy(chain);
    const asked = await request(cluster);
    expect(asked).toMatchObject({ agent: 'payer', user: 'u', tool: 'pay', args: { amount: 12 } });
    await cluster.clock.advance(10_000);
    expect(cluster.tools.calls).toEqual([]);
    const why = await drive(cluster, clientOf(cluster).why(asked.run));
    expect(why.who).toMatch(/approver of the group approvers/);
    // Not by the one whose task it is.
    await decide(cluster, asked, await addApprover(cluster, 'u'));
    await cluster.clock.advance(5_000);
    expect([cluster.tools.calls.length, (await openRequests(cluster)).length]).toEqual([0, 1]);
    await decide(cluster, asked, await addApprover(cluster, 'alice'));
    expect(await drive(cluster, clientOf(cluster).result(top, { wait: true }))).toMatchObject({ status: 'completed' });
    expect(cluster.tools.calls).toHaveLength(1);
  });
});
