import { describe, expect, it } from 'vitest';
import { type ScriptedModel, scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { DecisionTrace } from '../../src/core/decision-trace.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Json } from '../../src/core/json.ts';
import { LoopSettings } from '../../src/core/loops.ts';
import { RunSnapshot } from '../../src/core/run-state.ts';
import { FAULT_POINTS, type FaultPoint } from '../../src/runtime/fault-points.ts';
import { RunFold } from '../../src/runtime/fold.ts';
import { clientOf, drive } from '../client/support.ts';
import { Cluster, recordingLog, type TestNode } from './support.ts';

/** Loop detection on a whole node: what each rung does to a run (SUP-4), and what is warned of (SUP-5). */

const call = (args: Record<string, Json> = { q: 'x' }, tool = 'echo') =>
  scripted({ action: 'tool_call', calls: [{ tool, args }] });
const answer = scripted({ action: 'final_answer', answer: 'done' });

/** A run of replies; the last entry of the journal and the trace of it. */
async function played(model: ScriptedModel, more: object = {}) {
  const cluster = new Cluster({ name: 'ai', model: 'ai', ...more });
  cluster.modelMap.ai = model;
  const log = recordingLog();
  await cluster.node('n1', { log });
  const client = clientOf(cluster);
  const { run } = await drive(cluster, client.submit({ input: 'x' }, 'ai'));
  const result = await drive(cluster, client.result(run, { wait: true }));
  const trace = DecisionTrace.parse(await drive(cluster, client.trace(run)));
  return { cluster, run, result, trace, log };
}

describe('a run that does the same again and again', () => {
  it('is warned of, nudged, put to a person, and stopped with loop_detected', async () => {
    const model = scriptedModel(Array.from({ length: 6 }, () => call()));
    const { cluster, run, result, trace, log } = await played(model, { limits: { failing_steps: 100 } });

    expect(result).toMatchObject({ status: 'failed', code: 'loop_detected', outcome: 'failure', steps: 6 });
    expect(result.error?.reason).toContain('the same step 6 times in a row, with the same result: echo (rule repeat)');
    // The sixth call needed an approval, which nobody gave.
    expect(cluster.tools.calls).toHaveLength(5);
    const rungs = trace.steps.map((step) => /POSSIBLE_LOOP.*\(repeat, (\w+)\)/.exec(step.warnings.join())?.[1]);
    expect(rungs).toEqual([undefined, undefined, undefined, 'warn', 'nudge', 'ask']);
    expect(trace.steps[5]?.calls[0]).toMatchObject({ observation: { status: 'refused' } });
    expect(trace.events.find((event) => event.type === 'loop')?.text).toContain('6 times in a row');

    // The model hears of it from the nudge on.
    expect(model.requests.map(({ notice }) => notice !== undefined)).toEqual([false, false, false, false, true, true]);
    expect(model.requests[4]?.notice).toContain('the same step 4 times in a row');

    // Each rung is in the log once, with what follows from it.
    const told = log.lines.filter(({ event }) => event === 'run.loop').map(({ fields }) => fields.rung);
    expect(told).toEqual(['warn', 'nudge', 'ask', 'stop']);

    // The verdict stands in the entry of the decision that it is about, and in that of the end.
    const events = (await cluster.entries(run)).flatMap((entry) => entry.events);
    const verdicts = events.flatMap((event) => (event.type === 'decided' && event.loop ? [event.loop.rung] : []));
    expect(verdicts).toEqual(['warn', 'nudge', 'ask']);
    expect(events.find((event) => event.type === 'loop')).toMatchObject({
      loop: { rung: 'stop', rule: 'repeat', count: 6, period: 1, callee: 'echo' },
    });
  });

  it('waits for a person at the rung ask, and its status says what for', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.modelMap.ai = scriptedModel(Array.from({ length: 6 }, () => call()));
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const waiting = await cluster.status('waiting.approval');
    expect(waiting.requires?.text).toContain('the run goes round in circles (the same step 5 times in a row');
    expect(waiting.warnings).toEqual([expect.stringMatching(/^POSSIBLE_LOOP: .*\(repeat, ask\)$/)]);
    expect(cluster.tools.calls).toHaveLength(5);
  });

  it('goes on without a person when the model does something else', async () => {
    const model = scriptedModel([...Array.from({ length: 5 }, () => call()), call({ q: 'y' }), answer]);
    const { cluster, result } = await played(model);
    expect(result.code).toBe('completed');
    expect(cluster.tools.calls).toHaveLength(6);
  });

  it('is left alone while the results differ', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai', limits: { steps: 60 } as never });
    let polls = 0;
    cluster.tools.add('status', () => ({ percent: polls++ }));
    cluster.modelMap.ai = {
      think: ({ step }) => Promise.resolve(step <= 50 ? call({ job: 1 }, 'status') : answer),
    };
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    expect((await cluster.result()).code).toBe('completed');
    expect(polls).toBe(50);
  });

  it('is stopped when it fails in the same way again and again, whatever it tries', async () => {
    const cluster = new Cluster({
      name: 'ai',
      model: 'ai',
      limits: { failing_steps: 100 } as never,
      retry_backoff_ms: 0,
      loops: LoopSettings.parse({ error: { warn: 2, nudge: 3, ask: null, stop: 4 } }),
    });
    cluster.tools.add('broken', () => {
      throw new AppError('tool_error', 'the disk is full');
    });
    let asked = 0;
    cluster.modelMap.ai = { think: () => Promise.resolve(call({ i: asked++ }, 'broken')) };
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    expect((await cluster.result()).error?.reason).toContain('broken failed in the same way 4 times in a row');
    expect(asked).toBe(4);
  });

  it('is not looked for when the agent says so', async () => {
    const loops = LoopSettings.parse({ detect: false });
    const { result } = await played(scriptedModel([...Array.from({ length: 12 }, () => call()), answer]), { loops });
    expect(result.code).toBe('completed');
  });

  it('leaves out what a tool declares as volatile', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    let seen = 0;
    cluster.tools.add('page', () => ({ text: 'sold out', at: seen++ }), {
      volatile: { result: ['at'], arguments: ['id'] },
    });
    let asked = 0;
    cluster.modelMap.ai = { think: () => Promise.resolve(call({ id: asked++ }, 'page')) };
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    expect((await cluster.result(400_000)).code).toBe('loop_detected');
    expect(seen).toBe(5);
  });
});

