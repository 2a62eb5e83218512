import { describe, expect, it } from 'vitest';
import { NO_USAGE } from '../../src/core/decision.ts';
import { Chart, fault, who } from './support.ts';

/** What reaches a run while an operator holds it, or a fold that failed does, is not lost. */

const CHILD = '20260101-d1';
const delegating = () => new Chart().claim().decide({ action: 'delegate', agent: 'b', input: 'part' });
const withChild = () => delegating().send({ type: 'delegated', c: '2-0', run: CHILD });
const childEnded = {
  type: 'child_ended',
  c: '2-0',
  run: CHILD,
  outcome: 'success',
  answer: 'x',
  usage: NO_USAGE,
} as const;
const quarantined = { type: 'quarantined', entry: 3, error: fault() } as const;
const paused = { type: 'pause', ...who } as const;
const resumed = { type: 'resume', ...who } as const;
const released = { type: 'released', ...who } as const;

describe('a run that is held', () => {
  it('remembers the answer of its child, and goes on with it when it is released', () => {
    const run = withChild().send(quarantined).send(childEnded);
    expect(run.path).toBe('idle.held');
    expect(run.wants).toEqual([]);
    expect(run.send(released).path).toBe('thinking.deciding');
    expect(run.context.last_result).toMatchObject({ c: '2-0' });
  });

  it('remembers what a person said', () => {
    const run = new Chart().claim().decide({ action: 'ask_human', question: '?' }).send(quarantined);
    run.send({ type: 'resolved', c: '2-0', verdict: 'done', result: 'red', ...who });
    expect(run.send(released).path).toBe('thinking.deciding');
  });

  it('while it was paused is paused again when it is released, and goes on where it was when it is resumed', () => {
    const run = withChild().send(paused).send(quarantined);
    expect(run.path).toBe('idle.held');
    expect(run.send(released).path).toBe('waiting.paused');
    expect(run.send(resumed).path).toBe('waiting.child');
    expect(run.context.hold).toBe(null);
  });

  it('is paused when it is released after a pause that came meanwhile, or was to follow its step', () => {
    const meanwhile = withChild().send(quarantined).send(paused);
    expect(meanwhile.path).toBe('idle.held');
    expect(meanwhile.send(released).path).toBe('waiting.paused');
    expect(meanwhile.send(resumed).path).toBe('waiting.child');
    const pending = new Chart().claim().call('x').send(paused).send(quarantined).send(released);
    expect(pending.path).toBe('waiting.paused');
    expect(pending.send(resumed).path).toBe('executing.calling');
  });

  it('is not paused when it is released after the pause was taken back', () => {
    const run = withChild().send(paused).send(quarantined).send(resumed);
    expect(run.path).toBe('idle.held');
    expect(run.send(released).path).toBe('waiting.child');
  });

  it('still finishes the step before a drain holds it', () => {
    const run = new Chart()
      .claim()
      .call('x')
      .send({ type: 'drain', ...who })
      .send(quarantined)
      .send(released);
    expect(run.path).toBe('executing.calling');
    expect(run.send({ type: 'call_done', c: '2-0', result: 1, ms: 1 }).path).toBe('waiting.paused');
  });
});

describe('a pause that is to follow the step', () => {
  const asked = () => {
    const run = new Chart().claim().decide({ action: 'tool_call', calls: [{ tool: 'pay', args: {} }] }, [{}]);
    return run.send(paused).send({ type: 'call_started', c: '2-0', start_by: 5 });
  };

  it('is taken back also while the step waits for a person', () => {
    const run = asked().send({ type: 'outcome_unknown', c: '2-0', error: fault() });
    expect(run.path).toBe('waiting.person');
    run.send(resumed);
    run.send({ type: 'resolved', c: '2-0', verdict: 'done', result: 1, ...who });
    expect(run.path).toBe('thinking.deciding');
  });
});

describe('a delegation that cannot be made', () => {
  it('fails its step', () => {
    const run = delegating().send({ type: 'call_failed', c: '2-0', error: fault(), ms: 0 });
    expect(run.path).toBe('waiting.backing_off');
  });
});
