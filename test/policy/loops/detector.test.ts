import { describe, expect, it } from 'vitest';
import { DEFAULT_LOOP_SETTINGS, LoopSettings } from '../../../src/core/loops.ts';
import { askedIn } from '../../../src/policy/loops/detector.ts';
import { continuesLoop } from '../../../src/policy/loops/verdict.ts';
import { Watched } from './support.ts';

describe('the same step again and again (SUP-4)', () => {
  it('climbs the ladder: warn, nudge, ask, stop', () => {
    const run = new Watched();
    const rungs = Array.from({ length: 7 }, () => run.step({ args: { q: 'x' }, result: 'none' }).verdict()?.rung);
    expect(rungs).toEqual([undefined, undefined, 'warn', 'nudge', 'ask', 'stop', 'stop']);
    expect(run.verdict()).toEqual({ rung: 'stop', rule: 'repeat', count: 7, period: 1, callee: 'search' });
  });

  it('is over as soon as a result differs', () => {
    const run = new Watched().times(5, (run) => run.step({ result: 'none' }));
    expect(run.verdict()?.rung).toBe('ask');
    expect(run.step({ result: 'one' }).verdict()).toBeNull();
  });

  it('is none when results differ each time: polling', () => {
    const run = new Watched();
    run.times(1_000, (run, i) => {
      run.step({ tool: 'status', args: { job: 7 }, result: { done: i } });
      expect(run.verdict()?.rung ?? 'warn').toBe('warn');
    });
  });

  it('is one all the same for a tool whose results say nothing', () => {
    const declared = { volatile: { result: true as const } };
    const run = new Watched().times(4, (run, i) => run.step({ tool: 'page', result: `seen at ${i}`, declared }));
    expect(run.verdict()).toMatchObject({ rung: 'nudge', rule: 'repeat', callee: 'page' });
  });

  it('leaves out what the tool names, of arguments and of results, at any depth', () => {
    const declared = { volatile: { arguments: ['request_id'], result: ['at'] } };
    const run = new Watched().times(4, (run, i) =>
      run.step({ args: { q: { request_id: i, text: 'x' } }, result: [{ at: i, hits: 0 }], declared }),
    );
    expect(run.verdict()?.rung).toBe('nudge');
    const other = new Watched().times(4, (run, i) =>
      run.step({ args: { q: { id: i, text: 'x' } }, result: [{ at: i, hits: 0 }], declared }),
    );
    expect(other.verdict()).toBeNull();
  });

  it('is found whatever the order of keys, the white space and the form of numbers', () => {
    const forms = [
      { id: 39, text: 'a  b' },
      { text: 'a b', id: 39 },
      { id: '39', text: ' a\nb ' },
      { text: 'a\tb', id: '39.0' },
    ];
    const run = new Watched();
    for (const args of forms) run.step({ args, result: 'none' });
    expect(run.verdict()).toMatchObject({ rule: 'repeat', count: 4 });
  });

  it.each([
    ['leading zeros', '007', '7'],
    ['long ids', '12345678901234567', '12345678901234568'],
    ['case', 'a', 'A'],
    ['no space at all', 'a b', 'ab'],
    ['the empty text', '', ' x'],
  ])('tells texts apart by %s', (_what, one, other) => {
    const run = new Watched().times(6, (run, i) =>
      run.step({ args: { id: i % 2 === 0 ? one : other }, result: 'none' }),
    );
    expect(run.verdict()).toMatchObject({ period: 2, count: 3 });
  });

  it('takes calls that are made side by side in any order', () => {
    const [a, b] = [
      { args: { q: 'a' }, result: 1 },
      { args: { q: 'b' }, result: 2 },
    ];
    const run = new Watched().step(a, b).step(b, a).step(a, b);
    expect(run.verdict()).toMatchObject({ rule: 'repeat', count: 3, period: 1 });
  });

  it.each([2, 3, 4, 5])('is found in a cycle of %i steps', (period) => {
    const run = new Watched().times(period * 3 - 1, (run, i) =>
      run.step({ args: { q: i % period }, result: i % period }),
    );
    expect(run.verdict()?.rung ?? 'warn').toBe('warn');
    run.step({ args: { q: period - 1 }, result: period - 1 });
    expect(run.verdict()).toMatchObject({ rule: 'repeat', count: 3, period });
  });

  it('is found behind thoughts that are new each time', () => {
    const run = new Watched().times(4, (run, i) => {
      run.decide({ action: 'think', reasoning: `idea ${i}` }).step({ result: 'none' });
    });
    expect(run.verdict()).toMatchObject({ rung: 'nudge', callee: 'search' });
  });

  it('counts steps of a plan as different, however alike they are', () => {
    const reads = { reads: true as const };
    const run = new Watched().times(20, (run, i) => run.step({ result: 'pong', plan_step: `s${i}`, declared: reads }));
    expect(run.verdict()).toBeNull();
    run.times(3, (run) => run.step({ result: 'pong', plan_step: 's19', declared: reads }));
    expect(run.verdict()).toMatchObject({ rule: 'repeat', count: 4 });
  });

  it('counts what a person did not allow as one more', () => {
    const run = new Watched().times(5, (run) => run.step({ result: 'none' }));
    expect(run.verdict()?.rung).toBe('ask');
    expect(run.step({ result: 'denied' }).verdict()?.rung).toBe('stop');
  });

  it('begins anew when a person allowed it', () => {
    const run = new Watched().times(5, (run) => run.step({ result: 'none' }));
    const c = `${run.n}-0`;
    run.decide({ action: 'tool_call', calls: [{ tool: 'search', args: {} }] });
    run.fold({ type: 'approval_decided', c, verdict: 'approved', by: 'p', why: 'go on' });
    run.fold({ type: 'call_done', c, result: 'none', ms: 0 });
    expect(run.verdict()).toBeNull();
  });

  it('knows what would go on with it, and what would not', () => {
    const run = new Watched().times(6, (run, i) => run.step({ args: { q: i % 2 }, result: 'none' }));
    const verdict = run.verdict();
    const asks = (q: number) => askedIn({ action: 'tool_call', calls: [{ tool: 'search', args: { q } }] }, undefined);
    const goesOn = (q: number) => {
      const next = asks(q);
      return verdict !== null && next !== null && continuesLoop(run.state, verdict, next);
    };
    expect([goesOn(0), goesOn(1), goesOn(2)]).toEqual([true, false, false]);
  });
});

