import { describe, expect, it } from 'vitest';
import { scripted } from '../../../src/adapters/model/scripted.ts';
import { addApprover, decide, openRequests, refused } from '../../runtime/approval-support.ts';
import { Cluster } from '../../runtime/support.ts';
import { say } from '../support.ts';

/**
 * Seen elsewhere: one step asks for the same tool twice, or two agents wait at the same time. The second approval finds
 * nothing to resume, or it resumes the call of the first. https://github.com/mastra-ai/mastra/issues/16468
 *
 * Proctor: an approval names its run, its call and the digest of its arguments. Each call waits for its own, in any
 * order; a word about one cannot be used for another.
 */

const payer = { name: 'payer', model: 'm' };
const pays = (...amounts: number[]) =>
  scripted({ action: 'tool_call', calls: amounts.map((amount) => ({ tool: 'pay', args: { amount } })) });

async function waiting(runs: number[][]) {
  const cluster = await new Cluster(payer).prepare();
  cluster.tools.add('pay', (args) => ({ paid: args.amount ?? 0 }), { requires_approval: true, idempotent: false });
  cluster.modelMap.m = {
    think: async ({ task, step, window }) =>
      step === 1
        ? pays(...(task.input as number[]))
        : say((await window()).at(-1)?.observations.map(({ status, result }) => [status, result]) ?? null),
  };
  const alice = await addApprover(cluster, 'alice');
  await cluster.node('n1', { settings: { park_after_ms: 500 } });
  for (const amounts of runs) await cluster.submit({ input: amounts }, 'payer');
  const requests = await cluster.until('all requests', async () => {
    const open = await openRequests(cluster);
    return open.length === runs.flat().length && open;
  });
  const of = (amount: number) => {
    const found = requests.find((one) => one.args.amount === amount);
    if (found === undefined) throw new Error(`no request for ${amount}`);
    return found;
  };
  const paid = () => cluster.tools.calls.map((call) => call.args.amount);
  return { cluster, alice, of, paid };
}

describe('calls that wait for an approval at the same time', () => {
  it('of one tool in one step are approved last first, and each is made with its own arguments', async () => {
    const { cluster, alice, of, paid } = await waiting([[1, 2, 3]]);
    await decide(cluster, of(3), alice);
    await cluster.until('payment', async () => paid().length === 1);
    // The run has been parked again between the two words.
    await cluster.clock.advance(5_000);
    await decide(cluster, of(2), alice, { verdict: 'deny', why: 'not this one' });
    await decide(cluster, of(1), alice);
    expect((await cluster.result()).answer).toEqual([
      ['ok', { paid: 1 }],
      ['refused', null],
      ['ok', { paid: 3 }],
    ]);
    expect(paid()).toEqual([3, 1]);
  });

  it('of two runs: a word wakes the run that it is about, and no other', async () => {
    const { cluster, alice, of, paid } = await waiting([[1], [2]]);
    await decide(cluster, of(2), alice);
    const first = await cluster.result();
    expect([first.run, first.answer]).toEqual([of(2).run, [['ok', { paid: 2 }]]]);
    await cluster.clock.advance(5_000);
    expect(paid()).toEqual([2]);
    await decide(cluster, of(1), alice);
    await cluster.until('both', async () => (await cluster.results()).length === 2);
    expect(paid()).toEqual([2, 1]);
  });

  it('of two runs: the word about one does not serve for the other', async () => {
    const { cluster, alice, of, paid } = await waiting([[1], [2]]);
    const { run, c, digest } = of(1);
    for (const forged of [{ run }, { digest }]) await decide(cluster, of(2), alice, forged);
    await cluster.until('refusals', async () => (await refused(cluster)).length === 2);
    expect((await refused(cluster)).map(({ code }) => code)).toEqual(['other_run', 'other_arguments']);
    await cluster.clock.advance(5_000);
    expect([paid(), c]).toEqual([[], of(2).c]);
  });
});
