import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/adapters/clock/system-clock.ts';
import { planModel } from '../../../src/adapters/model/plan.ts';
import { queriesInThread } from '../../../src/adapters/toolbox/json-query.ts';
import { AgentDefinition } from '../../../src/core/agent.ts';
import { Decision, MAX_PARALLEL_CALLS } from '../../../src/core/decision.ts';
import { AppError } from '../../../src/core/errors.ts';
import type { Json } from '../../../src/core/json.ts';
import { DEFAULT_LIMITS } from '../../../src/core/limits.ts';
import { Plan } from '../../../src/core/plan.ts';
import { Task } from '../../../src/core/task.ts';
import type { ThinkInput, WindowStep } from '../../../src/ports/model.ts';

function inputFor(plan: unknown, results: Record<string, Json> = {}, more: Partial<ThinkInput> = {}): ThinkInput {
  return {
    run: '20260101-t-1',
    agent: AgentDefinition.parse({ name: 'a', model: 'plan' }),
    user: 'u',
    task: Task.parse({ input: 'x' }),
    phase: 'deciding',
    plan:
      plan === null
        ? null
        : {
            plan: Plan.parse(plan),
            done: new Set(Object.keys(results)),
            result: async (step) => {
              const result = results[step];
              if (result === undefined) throw new Error(`nobody may read the result of ${step}`);
              return result;
            },
          },
    window: async () => [],
    tools: async () => [],
    delegates: [],
    limits: DEFAULT_LIMITS,
    maxOutputTokens: 4_000,
    remaining: { steps: 20, ms: 300_000, tokens: 100_000, cost_usd: 1, tool_calls: 100 },
    step: 0,
    signal: new AbortController().signal,
    ...more,
  };
}

const step = (id: string, more: object = {}) => ({ id, tool: `t_${id}`, ...more });

async function decide(...input: Parameters<typeof inputFor>): Promise<Decision> {
  const reply = await planModel().think(inputFor(...input));
  expect(reply.usage).toEqual({ input_tokens: 0, output_tokens: 0, cost_usd: 0 });
  return Decision.parse(reply.decision);
}

async function failure(...input: Parameters<typeof inputFor>): Promise<AppError> {
  const error = await planModel()
    .think(inputFor(...input))
    .then(
      () => null,
      (thrown: unknown) => thrown,
    );
  if (!(error instanceof AppError)) throw new Error(`expected an AppError, got ${String(error)}`);
  return error;
}

const calls = (decision: Decision) => {
  if (decision.action !== 'tool_call') throw new Error(`expected a tool_call, got ${decision.action}`);
  return decision.calls;
};
const steps = (decision: Decision) => calls(decision).map((call) => call.plan_step);

const DIAMOND = {
  steps: [
    step('d', { after: ['b', 'c'] }),
    step('b', { after: ['a'] }),
    step('c', { args: { of: { $ref: 'a' } } }),
    step('a'),
  ],
};