describe('a step without a tool', () => {
  it('never makes the check crash: thoughts, questions, plans, reviews and answers', async () => {
    const plan = { steps: [{ id: 'a', tool: 'echo', args: {}, after: [] }] };
    const review = (verdict: 'accept' | 'revise') => scripted({ action: 'review', verdict });
    const model = scriptedModel([
      scripted({ action: 'plan', plan }),
      scripted({ action: 'think' }),
      scripted({ action: 'think', reasoning: 'hm' }),
      answer,
      review('revise'),
      answer,
      review('accept'),
    ]);
    const { result, trace } = await played(model, { planning: true, review: true });
    expect(result.code).toBe('completed');
    expect(trace.steps.flatMap((step) => step.warnings)).toEqual([]);
  });

  it('is a loop when it says the same again and again', async () => {
    const model = scriptedModel(Array.from({ length: 6 }, () => scripted({ action: 'think', reasoning: 'what now?' })));
    const { result } = await played(model);
    expect(result).toMatchObject({ code: 'loop_detected', steps: 6 });
  });
});

describe('delegation in a circle (A -> B -> A)', () => {
  const boss = { name: 'a', model: 'a', delegates_to: ['b'] };
  const other = { name: 'b', model: 'b', delegates_to: ['a'] };

  it('is remarked on, and the same work is not given away a third time', async () => {
    const cluster = new Cluster(boss, other);
    const refusals: string[] = [];
    const passOn = (agent: string) => ({
      think: async (input: {
        step: number;
        window(): Promise<{ observations: { error?: { message: string } }[] }[]>;
      }) => {
        const error = (await input.window()).at(-1)?.observations[0]?.error;
        if (error !== undefined) refusals.push(error.message);
        return input.step === 1 ? scripted({ action: 'delegate', agent, input: 'the work' }) : answer;
      },
    });
    cluster.modelMap.a = passOn('b') as never;
    cluster.modelMap.b = passOn('a') as never;
    await cluster.node();
    await cluster.submit({ input: 'the work' }, 'a');
    const done = await cluster.until('all results', async () => {
      const results = await cluster.results();
      return results.length === 4 && results;
    });
    // a -> b -> a -> b, and the last would be a's third time.
    expect(done.map(({ agent }) => agent).sort()).toEqual(['a', 'a', 'b', 'b']);
    expect(refusals).toEqual([
      expect.stringMatching(/^not delegated: agent:a was given the same work before, 3 times/),
    ]);
    const verdicts = await Promise.all(
      done.map(async ({ run }) =>
        (await cluster.entries(run)).flatMap(({ events }) =>
          events.flatMap((event) => (event.type === 'decided' && event.loop ? [event.loop] : [])),
        ),
      ),
    );
    expect(verdicts.flat()).toEqual(
      expect.arrayContaining([
        { rung: 'warn', rule: 'delegation', count: 2, callee: 'agent:a' },
        { rung: 'nudge', rule: 'delegation', count: 3, callee: 'agent:a' },
      ]),
    );
  });

  it('the same work given to the same agent again and again is a loop, whatever it answers', async () => {
    const cluster = new Cluster({ name: 'a', model: 'a', delegates_to: ['b'] }, { name: 'b', model: 'b' });
    let answers = 0;
    cluster.modelMap.a = scriptedModel(
      Array.from({ length: 12 }, () => scripted({ action: 'delegate', agent: 'b', input: 'part' })),
    );
    cluster.modelMap.b = {
      think: () => Promise.resolve(scripted({ action: 'final_answer', answer: `answer ${answers++}` })),
    };
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'a');
    const result = await cluster.until('result', async () =>
      (await cluster.results()).find((one) => one.agent === 'a'),
    );
    expect(result.code).toBe('loop_detected');
    expect(answers).toBeLessThanOrEqual(6);
  });
});