describe('steps without a tool', () => {
  it('never make the check crash, alone or among others', () => {
    const run = new Watched();
    run
      .decide({ action: 'think' })
      .decide({ action: 'plan', plan: { steps: [{ id: 'a', tool: 't', args: {}, after: [] }] } })
      .decide({ action: 'review', verdict: 'revise' })
      .decide({ action: 'final_answer', answer: null })
      .decide({ action: 'ask_human', question: 'q' })
      .decide({ action: 'delegate', agent: 'b', input: null })
      .decide({ action: 'tool_call', calls: [{ tool: 't', args: {} }] })
      .fold({ type: 'outcome_unknown', c: `${run.n - 1}-0`, error: { code: 'x', message: 'x', retryable: false } })
      .fold({ type: 'call_done', c: '999-3', result: 1, ms: 0 })
      .fold({ type: 'resolved', c: '0-0', verdict: 'done', by: 'p', why: '' })
      .fold({ type: 'deadline' });
    expect(run.verdict()).toBeNull();
  });

  it('are a loop when they say the same again and again', () => {
    const run = new Watched().times(4, (run) => run.decide({ action: 'think', reasoning: 'what now?' }));
    expect(run.verdict()).toMatchObject({ rung: 'nudge', rule: 'repeat', callee: '' });
    expect(run.step({ result: 1 }).verdict()).toBeNull();
  });

  it('a draft that is refused for the same reason each time is one', () => {
    const run = new Watched().times(3, (run) => {
      run.decide({ action: 'final_answer', answer: 42 }).decide({ action: 'review', verdict: 'revise', comment: 'no' });
    });
    expect(run.verdict()).toMatchObject({ rule: 'repeat', period: 2, count: 3 });
  });

  it('a person who is asked the same and answers differently is none', () => {
    const ask = (answer: string) => {
      const c = `${run.n}-0`;
      run.decide({ action: 'ask_human', question: 'next?' });
      run.fold({ type: 'resolved', c, verdict: 'done', result: answer, by: 'p', why: '' });
    };
    const run = new Watched();
    run.times(6, (_run, i) => ask(`number ${i}`));
    expect(run.verdict()).toBeNull();
    run.times(4, () => ask('the same'));
    expect(run.verdict()).toMatchObject({ rule: 'repeat', callee: 'person' });
  });
});