describe('the plan model', () => {
  it('asks for every step that waits for nothing, in plan order', async () => {
    const decision = await decide({
      steps: [step('a'), step('b', { after: ['a'] }), step('c', { reasoning: 'why not' })],
    });
    expect(decision).toEqual({
      action: 'tool_call',
      calls: [
        { tool: 't_a', args: {}, plan_step: 'a' },
        { tool: 't_c', args: {}, plan_step: 'c' },
      ],
      reasoning: 'c: why not',
    });
  });

  it('goes through a plan level by level, whatever order its steps are written in', async () => {
    expect(steps(await decide(DIAMOND))).toEqual(['a']);
    expect(steps(await decide(DIAMOND, { a: 1 }))).toEqual(['b', 'c']);
    expect(steps(await decide(DIAMOND, { a: 1, b: 2, c: 3 }))).toEqual(['d']);
  });

  it('asks again for a step that is not done, next to what has become ready', async () => {
    expect(steps(await decide(DIAMOND, { a: 1, c: 2 }))).toEqual(['b']);
  });

  it(`asks for at most ${MAX_PARALLEL_CALLS} steps at once`, async () => {
    const plan = { steps: Array.from({ length: MAX_PARALLEL_CALLS + 1 }, (_, i) => step(`s${i}`)) };
    expect(steps(await decide(plan))).toEqual(plan.steps.slice(0, MAX_PARALLEL_CALLS).map(({ id }) => id));
  });

  it('leaves steps for the next decision when their arguments would not fit into one', async () => {
    const big = { text: 'x'.repeat(150_000) };
    const plan = { steps: [step('a'), ...['b', 'c', 'd'].map((id) => step(id, { args: { in: { $ref: 'a' } } }))] };
    expect(steps(await decide(plan, { a: big }))).toEqual(['b', 'c']);
  });

  it('replaces references anywhere in the arguments by results and parts of results', async () => {
    const plan = {
      steps: [
        step('a'),
        step('b', {
          args: {
            whole: { $ref: 'a' },
            list: [1, { deep: { $ref: 'a', query: 'items[1].name' } }],
            all: { $ref: 'a', query: 'items[*].name' },
            max: { $ref: 'a', query: 'max(items[*].n)' },
            $ref: { $ref: 'a', query: 'zero' },
          },
        }),
      ],
    };
    const a = {
      items: [
        { name: 'x', n: 1 },
        { name: 'y', n: 2 },
      ],
      zero: 0,
    };
    const [call] = calls(await decide(plan, { a }));
    expect(call?.args).toEqual({ whole: a, list: [1, { deep: 'y' }], all: ['x', 'y'], max: 2, $ref: 0 });
  });

  it('answers with the result of the last step when all are done', async () => {
    const plan = { steps: [step('a'), step('b')] };
    expect(await decide(plan, { a: 1, b: null })).toEqual({ action: 'final_answer', answer: null });
  });

  it('answers with where the last result lies and how it begins when that is too large, and does not read it', async () => {
    const plan = { steps: [step('a'), step('b')] };
    const seen = (result: Json, large?: { bytes: number }): WindowStep[] => [
      {
        entry: 5,
        decision: { action: 'think' },
        observations: [
          { c: '5-0', tool: 't_b', plan_step: 'b', status: 'ok', result, ...(large === undefined ? {} : { large }) },
        ],
      },
    ];
    const unread = {
      plan: Plan.parse(plan),
      done: new Set(['a', 'b']),
      result: () => Promise.reject(new Error('read')),
    };
    const answer = async (window: WindowStep[]) => decide(plan, {}, { plan: unread, window: async () => window });
    expect(await answer(seen('["the beginning', { bytes: 5_000_000 }))).toEqual({
      action: 'final_answer',
      answer: { step: 'b', call: '5-0', bytes: 5_000_000, preview: '["the beginning' },
    });
    expect(await answer(seen('x'.repeat(500_000)))).toMatchObject({
      answer: { step: 'b', bytes: 500_002, preview: expect.stringMatching(/^"x{100}/) },
    });
  });

  it("answers with the plan's own answer, references replaced", async () => {
    const plan = { steps: [step('a'), step('b')], answer: { sum: { $ref: 'a', query: 'n' }, other: [{ $ref: 'b' }] } };
    expect(await decide(plan, { a: { n: 5 }, b: 'text' })).toEqual({
      action: 'final_answer',
      answer: { sum: 5, other: ['text'] },
    });
  });

  it('follows the plan of the task before any step is done, and prefers the plan in force', async () => {
    const task = Task.parse({ input: 'x', plan: { steps: [step('own')] } });
    expect(steps(await decide(null, {}, { task }))).toEqual(['own']);
    expect(steps(await decide({ steps: [step('other')] }, {}, { task }))).toEqual(['other']);
  });

  it('hands over the plan when asked to plan, and accepts when asked to review', async () => {
    const plan = Plan.parse(DIAMOND);
    expect(await decide(DIAMOND, {}, { phase: 'planning' })).toEqual({ action: 'plan', plan });
    expect(await decide(DIAMOND, {}, { phase: 'reviewing' })).toEqual({ action: 'review', verdict: 'accept' });
  });

  it('without a plan, says where to put one', async () => {
    const error = await failure(null);
    expect(error).toMatchObject({ code: 'no_plan', retryable: false });
    expect(error.message).toContain('`plan`');
  });

  it('does not decide for a run that no longer waits', async () => {
    expect(await failure(DIAMOND, {}, { signal: AbortSignal.abort() })).toMatchObject({ code: 'aborted' });
  });

  it('keeps a key named __proto__ as the plain key that it is', async () => {
    const args = JSON.parse('{"o": {"__proto__": {"evil": true}}}');
    const [call] = calls(await decide({ steps: [step('a', { args })] }));
    expect(JSON.stringify(call?.args)).toBe('{"o":{"__proto__":{"evil":true}}}');
  });

  const A = { items: [1, 2], name: null, text: 'x' };
  const doubling = (n: number) => Array(n).fill('[@,@][]').join('|');
  it.each([
    ['a query that is no JMESPath', 'items[', /Syntax|invalid|expected/i],
    ['a query that finds nothing', 'items[7]', /finds nothing/],
    ['a query that finds null', 'name', /finds nothing/],
    ['a function that JMESPath does not know', 'shout(text)', /shout/],
    ['a query for what every object inherits', 'constructor', /not JSON/],
    ['a query that never ends', doubling(60), /timed out|too large/],
    ['a query whose result is enormous', doubling(15), /too large/],
    ['a query whose result is endlessly deep', Array(70).fill('[@]').join('|'), /nested/],
    ['a query whose result is wide because it repeats itself', Array(40).fill('[@,@]').join('|'), /too large/],
    ['a query of absurd length', 'a'.repeat(2000), /2000 characters/],
  ])('refuses %s, naming step and field', async (_, query, reason) => {
    const plan = { steps: [step('a'), step('b', { args: { x: [0, { $ref: 'a', query }] } })] };
    const error = await failure(plan, { a: A });
    expect(error).toMatchObject({ code: 'bad_reference', retryable: false, field: 'b.args.x.1' });
    expect(error.message).toContain('step "a"');
    expect(error.message).toMatch(reason);
  });

  // Each takes a while and brings a number: by its size alone a plan could hold thousands of them.
  const slow = { $ref: 'a', query: `length(${doubling(14)})` };

  it('lets all queries of a decision take half a second together', async () => {
    const plan = { steps: [step('a'), step('b', { args: { x: Array(2_000).fill(slow) } })] };
    const error = await failure(plan, { a: A });
    expect(error).toMatchObject({ code: 'bad_reference', retryable: false });
    expect(error.message).toMatch(/timed out|may take 500 ms/);
  });

  it('leaves steps to the next decision for which no time is left', async () => {
    let time = 0;
    const open = () => ({
      ask: async () => {
        time += 60;
        return 1;
      },
      close: async () => undefined,
    });
    const args = { x: [slow, slow, slow] };
    const ready = ['b', 'c', 'd', 'e'].map((id) => step(id, { args, after: ['a'] }));
    const { decision } = await planModel(open, () => time).think(inputFor({ steps: [step('a'), ...ready] }, { a: A }));
    // 180 ms each, and 500 for all: a query that begins within them is answered.
    expect(steps(decision)).toEqual(['b', 'c', 'd']);
  });

  it('evaluates beyond a plain path elsewhere, and the loop goes on meanwhile', async () => {
    const opened = queriesInThread(systemClock(), 2_000);
    const model = planModel(opened);
    const plan = { steps: [step('a'), step('b', { args: { x: { $ref: 'a', query: 'length(items)' } } })] };
    const { decision } = await model.think(inputFor(plan, { a: A }));
    expect(calls(decision)[0]?.args).toEqual({ x: 2 });
    let turns = 0;
    const beat = setInterval(() => turns++, 1);
    const endless = { steps: [step('a'), step('b', { args: { x: { $ref: 'a', query: doubling(60) } } })] };
    const error = await planModel(queriesInThread(systemClock(), 300))
      .think(inputFor(endless, { a: A }))
      .then(
        () => null,
        (thrown: unknown) => thrown as AppError,
      );
    clearInterval(beat);
    expect(error).toMatchObject({ code: 'bad_reference', field: 'b.args.x' });
    // A loop that stood would have had no turn.
    expect(turns).toBeGreaterThan(3);
  });

  it('names the answer when its reference fails', async () => {
    const plan = { steps: [step('a')], answer: { x: { $ref: 'a', query: 'nope' } } };
    expect(await failure(plan, { a: A })).toMatchObject({ code: 'bad_reference', field: 'answer.x' });
  });

  it('refuses arguments that a reference makes nest too deep', async () => {
    const nest = (levels: number, core: Json): Json => (levels === 0 ? core : [nest(levels - 1, core)]);
    const plan = { steps: [step('a'), step('b', { args: { x: nest(40, { $ref: 'a' }) } })] };
    expect(await failure(plan, { a: nest(40, 1) })).toMatchObject({ code: 'bad_reference', field: 'b.args' });
  });

  it('passes on the failure to read a result', async () => {
    const lost = new AppError('unavailable', 'no connection', { retryable: true });
    const input = inputFor(DIAMOND, { a: 1 });
    if (input.plan !== null) input.plan.result = () => Promise.reject(lost);
    await expect(planModel().think(input)).rejects.toBe(lost);
  });
});
