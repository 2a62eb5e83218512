import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { FAULT_POINTS, type FaultPoint } from '../../src/runtime/fault-points.ts';
import { Cluster, type TestNode } from './support.ts';

/**
 * A node dies at one point of one scenario, another goes on; for every point, one by one. The scenario leads to all of
 * them: a keyed task whose run delegates, asks a person, calls a tool that may be repeated and one that may not.
 */

async function scenario(dieAt?: FaultPoint, hit = 1) {
  const cluster = await new Cluster({ name: 'boss', model: 'boss', delegates_to: ['plan'] }).prepare();
  const effects = new Map<string, number>();
  const count = (key: string) => void effects.set(key, (effects.get(key) ?? 0) + 1);
  cluster.tools.add('keyed', async (args, call) => {
    // Something from outside reaches the run while it is in work: an operator's word that changes nothing.
    const subject = cluster.subjects.inbox({ run: call.run, kind: 'resume', id: 'x' });
    await cluster.client.publish(subject, JSON.stringify({ v: 1, by: 'op' })).catch(() => {});
    await new Promise<void>((resolve) => void cluster.clock.after(30, resolve));
    if (!effects.has(call.idempotencyKey)) count(call.idempotencyKey);
    return args;
  });
  cluster.tools.add(
    'once',
    (_args, call) => {
      count(call.idempotencyKey);
      return 'paid';
    },
    { idempotent: false },
  );
  cluster.modelMap.boss = {
    think: (input) => {
      const decide = {
        1: {
          action: 'tool_call',
          calls: [
            { tool: 'keyed', args: { a: 1 } },
            { tool: 'keyed', args: { a: 2 } },
          ],
        },
        2: { action: 'tool_call', calls: [{ tool: 'once', args: {} }] },
        3: {
          action: 'delegate',
          agent: 'plan',
          input: 'part',
          plan: { steps: [{ id: 's', tool: 'keyed', args: { a: 3 }, after: [] }] },
        },
        4: { action: 'ask_human', question: 'go on?' },
      }[input.step];
      return Promise.resolve(scripted((decide ?? { action: 'final_answer', answer: 'done' }) as never));
    },
  };
  const visited = new Set<FaultPoint>();
  let left = hit;
  let node: TestNode | null = null;
  let unknown = 0;
  let crashes = 0;
  const settings = { lease_ms: 1_000, park_after_ms: 500, snapshot_every: 3, claims_without_progress: 50 };
  const options = {
    settings,
    dieAt: (point: FaultPoint) => {
      visited.add(point);
      return point === dieAt && left > 0 && --left === 0;
    },
  };
  const not_before = new Date(cluster.clock.now() + 2_000).toISOString();
  await cluster.submit({ input: 'x', key: 'k', not_before }, 'boss');
  const asked = new Set<string>();
  const result = await cluster.until('result of the whole', async () => {
    if (node === null || node.dead) {
      if (node !== null) crashes++;
      node = await cluster.node(`n${crashes}`, options);
    }
    for (const status of await cluster.statuses()) {
      const { requires, run } = status;
      if (requires?.c === undefined || asked.has(`${run}${requires.c}`)) continue;
      const body = { v: 1, c: requires.c, verdict: 'done', result: 'paid', by: 'op', why: 'checked' };
      asked.add(`${run}${requires.c}`);
      if (requires.kind === 'resolve') unknown++;
      await cluster.client.publish(
        cluster.subjects.inbox({ run, kind: 'resolve', id: requires.c }),
        JSON.stringify(body),
      );
    }
    return (await cluster.results()).find((one) => one.agent === 'boss');
  });
  // Timers of waits that are over are settled when they are due, at the latest with the deadline.
  await cluster.clock.advance(310_000);
  const trace = (await cluster.entries(result.run)).flatMap((entry) =>
    entry.events
      .filter((event) => event.type === 'decided' || event.type === 'call_done' || event.type === 'child_ended')
      .map((event) =>
        event.type === 'decided'
          ? { decision: event.decision }
          : { type: event.type, value: 'result' in event ? event.result : 'answer' in event ? event.answer : null },
      ),
  );
  const left2 = await cluster.last('QUEUE', 'proctor.queue.>', (text) => text);
  const inbox = await cluster.last('IN', 'proctor.in.>', (text) => text);
  return {
    result,
    results: await cluster.results(),
    effects,
    visited,
    crashes,
    unknown,
    trace,
    queued: left2,
    inbox,
    left,
  };
}

describe('a node that dies', () => {
  it('is replaced without loss, wherever it dies', async () => {
    const calm = await scenario();
    expect(calm.result).toMatchObject({ status: 'completed', answer: 'done', steps: 5 });
    // A team that is started again has a scenario of its own: teams.test.ts.
    expect(calm.visited).toEqual(new Set(FAULT_POINTS.filter((point) => point !== 'delegate.member_stopped')));
    expect(calm.queued).toEqual([]);
    expect(calm.inbox).toEqual([]);
    for (const point of FAULT_POINTS) {
      for (const hit of [1, 2]) {
        const seen = await scenario(point, hit);
        const where = `${point} #${hit}`;
        if (seen.left > 0) continue;
        expect(seen.crashes, where).toBe(1);
        expect(seen.result, where).toMatchObject({ status: 'completed', answer: 'done', steps: 5 });
        expect(seen.results.map((one) => one.agent).sort(), where).toEqual(['boss', 'plan']);
        expect([...seen.effects.values()], where).toEqual([...seen.effects.values()].map(() => 1));
        expect(seen.effects.size, where).toBeGreaterThanOrEqual(4 - seen.unknown);
        expect(seen.queued, where).toEqual([]);
        expect(seen.inbox, where).toEqual([]);
        if (seen.unknown === 0) expect(seen.trace, where).toEqual(calm.trace);
      }
    }
  }, 120_000);
});
