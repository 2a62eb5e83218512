import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import type { Decision } from '../../src/core/decision.ts';
import { AppError } from '../../src/core/errors.ts';
import { RunSnapshot } from '../../src/core/run-state.ts';
import { FAULT_POINTS, type FaultPoint } from '../../src/runtime/fault-points.ts';
import { RunFold } from '../../src/runtime/fold.ts';
import { Cluster, type TestNode } from '../runtime/support.ts';

/**
 * The real runtime on the simulated bus, under random trouble: nodes that die at random points, nodes cut off for
 * longer than their lease that come back (zombies), acknowledgements that are lost, messages that arrive late. Whatever
 * happens: every run ends in one result, its journal is one history, idempotent effects happen once, others at most
 * once, retries are counted alike by every fold, and nothing is left waiting for a wake-up that never comes.
 */

const decision: fc.Arbitrary<Decision> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .array(fc.constantFrom('keyed', 'once', 'flaky'), { minLength: 1, maxLength: 3 })
      .map((tools) => ({ action: 'tool_call' as const, calls: tools.map((tool) => ({ tool, args: {} })) })),
  },
  { weight: 1, arbitrary: fc.constant({ action: 'ask_human' as const, question: '?' }) },
  { weight: 1, arbitrary: fc.constant({ action: 'think' as const }) },
);

const trouble = fc.oneof(
  fc.record({
    kind: fc.constant('die' as const),
    point: fc.constantFrom<FaultPoint>(...FAULT_POINTS),
    hit: fc.integer({ min: 1, max: 6 }),
  }),
  fc.record({
    kind: fc.constant('cut' as const),
    at: fc.integer({ min: 0, max: 4_000 }),
    ms: fc.integer({ min: 100, max: 5_000 }),
  }),
  fc.record({
    kind: fc.constant('lose' as const),
    nth: fc.integer({ min: 1, max: 60 }),
    how: fc.constantFrom('lost_ack' as const, 'lost' as const),
  }),
);
type Trouble = typeof trouble extends fc.Arbitrary<infer T> ? T : never;

async function play(decisions: Decision[], troubles: Trouble[], delayed: boolean, snapshots: number) {
  const cluster = await new Cluster({
    name: 'ai',
    model: 'ai',
    limits: { failing_steps: 1_000, steps: 1_000 } as never,
    loops: { detect: false } as never,
    retry_backoff_ms: 300,
  }).prepare();
  const effects = new Map<string, number>();
  const did = (key: string) => void effects.set(key, (effects.get(key) ?? 0) + 1);
  const later = (ms: number) => new Promise<void>((resolve) => void cluster.clock.after(ms, resolve));
  let flaky = 0;
  let hiccups = 0;
  /** Every n-th time; those who ask meet failures of all classes. */
  const every = (n: number, code: string) => {
    if (++hiccups % n === 0) throw new AppError(code, 'not now', { retryable: true });
  };
  cluster.tools
    .add('keyed', async (_args, call) => {
      every(5, 'busy');
      if (!effects.has(call.idempotencyKey)) did(call.idempotencyKey);
      await later(40);
      every(4, 'worker_lost');
      return 1;
    })
    .add(
      'once',
      async (_args, call) => {
        every(3, 'no_worker');
        did(`once:${call.idempotencyKey}`);
        await later(20);
        return 2;
      },
      { idempotent: false },
    )
    .add('flaky', () => {
      if (flaky++ % 3 === 0) throw new AppError('tool_error', 'not now', { retryable: true });
      return 3;
    });
  cluster.modelMap.ai = {
    think: async (input) => {
      every(6, hiccups % 4 === 0 ? 'rate_limit' : 'model_unavailable');
      return scripted(decisions[input.step - 1] ?? { action: 'final_answer', answer: 'end' });
    },
  };
  let published = 0;
  const losses = troubles.filter((one) => one.kind === 'lose');
  /** The state of the live runs, as their owners saw it after each entry (with a snapshot for each). */
  const live: RunSnapshot[] = [];
  cluster.broker.intercept = (operation) => {
    if (operation.kind === 'publish' && operation.subject.includes('.snap.'))
      live.push(RunSnapshot.parse(JSON.parse(operation.data ?? '')));
    if (operation.kind !== 'publish' || operation.node === 'client' || operation.attempt > 1) return 'ok';
    published++;
    return losses.find((loss) => loss.nth === published)?.how ?? 'ok';
  };
  const dying = troubles.filter((one) => one.kind === 'die').map((one) => ({ ...one, left: one.hit }));
  const dieAt = (point: FaultPoint) => {
    const next = dying.find((one) => one.left > 0);
    return next !== undefined && next.point === point && --next.left === 0;
  };
  const settings = { lease_ms: 1_000, park_after_ms: 400, snapshot_every: snapshots, claims_without_progress: 100 };
  const nodes: TestNode[] = [];
  let made = 0;
  const started = cluster.clock.now();
  const start = async () => nodes.push(await cluster.node(`n${made++}`, { settings, dieAt }));
  const task = { input: 'x', ...(delayed ? { not_before: new Date(started + 1_500).toISOString() } : {}) };
  await cluster.submit(task, 'ai');
  const cuts = troubles
    .filter((one) => one.kind === 'cut')
    .map((one) => ({ ...one, node: null as TestNode | null, state: 'due' as 'due' | 'cut' | 'done' }));
  const asked = new Set<string>();
  const result = await cluster.until(
    'result',
    async () => {
      while (nodes.filter((one) => !one.dead).length < 2) await start();
      const now = cluster.clock.now() - started;
      for (const cut of cuts) {
        if (cut.state === 'due' && now >= cut.at) {
          cut.node = nodes.find((one) => !one.dead && one.node.activeRuns > 0) ?? null;
          cut.node?.bus.cut();
          cut.state = 'cut';
        } else if (cut.state === 'cut' && now >= cut.at + cut.ms) {
          if (cut.node?.dead === false) cut.node.bus.heal();
          cut.state = 'done';
        }
      }
      for (const { requires, run } of await cluster.statuses()) {
        if (requires?.c === undefined || asked.has(requires.c)) continue;
        asked.add(requires.c);
        const body = { v: 1, c: requires.c, verdict: 'done', result: 'yes', by: 'op', why: '' };
        await cluster.client.publish(
          cluster.subjects.inbox({ run, kind: 'resolve', id: requires.c }),
          JSON.stringify(body),
        );
      }
      return (await cluster.results())[0];
    },
    400_000,
    100,
  );
  for (const cut of cuts) if (cut.state === 'cut' && cut.node?.dead === false) cut.node.bus.heal();
  await cluster.clock.advance(310_000);
  return { cluster, result, effects, live };
}

