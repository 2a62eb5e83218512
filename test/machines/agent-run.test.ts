import { describe, expect, it } from 'vitest';
import { progressOf } from '../../machines/agent-run/account.ts';
import { agentRunMachine } from '../../machines/agent-run/machine.ts';
import { FAILURE_CODES } from '../../src/core/reasons.ts';
import { RUN_STATES } from '../../src/core/run-state.ts';
import { Chart, fault, who } from './support.ts';

const answer = { action: 'final_answer' as const, answer: 42 };

describe('the agent-run chart', () => {
  it('has exactly the six states', () => {
    expect(Object.keys(agentRunMachine.states)).toEqual([...RUN_STATES]);
  });

  it('names each way to fail', () => {
    expect(Object.keys(agentRunMachine.states.failed?.states ?? {})).toEqual([...FAILURE_CODES]);
  });

  it('thinks, calls in parallel, observes, and answers', () => {
    const run = new Chart();
    expect(run.path).toBe('idle.accepted');
    run.claim();
    expect(run.path).toBe('thinking.deciding');
    expect(run.wants.map((want) => want.kind)).toEqual(['think', 'deadline']);
    run.call('read', 'list');
    expect(run.path).toBe('executing.calling');
    expect(run.calls).toEqual(['2-0', '2-1']);
    run.send({ type: 'call_done', c: '2-1', result: 1, ms: 5 });
    expect(run.path).toBe('executing.calling');
    expect(run.wants.filter((want) => want.kind === 'call').map((want) => want.id)).toEqual(['2-0']);
    run.send({ type: 'call_done', c: '2-0', result: 1, ms: 5 });
    expect(run.path).toBe('thinking.deciding');
    expect(run.context).toMatchObject({
      steps: 1,
      tool_calls: 2,
      tools_used: ['read', 'list'],
      tool_ms: 10,
      calls: [],
    });
    run.decide(answer);
    expect(run.path).toBe('completed.answered');
    expect(run.context).toMatchObject({ steps: 2, answer: 5, end: { code: 'completed' } });
    expect(run.wants).toEqual([]);
  });

  it('counts a failing step, waits twice as long each time, and ends max_retries at the third', () => {
    const run = new Chart().claim();
    const waits: number[] = [];
    for (const _ of [1, 2]) {
      run.call('x');
      run.send({ type: 'call_failed', c: run.calls[0] ?? '', error: fault(), ms: 1 });
      expect(run.path).toBe('waiting.backing_off');
      waits.push(run.context.not_before - run.at);
      run.at = run.context.not_before;
      run.send({ type: 'timer', due: run.context.not_before });
      expect(run.path).toBe('thinking.deciding');
    }
    run.call('x').send({ type: 'call_failed', c: `${run.n}-0`, error: fault(), ms: 1 });
    expect(run.path).toBe('failed.max_retries');
    expect(waits).toEqual([2_000, 4_000]);
    expect(run.context.steps).toBe(3);
  });

  it('forgets failures after a success', () => {
    const run = new Chart({}, {}, {}).claim().call('x');
    run.send({ type: 'call_failed', c: '2-0', error: fault(), ms: 1 });
    run.at += 60_000;
    run.send({ type: 'timer', due: 0 }).call('x');
    run.send({ type: 'call_done', c: run.calls[0] ?? '', result: null, ms: 1 });
    expect(run.context.failing).toBe(0);
  });

  it('does not leave a backoff before its moment', () => {
    const run = new Chart({ retry_backoff_ms: 60_000 }).claim().call('x');
    run.send({ type: 'call_failed', c: '2-0', error: fault(), ms: 1 });
    run.send({ type: 'timer', due: 0 });
    expect(run.path).toBe('waiting.backing_off');
  });

  it('waits for a person when nobody knows what became of a call that must not be repeated', () => {
    const run = new Chart()
      .claim()
      .decide({ action: 'tool_call', calls: [{ tool: 'pay', args: {} }] }, [{ idempotent: false }]);
    run.send({ type: 'call_started', c: '2-0', start_by: 5 });
    expect(run.wants[0]).toMatchObject({ kind: 'call', id: '2-0' });
    run.claim();
    expect(run.wants[0]).toMatchObject({ kind: 'unknown', c: '2-0', at: 5 });
    run.send({ type: 'outcome_unknown', c: '2-0', error: fault() });
    expect(run.path).toBe('waiting.person');
    expect(run.context.unknown).toEqual(['2-0']);
    expect(run.wants).toEqual([]);
  });

  it.each([
    ['done', 'thinking.deciding'],
    ['repeat', 'executing.calling'],
    ['fail', 'waiting.backing_off'],
  ] as const)('goes on when a person resolves it: %s', (verdict, path) => {
    const run = new Chart()
      .claim()
      .decide({ action: 'tool_call', calls: [{ tool: 'pay', args: {} }] }, [{ idempotent: false }]);
    run
      .send({ type: 'call_started', c: '2-0', start_by: 5 })
      .claim()
      .send({ type: 'outcome_unknown', c: '2-0', error: fault() });
    run.send({ type: 'resolved', c: '2-0', verdict, ...who });
    expect(run.path).toBe(path);
    expect(run.context.unknown).toEqual([]);
  });

  it('ignores an outcome that comes twice or for a call that is not its own', () => {
    const run = new Chart().claim().call('x', 'y');
    run.send({ type: 'call_done', c: '2-0', result: 1, ms: 1 });
    const before = run.context;
    run
      .send({ type: 'call_failed', c: '2-0', error: fault(), ms: 1 })
      .send({ type: 'call_done', c: '9-9', result: 1, ms: 1 });
    expect(run.context).toEqual(before);
  });

  it('stops its clock while it waits for a person, and only then', () => {
    const run = new Chart().claim();
    const deadline = run.context.deadline_at ?? 0;
    run.decide({ action: 'ask_human', question: 'which one?' });
    expect(run.path).toBe('waiting.person');
    expect(run.wants.some((want) => want.kind === 'deadline')).toBe(false);
    run.at += 600_000;
    run.send({ type: 'resolved', c: run.calls[0] ?? '', verdict: 'done', result: 'the red one', ...who });
    expect(run.path).toBe('thinking.deciding');
    expect(run.context.deadline_at).toBe(deadline + 601_000);
  });

  it.each(['cancel', 'kill', 'deadline', 'loop'] as const)(
    'obeys %s wherever it stands, and only before its end',
    (type) => {
      const code = { cancel: 'cancelled', kill: 'killed', deadline: 'timeout', loop: 'loop_detected' }[type];
      const event = type === 'deadline' ? { type } : type === 'loop' ? { type, detail: 'x' } : { type, ...who };
      const places = [
        new Chart(),
        new Chart().claim(),
        new Chart().claim().call('x'),
        new Chart().claim().decide({ action: 'ask_human', question: '?' }),
        new Chart().claim().send({ type: 'pause', ...who }),
      ];
      for (const run of places) expect(run.send(event as never).path).toBe(`failed.${code}`);
      const ended = new Chart().claim().decide(answer);
      expect(ended.send(event as never).path).toBe('completed.answered');
    },
  );

  it.each(FAILURE_CODES)('ends by the limit %s in the state of that name', (code) => {
    const run = new Chart().claim().send({ type: 'limit', code, detail: 'too much' });
    expect(run.path).toBe(`failed.${code}`);
    expect(run.context.end).toMatchObject({ code, detail: 'too much' });
  });

  it('is paused at once while it thinks, and after its step while calls run', () => {
    const thinking = new Chart().claim().send({ type: 'pause', ...who });
    expect(thinking.path).toBe('waiting.paused');
    expect(thinking.wants).toEqual([]);
    expect(thinking.send({ type: 'resume', ...who }).path).toBe('thinking.deciding');

    const calling = new Chart()
      .claim()
      .call('x')
      .send({ type: 'pause', ...who });
    expect(calling.path).toBe('executing.calling');
    calling.send({ type: 'call_done', c: '2-0', result: 1, ms: 1 });
    expect(calling.path).toBe('waiting.paused');
    expect(calling.context.steps).toBe(1);
    expect(calling.send({ type: 'resume', ...who }).path).toBe('thinking.deciding');
    expect(calling.context.hold).toBe(null);
  });

  it('finishes the step before a drain holds it', () => {
    const run = new Chart().claim().send({ type: 'drain', ...who });
    expect(run.path).toBe('thinking.deciding');
    run.call('x').send({ type: 'call_done', c: `${run.n}-0`, result: 1, ms: 1 });
    expect(run.path).toBe('waiting.paused');
  });

  it('starts after a pause that came before any node took it', () => {
    const run = new Chart().send({ type: 'pause', ...who }).claim();
    expect(run.path).toBe('waiting.paused');
    run.send({ type: 'resume', ...who });
    expect(run.wants[0]).toMatchObject({ kind: 'timer' });
    expect(run.send({ type: 'timer', due: 0 }).path).toBe('thinking.deciding');
  });

  it('waits for the moment that its task names', () => {
    const run = new Chart({}, { not_before: new Date(2_000_000).toISOString() }).claim();
    expect(run.path).toBe('idle.scheduled');
    run.send({ type: 'timer', due: 2_000_000 });
    expect(run.path).toBe('idle.scheduled');
    run.at = 2_000_000;
    expect(run.send({ type: 'timer', due: 2_000_000 }).path).toBe('thinking.deciding');
  });

  it('waits for an approval, calls when it is given, and goes on without when it is not', () => {
    const ask = () =>
      new Chart()
        .claim()
        .decide({ action: 'tool_call', calls: [{ tool: 'pay', args: {} }] }, [{ approval_until: 9_000_000 }]);
    const given = ask();
    expect(given.path).toBe('waiting.approval');
    expect(given.wants).toEqual([{ kind: 'approval_expiry', id: 'approval-2-0', c: '2-0', at: 9_000_000 }]);
    expect(given.send({ type: 'approval_decided', c: '2-0', verdict: 'approved', ...who }).path).toBe(
      'executing.calling',
    );
    expect(ask().send({ type: 'approval_decided', c: '2-0', verdict: 'denied', ...who }).path).toBe(
      'waiting.backing_off',
    );
    expect(ask().send({ type: 'approval_expired', c: '2-0' }).path).toBe('waiting.backing_off');
  });

  it('delegates, waits for the child, and takes its answer and its cost as its own', () => {
    const run = new Chart().claim().decide({ action: 'delegate', agent: 'b', input: 'part' });
    expect(run.path).toBe('executing.delegating');
    expect(run.wants[0]).toMatchObject({ kind: 'delegate', id: '2-0' });
    run.send({ type: 'delegated', c: '2-0', run: '20260101-d1' });
    expect(run.path).toBe('waiting.child');
    expect(run.wants.map((want) => want.kind)).toEqual(['deadline']);
    run.send({
      type: 'child_ended',
      c: '2-0',
      run: '20260101-d1',
      outcome: 'success',
      answer: 'x',
      usage: { input_tokens: 3, output_tokens: 4, cost_usd: 0.5 },
    });
    expect(run.path).toBe('thinking.deciding');
    expect(run.context).toMatchObject({ cost_usd: 0.5, input_tokens: 3, last_result: { c: '2-0' } });
  });

  it('plans first and reviews last when its agent says so', () => {
    const run = new Chart({ planning: true, review: true }).claim();
    expect(run.path).toBe('thinking.planning');
    run.decide({ action: 'plan', plan: { steps: [{ id: 'a', tool: 'x', args: {}, after: [] }] } });
    expect(run.path).toBe('thinking.deciding');
    expect(progressOf(run.context)).toBe(0);
    run.decide({ action: 'tool_call', calls: [{ tool: 'x', args: {}, plan_step: 'a' }] });
    expect(progressOf(run.context)).toBe(50);
    run.send({ type: 'call_done', c: `${run.n}-0`, result: 1, ms: 1 });
    expect(progressOf(run.context)).toBe(99);
    run.decide(answer);
    expect(run.path).toBe('thinking.reviewing');
    run.decide({ action: 'review', verdict: 'revise', comment: 'no' });
    expect(run.path).toBe('thinking.deciding');
    run.decide(answer).decide({ action: 'review', verdict: 'accept' });
    expect(run.path).toBe('completed.answered');
    expect(progressOf(run.context)).toBe(100);
  });

  it('says that an answer after a failing step is degraded', () => {
    const run = new Chart().claim().call('x').send({ type: 'call_failed', c: '2-0', error: fault(), ms: 1 });
    run.at += 60_000;
    run.send({ type: 'timer', due: 0 }).decide(answer);
    expect(run.path).toBe('completed.degraded');
    expect(run.context.end?.code).toBe('completed');
  });

  it.each([
    ['no_model', false, 'failed.no_model'],
    ['no_plan', false, 'failed.error'],
    ['model_error', true, 'waiting.backing_off'],
  ])('after the model failed with %s (retryable %s) stands in %s', (code, retryable, path) => {
    const run = new Chart().claim();
    const usage = { input_tokens: 10, output_tokens: 0, cost_usd: 0.1 };
    run.send({ type: 'think_failed', error: { code, message: 'no', retryable }, usage, model: 'm', ms: 1 });
    expect(run.path).toBe(path);
    expect(run.context).toMatchObject({ cost_usd: 0.1, input_tokens: 10 });
  });

  it.each([
    ['rate_limit', 'waiting.budget'],
    ['timeout', 'waiting.backing_off'],
  ])('asks the model again after %s, from %s, for the same and at its moment, and counts no step', (code, path) => {
    const run = new Chart({ planning: true }).claim();
    const usage = { input_tokens: 10, output_tokens: 0, cost_usd: 0.1 };
    const again = { error: { ...fault(), code }, usage, model: 'm', ms: 1, attempt: 1, wait_ms: 5_000 };
    run.send({ type: 'think_retry', ...again, not_before: run.at + 6_000 });
    expect(run.path).toBe(path);
    expect(run.context).toMatchObject({ steps: 0, failing: 0, think_retries: 1, cost_usd: 0.1 });
    const { not_before } = run.context;
    expect(run.wants[0]).toMatchObject({ kind: 'timer', at: not_before });
    expect(run.send({ type: 'timer', due: not_before }).path).toBe(path);
    run.at = not_before;
    expect(run.send({ type: 'timer', due: not_before }).path).toBe('thinking.planning');
    run.decide({ action: 'think' });
    expect(run.context.think_retries).toBe(0);
  });

  it('shows that a call is made again, and wants each try under a name of its own', () => {
    const run = new Chart()
      .claim()
      .decide({ action: 'tool_call', calls: [{ tool: 'pay', args: {} }] }, [{ idempotent: false }]);
    run.send({ type: 'call_started', c: '2-0', start_by: 5 });
    const again = { c: '2-0', class: 'rate_limit' as const, error: fault(), ms: 1, attempt: 1, wait_ms: 9 };
    run.send({ type: 'call_retry', ...again, not_before: run.at + 9 });
    expect(run.path).toBe('executing.retrying');
    expect(run.wants[0]).toMatchObject({ kind: 'retry', id: '2-0-again-1', call: { status: 'ready', attempt: 1 } });
    run.send({ type: 'call_started', c: '2-0', start_by: 5 });
    expect(run.wants[0]).toMatchObject({ kind: 'call', id: '2-0-again-1' });
    run.send({ type: 'call_done', c: '2-0', result: 1, ms: 1 });
    expect(run.path).toBe('thinking.deciding');
  });

  it('is held when an entry cannot be folded, and goes back to where it was', () => {
    const run = new Chart().claim().call('x').send({ type: 'quarantined', entry: 3, error: fault() });
    expect(run.path).toBe('idle.held');
    expect(run.wants).toEqual([]);
    expect(run.send({ type: 'released', ...who }).path).toBe('executing.calling');
    expect(run.wants[0]).toMatchObject({ kind: 'call' });
  });

  it('remembers ten steps and no results', () => {
    const run = new Chart().claim();
    for (let i = 0; i < 30; i++) {
      run.call('x');
      run.send({ type: 'call_done', c: run.calls[0] ?? '', result: 'r'.repeat(10_000), ms: 1 });
    }
    expect(run.context.window).toHaveLength(10);
    expect(JSON.stringify(run.context).length).toBeLessThan(4_000);
  });
});
