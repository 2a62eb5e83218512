import { describe, expect, it } from 'vitest';
import type { Json } from '../../../src/core/json.ts';
import { clientOf, drive } from '../../client/support.ts';
import { addApprover, decide, notices, openRequests, refused, request } from '../../runtime/approval-support.ts';
import { Cluster } from '../../runtime/support.ts';
import { say, use } from '../support.ts';

/**
 * Seen elsewhere: requests expire after a fixed five minutes, and the user reads "rejected by user" though nobody said a
 * word; others need requests that wait for days, or approvals that do not hold for ever.
 * https://github.com/MoonshotAI/kimi-cli/issues/1823
 *
 * Proctor: how long a request waits is a setting of the agent, from a second to 30 days, and costs no node anything. One
 * that runs out is `timed_out`, for people and for the model, and never a denial; what was not approved is not done. A
 * signed word has an expiry of its own.
 */

const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;

async function asked(timeout_ms: number) {
  const cluster = await new Cluster({ name: 'payer', model: 'm', approvals: { timeout_ms } as never }).prepare();
  cluster.tools.add('pay', () => 'paid', { requires_approval: true });
  cluster.modelMap.m = {
    think: async ({ step, window }) =>
      step === 1 ? use('pay', { amount: 12 }) : say((await window()).at(-1)?.observations[0] as unknown as Json),
  };
  const heard = notices(cluster);
  const alice = await addApprover(cluster, 'alice');
  const node = await cluster.node('n1', { settings: { park_after_ms: 500 } });
  await cluster.submit({ input: 'x' }, 'payer');
  return { cluster, alice, heard, node, request: await request(cluster) };
}

describe('a request that nobody answers', () => {
  it('is told to people and to the model as timed out, and the call is not made', async () => {
    const { cluster, heard, request: open } = await asked(5 * MINUTE);
    expect(open.deadline - open.created_at).toBe(5 * MINUTE);
    const result = await cluster.result();
    expect(result.answer).toMatchObject({ status: 'refused', error: { code: 'approval_timeout' } });
    expect(JSON.stringify(result.answer)).not.toMatch(/denied|rejected/);
    expect(heard.map(({ state }) => state)).toEqual(['timed_out']);
    const trace = await drive(cluster, clientOf(cluster).trace(result.run));
    expect(JSON.stringify(trace)).not.toMatch(/denied|rejected/);
    expect(cluster.tools.calls).toEqual([]);
    expect(await openRequests(cluster)).toEqual([]);
  });

  it('differs from one that somebody denied, who is named with the reason', async () => {
    const { cluster, alice, heard, request: open } = await asked(5 * MINUTE);
    await decide(cluster, open, alice, { verdict: 'deny', why: 'too much' });
    const { answer } = await cluster.result();
    expect(answer).toMatchObject({ error: { code: 'approval_denied', message: 'alice said no: too much' } });
    expect(heard.map(({ state }) => state)).toEqual(['rejected']);
  });
});

describe('a request that waits for long', () => {
  it('is on no node meanwhile, says until when it waits, and is answered after hours', async () => {
    const { cluster, alice, node, request: open } = await asked(30 * DAY);
    await cluster.clock.advance(60 * MINUTE);
    expect(node.node.activeRuns).toBe(0);
    const why = await drive(cluster, clientOf(cluster).why(open.run));
    expect(why).toMatchObject({ state: 'waiting.approval', until: open.created_at + 30 * DAY, orphaned: false });
    await decide(cluster, open, alice);
    expect(await cluster.result()).toMatchObject({ status: 'completed' });
    expect(cluster.tools.calls).toHaveLength(1);
  });

  it('is not approved by a word that has expired itself', async () => {
    const { cluster, alice, request: open } = await asked(DAY);
    await decide(cluster, open, alice, { expires_at: cluster.clock.now() - 1 });
    await cluster.until('refusal', async () => (await refused(cluster))[0]?.code === 'expired');
    await cluster.clock.advance(MINUTE);
    expect(cluster.tools.calls).toEqual([]);
  });
});
