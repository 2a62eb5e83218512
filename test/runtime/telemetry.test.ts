import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import { REDACTED } from '../../src/core/redact.ts';
import type { FinishedSpan, Metrics, Telemetry } from '../../src/ports/telemetry.ts';
import { Cluster, chain } from './support.ts';

/** What a node tells of its runs, as it is handed to whoever sends it. */
class Recorder implements Telemetry {
  readonly spans: FinishedSpan[] = [];
  readonly figures: [string, ...unknown[]][] = [];
  parentSampled: boolean | null | undefined;
  readonly tracing: Telemetry['tracing'];
  readonly metrics: Metrics;

  constructor(sampled = true) {
    this.tracing = {
      sampled: (_, parent) => {
        this.parentSampled = parent;
        return sampled;
      },
      report: (span) => void this.spans.push(span),
    };
    const note =
      (what: string) =>
      (...all: unknown[]) =>
        void this.figures.push([what, ...all]);
    this.metrics = {
      task: note('task'),
      claimed: note('claimed'),
      step: note('step'),
      model: note('model'),
      tool: note('tool'),
      toolCache: note('toolCache'),
      answerCache: note('answerCache'),
      time: note('time'),
      run: note('run'),
      observe: () => () => {},
    };
  }

  /** Spans by id: one that was told twice is one. */
  get unique(): FinishedSpan[] {
    return [...new Map(this.spans.map((span) => [span.span, span])).values()];
  }

  named(name: string): FinishedSpan[] {
    return this.unique.filter((span) => span.name === name);
  }
}

/** Names of the spans above, the span itself last; fails when one is missing. */
function pathOf(span: FinishedSpan, all: FinishedSpan[], top: string | null = null): string[] {
  if (span.parent === top) return [span.name];
  const parent = all.find((one) => one.span === span.parent);
  if (parent === undefined) throw new Error(`the span above ${span.name} is missing`);
  return [...pathOf(parent, all, top), span.name];
}

