import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { DEFAULT_RULES } from '../../src/core/approval-rules.ts';
import { addApprover, decide, openRequests, request } from './approval-support.ts';
import { Cluster } from './support.ts';

/** A loop at the rung `ask` on a whole node: who approves, who denies, and who does not answer (SUP-4). */

const call = () => scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: { q: 'x' } }] });
const answer = scripted({ action: 'final_answer', answer: 'done' });

describe('a loop that is put to a person at the rung ask', () => {
  /** The same call again and again, up to the request; the model answers once it has asked `times` times. */
  async function asked(times: number, timeout_ms = DEFAULT_RULES.timeout_ms) {
    const cluster = new Cluster({ name: 'ai', model: 'ai', approvals: { ...DEFAULT_RULES, timeout_ms } });
    const model = scriptedModel([...Array.from({ length: times }, () => call()), answer]);
    cluster.modelMap.ai = model;
    await cluster.node();
    const alice = await addApprover(cluster, 'alice');
    await cluster.submit({ input: 'x' }, 'ai');
    const question = await request(cluster);
    expect(question.reasons).toEqual([
      { rule: 'loop', text: expect.stringContaining('the same step 5 times in a row, with the same result: echo') },
    ]);
    expect(cluster.tools.calls).toHaveLength(5);
    return { cluster, model, alice, question };
  }

  const rungsOf = async (cluster: Cluster, run: string) =>
    (await cluster.entries(run)).flatMap(({ events }) =>
      events.flatMap((event) => ('loop' in event && event.loop !== undefined ? [event.loop.rung] : [])),
    );

  it('who approves: the call is made, and the count begins anew', async () => {
    const { cluster, alice, question } = await asked(8);
    await decide(cluster, question, alice, { why: 'it is a queue: go on' });
    const { code, run } = await cluster.result();
    expect(code).toBe('completed');
    // The one that was allowed and two more of its kind, at which nothing is said yet.
    expect(cluster.tools.calls).toHaveLength(8);
    expect(await openRequests(cluster)).toEqual([]);
    const rungs = await rungsOf(cluster, run);
    expect(rungs.slice(0, 3)).toEqual(['warn', 'nudge', 'ask']);
    expect(rungs.slice(3)).not.toContain('ask');
  });

  it('who approves, and is asked again when it goes on for as long once more', async () => {
    const { cluster, alice, question } = await asked(30);
    await decide(cluster, question, alice);
    const again = await request(cluster, (one) => one.c !== question.c);
    expect(again.reasons[0]?.rule).toBe('loop');
    // Five steps after the consent, as before it.
    expect(cluster.tools.calls).toHaveLength(10);
  });

  it('who denies: the call is not made, the model hears why, and one more of its kind ends the run', async () => {
    const { cluster, model, alice, question } = await asked(7);
    await decide(cluster, question, alice, { verdict: 'deny', why: 'look at the log instead' });
    const result = await cluster.result();
    expect(result).toMatchObject({ code: 'loop_detected', outcome: 'failure', steps: 6 });
    expect(cluster.tools.calls).toHaveLength(5);
    expect(model.requests).toHaveLength(6);
    expect(await rungsOf(cluster, result.run)).toEqual(['warn', 'nudge', 'ask', 'stop']);
    expect(result.step_log.at(-1)?.calls[0]).toMatchObject({
      status: 'refused',
      preview: 'alice said no: look at the log instead',
    });
    expect(await openRequests(cluster)).toEqual([]);
  });

  it('who does not answer: at the deadline the call counts as refused, and the run ends', async () => {
    const { cluster, question } = await asked(7, 60_000);
    const began = cluster.clock.now();
    const result = await cluster.result();
    expect(result).toMatchObject({ code: 'loop_detected', steps: 6 });
    expect(cluster.clock.now() - began).toBeGreaterThan(55_000);
    expect(cluster.clock.now() - began).toBeLessThan(70_000);
    expect(cluster.tools.calls).toHaveLength(5);
    const events = (await cluster.entries(result.run)).flatMap((entry) => entry.events);
    expect(events).toContainEqual({ type: 'approval_expired', c: question.c });
    expect(result.step_log.at(-1)?.calls[0]).toMatchObject({
      status: 'refused',
      preview: 'nobody approved the call in time',
    });
    expect(await openRequests(cluster)).toEqual([]);
  });
});