describe('warnings of use (SUP-5)', () => {
  it('HIGH_COST and HIGH_TOKEN_USAGE stand on each step from there on, in the status, and once in the log', async () => {
    const dear = { input_tokens: 29_000, output_tokens: 1_000, cost_usd: 0.3 };
    const model = scriptedModel([
      scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: { q: 1 } }] }, dear),
      scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: { q: 2 } }] }, dear),
      scripted({ action: 'final_answer', answer: 1 }),
    ]);
    const { cluster, trace, log } = await played(model);
    expect(trace.steps.map((step) => step.warnings)).toEqual([
      [],
      [
        'HIGH_COST: 0.6000 USD spent by this run, over 0.5',
        'HIGH_TOKEN_USAGE: 60000 tokens used by this run, over 50000',
      ],
      [
        'HIGH_COST: 0.6000 USD spent by this run, over 0.5',
        'HIGH_TOKEN_USAGE: 60000 tokens used by this run, over 50000',
      ],
    ]);
    const told = log.lines.filter(({ event }) => event === 'run.anomaly').map(({ fields }) => fields.code);
    expect(told).toEqual(['HIGH_COST', 'HIGH_TOKEN_USAGE']);
    expect((await cluster.statuses())[0]?.warnings).toHaveLength(2);
  });

  it('SUP-5: TOOL_CALL_SURGE from the 80th call on, and not at the 79th', async () => {
    const wide = (step: number, length: number) =>
      scripted({
        action: 'tool_call',
        calls: Array.from({ length }, (_, i) => ({ tool: 'echo', args: { i: `${step} ${i}` } })),
      });
    const one = scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: {} }] });
    const { trace } = await played(scriptedModel([wide(1, 40), wide(2, 39), one, answer]));
    const codes = trace.steps.map((step) => step.warnings.map((text) => text.split(':')[0]));
    expect(codes).toEqual([[], [], ['TOOL_CALL_SURGE'], ['TOOL_CALL_SURGE']]);
  });
});

describe('a node that dies between the warning and the stop', () => {
  /** The run from its first step to its end; a node that dies is followed by another. */
  async function story(dieAt?: FaultPoint, hit = 1) {
    const cluster = await new Cluster({ name: 'ai', model: 'ai' }).prepare();
    cluster.modelMap.ai = { think: () => Promise.resolve(call()) };
    let left = hit;
    let crashes = -1;
    let node: TestNode | null = null;
    const visited = new Set<FaultPoint>();
    await cluster.submit({ input: 'x' }, 'ai');
    const result = await cluster.until('result', async () => {
      if (node === null || node.dead) {
        crashes++;
        node = await cluster.node(`n${crashes}`, {
          settings: { lease_ms: 1_000, park_after_ms: 500, snapshot_every: 3 },
          dieAt: (point) => {
            visited.add(point);
            return point === dieAt && left > 0 && --left === 0;
          },
        });
      }
      return (await cluster.results())[0];
    });
    const entries = await cluster.entries(result.run);
    const verdicts = entries.flatMap(({ events }) =>
      events.flatMap((event) => ('loop' in event && event.loop !== undefined ? [event.loop] : [])),
    );
    return { cluster, result, entries, verdicts, crashes, visited };
  }

  it('leaves the same verdicts, wherever it dies', { timeout: 120_000 }, async () => {
    const calm = await story();
    expect(calm.result).toMatchObject({ code: 'loop_detected', steps: 6 });
    expect(calm.verdicts.map(({ rung }) => rung)).toEqual(['warn', 'nudge', 'ask', 'stop']);
    const points = FAULT_POINTS.filter((point) => calm.visited.has(point));
    expect(points.length).toBeGreaterThan(12);
    for (const point of points) {
      for (const hit of [1, 5, 9, 13]) {
        const { result, verdicts, cluster } = await story(point, hit);
        expect({ point, hit, code: result.code, steps: result.steps }).toEqual({
          point,
          hit,
          code: 'loop_detected',
          steps: 6,
        });
        expect(verdicts).toEqual(calm.verdicts);
        expect(new Set(cluster.tools.calls.map((one) => one.idempotencyKey)).size).toBe(5);
      }
    }
  });

  it('another node knows from the snapshot what the first knew from all entries; an old snapshot is read', async () => {
    const { entries } = await story();
    const whole = new RunFold();
    for (const entry of entries) whole.fold(entry);
    const json = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown;
    for (let at = 1; at < entries.length; at++) {
      const first = new RunFold();
      for (const entry of entries.slice(0, at)) first.fold(entry);
      const snapshot = RunSnapshot.parse(json(first.snapshot()));
      const next = new RunFold(snapshot);
      for (const entry of entries.slice(at)) next.fold(entry);
      expect(json(next.loops)).toEqual(json(whole.loops));
      const { loops: _none, ...old } = snapshot;
      expect(RunSnapshot.safeParse(old).success).toBe(true);
    }
  });
});