describe('the spans of a run', () => {
  it('make one tree: run, plan, steps, and below each step its model call and its tool calls', async () => {
    const recorder = new Recorder();
    const cluster = await new Cluster().prepare();
    await cluster.node('n1', { telemetry: recorder });
    await cluster.submit(chain(3));
    const result = await cluster.result();
    await cluster.clock.advance(100);
    const all = recorder.unique;
    const paths = all.map((span) => pathOf(span, all).join(' > '));
    expect(paths.filter((path) => path === 'agent.run > agent.plan > agent.step > execute_tool echo')).toHaveLength(3);
    expect(paths.filter((path) => path === 'agent.run > agent.plan > agent.step > chat plan')).toHaveLength(4);
    expect(paths).toHaveLength(1 + 1 + 4 + 4 + 3);
    expect(new Set(all.map((span) => span.trace)).size).toBe(1);
    const [root] = recorder.named('agent.run');
    expect(root?.attributes).toMatchObject({
      'agent.execution_id': result.run,
      'agent.task': 'chain',
      'agent.task_hash': expect.stringMatching(/^[0-9a-f]{32}$/),
      'agent.succeeded': true,
      'agent.reason': 'completed',
      'agent.steps': 4,
    });
    const steps = recorder.named('agent.step').map((span) => span.attributes['agent.step']);
    expect(steps.toSorted((a, b) => Number(a) - Number(b))).toEqual([1, 2, 3, 4]);
    const [call] = recorder.named('execute_tool echo');
    expect(call).toMatchObject({
      kind: 'client',
      attributes: {
        'action.tool': 'echo',
        'observation.status': 'ok',
        'gen_ai.operation.name': 'execute_tool',
        'action.duration_ms': expect.any(Number),
      },
    });
    for (const span of all) expect(span.end).toBeGreaterThanOrEqual(span.start);
  });

  it('hang below the trace context that the task brought, whose id every call carries on', async () => {
    const recorder = new Recorder();
    const cluster = await new Cluster().prepare();
    await cluster.node('n1', { telemetry: recorder });
    const [trace, above] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
    await cluster.client.publish(cluster.subjects.task('plan', 'u'), JSON.stringify(chain(1)), {
      headers: { traceparent: `00-${trace}-${above}-01` },
    });
    await cluster.result();
    await cluster.clock.advance(100);
    expect(recorder.parentSampled).toBe(true);
    for (const span of recorder.unique) expect(pathOf(span, recorder.unique, above)[0]).toBe('agent.run');
    expect(new Set(recorder.unique.map((span) => span.trace))).toEqual(new Set([trace]));
    const [call] = recorder.named('execute_tool echo');
    expect(cluster.tools.calls[0]?.traceparent).toBe(`00-${trace}-${call?.span}-01`);
  });

  it('are not made for a trace that the sampler leaves out, and its calls say so', async () => {
    const recorder = new Recorder(false);
    const cluster = await new Cluster().prepare();
    await cluster.node('n1', { telemetry: recorder });
    await cluster.submit(chain(1));
    await cluster.result();
    await cluster.clock.advance(100);
    expect(recorder.spans).toEqual([]);
    expect(cluster.tools.calls[0]?.traceparent).toMatch(/-00$/);
  });

  it('are complete when the node died in the middle and had not sent what it had', async () => {
    const [first, second] = [new Recorder(), new Recorder()];
    const cluster = await new Cluster().prepare();
    let folded = 0;
    const dying = await cluster.node('n1', {
      telemetry: first,
      // With the second step decided and its call under way.
      dieAt: (point) => point === 'call.sent' && ++folded === 3,
    });
    await cluster.submit(chain(5));
    await cluster.until('death', () => Promise.resolve(dying.dead));
    await cluster.node('n2', { telemetry: second });
    const result = await cluster.result();
    await cluster.clock.advance(100);
    expect(result.status).toBe('completed');
    const all = second.unique;
    for (const span of all) pathOf(span, all);
    expect(
      second
        .named('agent.step')
        .map((span) => span.attributes['agent.step'])
        .toSorted((a, b) => Number(a) - Number(b)),
    ).toEqual([1, 2, 3, 4, 5, 6]);
    expect(second.named('execute_tool echo')).toHaveLength(5);
    const [root] = second.named('agent.run');
    expect(
      root?.events.filter((event) => event.name === 'claimed').map((event) => event.attributes['agent.node']),
    ).toEqual(['n1', 'n2']);
    expect(root?.attributes['agent.restarts']).toBe(1);
    expect(second.figures).toContainEqual(['claimed', { agent: 'plan', why: 'restart' }]);
    // What both told is the same span.
    const told = new Set(all.map((span) => span.span));
    expect(first.spans.length).toBeGreaterThan(0);
    for (const span of first.spans) expect(told).toContain(span.span);
  });

  it('show failures, retries and what a run waited for', async () => {
    const recorder = new Recorder();
    const cluster = await new Cluster().prepare();
    let tries = 0;
    cluster.tools.add('flaky', () => {
      tries++;
      if (tries === 1)
        throw new AppError('worker_lost', `gone, with password=hunter2 in its pocket`, { retryable: true });
      return 'ok';
    });
    cluster.tools.add('broken', () => {
      throw new AppError('tool_error', 'it broke, its key was sk-aaaaaaaaaaaaaaaaaaaaaaaa');
    });
    await cluster.node('n1', { telemetry: recorder });
    await cluster.submit({
      input: { password: 'hunter2', ask: 'x'.repeat(200) },
      plan: {
        steps: [
          { id: 'a', tool: 'flaky', args: {} },
          { id: 'b', tool: 'broken', args: {}, after: ['a'] },
        ],
      },
    });
    const result = await cluster.result();
    await cluster.clock.advance(100);
    expect(result.status).toBe('failed');
    const [flaky] = recorder.named('execute_tool flaky');
    expect(flaky?.events).toMatchObject([{ name: 'call_retry', attributes: { 'error.type': 'worker_lost' } }]);
    expect(flaky?.error).toBeUndefined();
    const [broken] = recorder.named('execute_tool broken');
    expect(broken?.error).toEqual({ type: 'tool_error', message: `it broke, its key was ${REDACTED}` });
    expect(recorder.named('agent.run')[0]).toMatchObject({
      attributes: { 'agent.succeeded': false },
      error: { type: result.code },
    });
    const shown = JSON.stringify(recorder.spans);
    expect(shown).not.toContain('hunter2');
    expect(String(recorder.named('agent.run')[0]?.attributes['agent.task'])).toHaveLength(100);
  });

  it('show that a run was parked for an approval which never came, and when it went on', async () => {
    const recorder = new Recorder();
    const cluster = await new Cluster().prepare();
    cluster.tools.add('risky', () => 'done', { requires_approval: true });
    await cluster.node('n1', { telemetry: recorder });
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'risky', args: {} }] } });
    await cluster.result();
    await cluster.clock.advance(100);
    const [risky] = recorder.named('execute_tool risky');
    expect(risky?.events.map((event) => event.name)).toEqual(['approval_asked', 'approval_expired']);
    expect(risky?.error?.type).toBe('approval_timeout');
    expect((risky?.end ?? 0) - (risky?.start ?? 0)).toBeGreaterThanOrEqual(300_000);
    const [root] = recorder.named('agent.run');
    expect(root?.events.map((event) => event.name)).toEqual(['claimed', 'parked', 'claimed']);
    expect(recorder.figures).toContainEqual(['claimed', { agent: 'plan', why: 'resumed' }]);
    const waited = recorder.figures.flatMap(([what, labels, seconds]) =>
      what === 'time' && (labels as { part: string }).part === 'waiting' ? [Number(seconds)] : [],
    );
    expect(waited.reduce((sum, one) => sum + one, 0)).toBeGreaterThanOrEqual(300);
  });

  it('tell of a step that the end of the run cut off', async () => {
    const recorder = new Recorder();
    const cluster = await new Cluster().prepare();
    cluster.tools.add('slow', () => new Promise(() => {}));
    await cluster.node('n1', { telemetry: recorder });
    await cluster.submit({
      input: 'x',
      plan: { steps: [{ id: 'a', tool: 'slow', args: {} }] },
      limits: { wall_ms: 5_000 },
    });
    const result = await cluster.result();
    await cluster.clock.advance(100);
    expect(result.code).toBe('timeout');
    const [slow] = recorder.named('execute_tool slow');
    expect(slow?.attributes['observation.status']).toBe('unknown');
    for (const span of recorder.unique) pathOf(span, recorder.unique);
  });

  it('of a delegated run hang below the call that delegated it', async () => {
    const recorder = new Recorder();
    const cluster = await new Cluster({ name: 'boss', model: 'boss', delegates_to: ['plan'] }).prepare();
    cluster.modelMap.boss = {
      think: (input) =>
        Promise.resolve(
          scripted(
            input.step === 1
              ? { action: 'delegate', agent: 'plan', input: 'sub', plan: chain(1).plan }
              : { action: 'final_answer', answer: 'done' },
          ),
        ),
    };
    await cluster.node('n1', { telemetry: recorder });
    await cluster.submit({ input: 'x' }, 'boss');
    await cluster.until('both results', async () => (await cluster.results()).length === 2);
    await cluster.clock.advance(500);
    const paths = recorder.unique.map((span) => pathOf(span, recorder.unique).join(' > '));
    expect(paths).toContain(
      'agent.run > agent.step > invoke_agent plan > agent.run > agent.plan > agent.step > execute_tool echo',
    );
  });
});

