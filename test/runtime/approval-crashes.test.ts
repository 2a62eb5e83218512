import { describe, expect, it } from 'vitest';
import { ApprovalRequest } from '../../src/core/approval-wire.ts';
import { APPROVAL_POINTS, FAULT_POINTS, type FaultPoint } from '../../src/runtime/fault-points.ts';
import { addApprover, decide, edit, openRequests, refused } from './approval-support.ts';
import { Cluster, type TestNode } from './support.ts';

/**
 * A node dies at one point between the question and the effect, another goes on; for every point, one by one. The effect
 * happens once, with the arguments that were approved, and the approval is neither lost nor asked for again.
 */

const CALLS = [
  { id: 'again', tool: 'again', args: { amount: 2 } },
  { id: 'once', tool: 'once', args: { amount: 3 }, after: ['again'] },
];

async function scenario(dieAt?: FaultPoint, hit = 1) {
  const cluster = await new Cluster({ name: 'payer' }).prepare();
  const alice = await addApprover(cluster, 'alice');
  const effects: unknown[] = [];
  const done = new Set<string>();
  const schema = { type: 'object', properties: { amount: { type: 'number' } } };
  cluster.tools.add(
    'again',
    (args, call) => {
      if (!done.has(call.idempotencyKey)) effects.push(args);
      done.add(call.idempotencyKey);
      return args;
    },
    { requires_approval: true, parameters: schema },
  );
  cluster.tools.add(
    'once',
    (args) => {
      effects.push(args);
      return args;
    },
    { requires_approval: true, idempotent: false, parameters: schema },
  );
  const visited = new Set<FaultPoint>();
  let left = hit;
  let crashes = 0;
  let node: TestNode | null = null;
  const options = {
    settings: { lease_ms: 1_000, park_after_ms: 500, snapshot_every: 3, claims_without_progress: 50 },
    dieAt: (point: FaultPoint) => {
      visited.add(point);
      return point === dieAt && left > 0 && --left === 0;
    },
  };
  await cluster.submit({ input: 'x', plan: { steps: CALLS } }, 'payer');
  const said = new Set<string>();
  let resolved = 0;
  const result = await cluster.until('result', async () => {
    if (node === null || node.dead) {
      if (node !== null) crashes++;
      node = await cluster.node(`n${crashes}`, options);
    }
    for (const request of await openRequests(cluster)) {
      if (said.has(request.id)) continue;
      said.add(request.id);
      const more = request.tool === 'again' ? { edited: edit({ amount: 1 }) } : {};
      await decide(cluster, ApprovalRequest.parse(request), alice, more);
    }
    for (const { run, requires } of await cluster.statuses()) {
      if (requires?.kind !== 'resolve' || requires.c === undefined || said.has(`resolve ${requires.c}`)) continue;
      said.add(`resolve ${requires.c}`);
      resolved++;
      const verdict = effects.length === 2 ? { verdict: 'done', result: null } : { verdict: 'repeat' };
      const body = JSON.stringify({ v: 1, c: requires.c, ...verdict, by: 'op', why: 'looked' });
      await cluster.client.publish(cluster.subjects.inbox({ run, kind: 'resolve', id: requires.c }), body);
    }
    return (await cluster.results())[0];
  });
  await cluster.clock.advance(310_000);
  const events = (await cluster.entries(result.run)).flatMap((entry) => entry.events);
  return {
    result,
    effects,
    visited,
    crashes,
    left,
    resolved,
    approvals: events.filter(({ type }) => type === 'approval_decided').length,
    refused: (await refused(cluster)).map(({ code }) => code),
    open: await openRequests(cluster),
    inbox: await cluster.last('IN', 'proctor.in.>', (text) => text),
  };
}

describe('a node that dies between a decision and its effect', () => {
  it('is replaced: the effect happens once, and the approval is used once', async () => {
    const calm = await scenario();
    expect(calm.result.status).toBe('completed');
    expect(calm.effects).toEqual([{ amount: 1 }, { amount: 3 }]);
    for (const point of APPROVAL_POINTS) expect(calm.visited, point).toContain(point);
    for (const point of [...FAULT_POINTS, ...APPROVAL_POINTS].filter((one) => calm.visited.has(one))) {
      for (const hit of [1, 2, 3]) {
        const seen = await scenario(point, hit);
        const where = `${point} #${hit}`;
        if (seen.left > 0) continue;
        expect(seen.crashes, where).toBe(1);
        expect(seen.result.status, where).toBe('completed');
        expect(seen.effects, where).toEqual([{ amount: 1 }, { amount: 3 }]);
        expect(seen.approvals, where).toBe(2);
        expect(seen.refused, where).toEqual([]);
        expect(seen.open, where).toEqual([]);
        expect(seen.inbox, where).toEqual([]);
      }
    }
  }, 120_000);
});