describe('any history', () => {
  it('ends in one result, with every effect as often as promised', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(decision, { minLength: 1, maxLength: 6 }),
        fc.array(trouble, { maxLength: 4 }),
        fc.boolean(),
        fc.constantFrom(1, 4),
        async (decisions, troubles, delayed, snapshots) => {
          const { cluster, result, effects, live } = await play(decisions, troubles, delayed, snapshots);
          const entries = await cluster.entries(result.run);
          expect(entries.map((entry) => entry.n)).toEqual(entries.map((_, i) => i));
          for (const entry of entries) {
            const claims = entries.filter(
              (one) => one.n <= entry.n && one.events.some((event) => event.type === 'claimed'),
            );
            expect(entry.epoch).toBe(claims.at(-1)?.n ?? -1);
          }
          expect(result).toMatchObject({ status: 'completed', answer: 'end' });
          expect(await cluster.results()).toHaveLength(1);
          for (const [key, times] of effects) expect(times, key).toBe(1);
          expect(await cluster.last('QUEUE', 'proctor.queue.>', String)).toEqual([]);
          expect(await cluster.last('IN', 'proctor.in.>', String)).toEqual([]);
          expect(await cluster.last('TASKS', 'proctor.tasks.>', String)).toEqual([]);

          // Folding the journal gives the state of the live run at every prefix, also when resumed from a snapshot there.
          const whole = new RunFold();
          const states = new Map(live.map((snapshot) => [snapshot.protocol.n, snapshot]));
          // Entry 0 and claims are folded before there is an owner; a death may cost the snapshot of one entry.
          const owned = entries.filter(
            (entry) => entry.n > 0 && entry.events.every((event) => event.type !== 'claimed'),
          );
          if (snapshots === 1) expect(states.size).toBeGreaterThanOrEqual(owned.length - troubles.length);
          for (const entry of entries) {
            whole.fold(entry);
            const atThatTime = states.get(entry.n);
            if (atThatTime !== undefined)
              expect(atThatTime).toEqual(RunSnapshot.parse(JSON.parse(JSON.stringify(whole.snapshot()))));
            const stored = RunSnapshot.parse(JSON.parse(JSON.stringify(whole.snapshot())));
            const resumed = new RunFold(stored);
            expect({
              value: resumed.value,
              context: resumed.context,
              wants: resumed.wants(),
              protocol: resumed.protocol,
            }).toEqual({
              value: whole.value,
              context: whole.context,
              wants: whole.wants(),
              protocol: whole.protocol,
            });
            const next = entries[entry.n + 1];
            if (next === undefined) continue;
            resumed.fold(next);
            const straight = new RunFold(stored);
            straight.fold(next);
            expect(resumed.context).toEqual(straight.context);
          }
          expect(whole.ended).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
  }, 300_000);
});
