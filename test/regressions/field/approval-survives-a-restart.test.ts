import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Approver } from '../../../src/worker/approver.ts';
import { eventually, type Running } from '../../cli/support.ts';
import { Deeds, inOrder, type Place, startPlace } from '../processes.ts';

/**
 * Seen elsewhere: a run waits for an approval when the process is restarted. Afterwards the approval finds nothing to
 * resume ("no registry entry found"), or the agent begins from the start and does everything again.
 * https://github.com/mastra-ai/mastra/issues/18031
 *
 * Proctor: the request and the run are in the streams, not in a process. Node and server may be killed with -9 while it
 * waits, a person may decide while no node is there; the run goes on behind what was done, and repeats nothing.
 */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const deeds = new Deeds();
let place: Place;
let node: Running;
let alice: Approver;

beforeAll(async () => {
  const pay = deeds.tool('pay', { requiresApproval: true, idempotent: false });
  const tools = [deeds.tool('look'), pay, deeds.tool('tell')];
  place = await startPlace(tools, [{ name: 'payer', model: 'plan', tools: ['*'] }]);
  node = await place.startNode();
  alice = await place.approver('alice');
});
afterAll(() => place.stop());

async function openRequest(run: string) {
  return eventually('a request', async () => {
    for await (const request of alice.open()) if (request.run === run) return request;
    return null;
  });
}

/** A run that has looked and waits for the word to pay; and what was done before it. */
async function waitingRun() {
  const before = ['look', 'pay', 'tell'].map((name) => deeds.all(name));
  const { run } = await place.client.submit(inOrder('look', 'pay', 'tell'), 'payer');
  return {
    run,
    request: await openRequest(run),
    since: () => ['look', 'pay', 'tell'].map((name, i) => deeds.all(name) - (before[i] ?? 0)),
  };
}

describe('a run that waits for an approval', () => {
  it('is still there after its node was killed, with the same request, and goes on from there', async () => {
    const { run, request, since } = await waitingRun();
    await place.kill9(node);
    node = await place.startNode();
    expect(await openRequest(run)).toEqual(request);
    const why = await place.proctor('why', run);
    expect([why.code, why.out]).toEqual([0, expect.stringContaining('approvals approve|deny')]);
    expect(since()).toEqual([1, 0, 0]);
    await alice.decideAndWait(request, { verdict: 'approve' });
    expect(await place.client.result(run, { wait: true })).toMatchObject({ status: 'completed', tool_calls: 3 });
    expect(since()).toEqual([1, 1, 1]);
    const types = (await place.events(run)).map(({ type }) => type);
    expect(types.filter((type) => type === 'approval_asked')).toHaveLength(1);
  });

  it('hears of a word that was said while no node was there', async () => {
    const { run, request, since } = await waitingRun();
    await place.kill9(node);
    await alice.decide(request, { verdict: 'approve' });
    node = await place.startNode();
    expect(await place.client.result(run, { wait: true })).toMatchObject({ status: 'completed' });
    expect(since()).toEqual([1, 1, 1]);
  });

  it('outlives the server, too', async () => {
    const { run, request, since } = await waitingRun();
    await place.server.kill9();
    await place.server.restart();
    await eventually('the word is taken', async () =>
      alice.decide(request, { verdict: 'approve' }).then(
        () => true,
        (error: { code?: string }) => error.code === 'taken',
      ),
    );
    const ended = await eventually('a result', () => place.client.result(run).catch(() => null));
    expect(ended).toMatchObject({ status: 'completed' });
    expect(since()).toEqual([1, 1, 1]);
  });
});