describe('the same error again and again', () => {
  it('is found whatever the tool is given, and whatever the times and ids in the message', () => {
    const run = new Watched().times(10, (run, i) => {
      run.step({ args: { path: `/f${i}` }, result: new Error(`line ${i * 37}: id a${i}f is locked at 12:0${i}`) });
    });
    expect(run.verdict()).toMatchObject({ rung: 'stop', rule: 'error', count: 10, callee: 'search' });
  });

  it('is over with a success', () => {
    const run = new Watched().times(6, (run, i) => run.step({ args: { i }, result: new Error('locked') }));
    expect(run.verdict()?.rule).toBe('error');
    expect(run.step({ args: { i: 7 }, result: 'open' }).verdict()).toBeNull();
  });

  it('counts calls that a gate refused', () => {
    const run = new Watched().times(5, (run, i) => run.step({ args: { i }, result: 'refused' }));
    expect(run.verdict()).toMatchObject({ rule: 'error', count: 5 });
  });

  it('counts failures of the model', () => {
    const error = { code: 'bad_decision', message: 'not JSON', retryable: true };
    const usage = { input_tokens: 0, output_tokens: 0, cost_usd: 0 };
    const run = new Watched().times(6, (run) => run.fold({ type: 'think_failed', error, usage, model: 'm', ms: 0 }));
    expect(run.verdict()).toMatchObject({ rung: 'nudge', rule: 'error', callee: 'model' });
  });
});

describe('no progress', () => {
  const reads = { reads: true as const };

  it('is new calls of a tool that reads, and always the same result', () => {
    const run = new Watched().times(7, (run, i) =>
      run.step({ args: { page: i * 1_000 }, result: [], declared: reads }),
    );
    expect(run.verdict()).toMatchObject({ rung: 'nudge', rule: 'no_progress', count: 7 });
  });

  it('is none of a tool that writes: its result acknowledges', () => {
    const run = new Watched().times(100, (run, i) => {
      run.stepBecause(`${i} mail`, { tool: 'mail', args: { to: `u${i}`, about: `matter ${i}` }, result: { ok: true } });
    });
    expect(run.verdict()).toBeNull();
  });
});

describe('nearly the same', () => {
  it('is a tool that is called for nearly the same reason', () => {
    const why = ['look for the cause in the main log file', 'look for the cause in the other log file'];
    const run = new Watched();
    run.times(3, (run, i) => run.stepBecause(why[i % 2], { args: { file: i }, result: `text ${i}` }));
    expect(run.verdict()).toMatchObject({ rung: 'warn', rule: 'similar', count: 3 });
  });

  it('is, for a model that gives no reasons, nearly the same arguments with the same result', () => {
    const words = 'find all open orders of the customer in the year';
    const run = new Watched().times(3, (run, i) => run.step({ args: { q: `${words} ${2000 + i}` }, result: [] }));
    expect(run.verdict()).toMatchObject({ rung: 'warn', rule: 'similar' });
    const paging = new Watched().times(9, (run, i) => run.step({ args: { q: `${words} ${2000 + i}` }, result: [i] }));
    expect(paging.verdict()).toBeNull();
  });

  it('never stops a run', () => {
    const run = new Watched().times(200, (run, i) =>
      run.stepBecause('the next one of the long list', { args: { i }, result: i }),
    );
    expect(run.verdict()).toMatchObject({ rung: 'nudge', rule: 'similar' });
  });
});

describe('what an agent sets', () => {
  it('the naive rule warns when it is switched on, and never does more', () => {
    const run = new Watched().times(30, (run, i) =>
      run.step({ tool: i % 2 === 0 ? 'a' : 'b', args: { i }, result: i }),
    );
    expect(run.verdict()).toBeNull();
    expect(run.verdict(LoopSettings.parse({ few_tools: true }))).toMatchObject({ rung: 'warn', rule: 'few_tools' });
  });

  it('thresholds of each rung, and null for never', () => {
    const settings = LoopSettings.parse({ repeat: { warn: 2, nudge: null, ask: null, stop: 3 } });
    const run = new Watched();
    const rungs = Array.from({ length: 3 }, () => run.step({ result: 'none' }).verdict(settings)?.rung);
    expect(rungs).toEqual([undefined, 'warn', 'stop']);
    expect(run.verdict(LoopSettings.parse({ detect: false }))).toBeNull();
  });

  it('a ladder that does not climb is a fault that names the rung', () => {
    const parsed = LoopSettings.safeParse({ repeat: { warn: 5 }, error: { ask: 3, stop: 2 } });
    const faults = parsed.error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
    expect(faults).toEqual([
      expect.stringMatching(/^repeat.nudge: expected at least 5, which warn has/),
      expect.stringMatching(/^error.ask: expected at least 6, which nudge has/),
      expect.stringMatching(/^error.stop: expected at least 3, which ask has/),
    ]);
  });

  it('nothing: the defaults', () => {
    expect(DEFAULT_LOOP_SETTINGS.repeat).toEqual({ warn: 3, nudge: 4, ask: 5, stop: 6 });
  });
});