describe('the figures of a run', () => {
  it('count a model call that was made again, as do its spans', async () => {
    const recorder = new Recorder();
    const cluster = await new Cluster({ name: 'busy', model: 'busy' }).prepare();
    let tries = 0;
    cluster.modelMap.busy = {
      think: () => {
        if (++tries === 1) throw new AppError('rate_limit', 'slow down', { retryable: true });
        return Promise.resolve(scripted({ action: 'final_answer', answer: 1 }));
      },
    };
    await cluster.node('n1', { telemetry: recorder });
    await cluster.submit({ input: 'x' }, 'busy');
    await cluster.result();
    await cluster.clock.advance(100);
    const [step] = recorder.named('agent.step');
    const models = recorder.named('chat busy').toSorted((a, b) => a.start - b.start);
    expect(models.map((span) => span.error?.type)).toEqual(['rate_limit', undefined]);
    expect(step?.start).toBe(models[0]?.start);
    expect(step?.error).toBeUndefined();
    expect(recorder.figures.filter(([what]) => what === 'model')).toHaveLength(2);
  });

  it('count its steps, calls and time, and name tools that nobody defined as unknown', async () => {
    const recorder = new Recorder();
    const cluster = await new Cluster({ name: 'wild', model: 'wild' }).prepare();
    cluster.modelMap.wild = {
      think: (input) =>
        Promise.resolve(
          scripted(
            input.step === 1
              ? { action: 'tool_call', calls: [{ tool: 'made-up-name', args: {} }] }
              : input.step === 2
                ? { action: 'tool_call', calls: [{ tool: 'echo', args: {} }] }
                : { action: 'final_answer', answer: 1 },
          ),
        ),
    };
    await cluster.node('n1', { telemetry: recorder });
    await cluster.submit({ input: 'x' }, 'wild');
    await cluster.result();
    await cluster.clock.advance(100);
    const labels = (what: string) => recorder.figures.filter(([name]) => name === what).map((figure) => figure[1]);
    expect(labels('step')).toEqual([
      { agent: 'wild', tool: 'unknown', status: 'refused' },
      { agent: 'wild', tool: 'echo', status: 'ok' },
      { agent: 'wild', tool: 'none', status: 'ok' },
    ]);
    expect(labels('task')).toEqual([{ agent: 'wild', status: 'accepted' }]);
    expect(labels('claimed')).toEqual([{ agent: 'wild', why: 'first' }]);
    expect(labels('run')).toEqual([{ agent: 'wild', outcome: 'success', reason: 'completed' }]);
    expect(labels('time')).toContainEqual({ agent: 'wild', part: 'waiting' });
    expect(JSON.stringify(recorder.figures)).not.toContain('made-up-name');
  });
});
