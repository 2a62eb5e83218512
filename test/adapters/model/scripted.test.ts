import { describe, expect, it } from 'vitest';
import { models } from '../../../src/adapters/model/models.ts';
import { planModel } from '../../../src/adapters/model/plan.ts';
import { scripted, scriptedModel } from '../../../src/adapters/model/scripted.ts';
import { AgentDefinition } from '../../../src/core/agent.ts';
import { AppError } from '../../../src/core/errors.ts';
import { DEFAULT_LIMITS } from '../../../src/core/limits.ts';
import { Task } from '../../../src/core/task.ts';
import type { ThinkInput } from '../../../src/ports/model.ts';

const input = (step: number): ThinkInput => ({
  run: '20260101-t-1',
  agent: AgentDefinition.parse({ name: 'a', model: 'scripted' }),
  user: 'u',
  task: Task.parse({ input: { question: 'why' } }),
  phase: 'deciding',
  plan: null,
  window: async () => [],
  tools: async () => [],
  delegates: [],
  limits: DEFAULT_LIMITS,
  maxOutputTokens: 4_000,
  remaining: { steps: 20, ms: 300_000, tokens: 100_000, cost_usd: 1, tool_calls: 100 },
  step,
  signal: new AbortController().signal,
});
const answer = (text: string) => scripted({ action: 'final_answer', answer: text });

describe('the scripted model', () => {
  it('gives replies, failures and computed replies in order', async () => {
    const failure = new AppError('overloaded', 'later', { retryable: true });
    const model = scriptedModel([answer('one'), failure, (asked) => answer(`step ${asked.step}`)]);
    expect(await model.think(input(0))).toEqual(answer('one'));
    await expect(model.think(input(1))).rejects.toBe(failure);
    expect(await model.think(input(2))).toEqual(answer('step 2'));
    model.verify();
  });

  it('fails on a call that nobody scripted, and records it', async () => {
    const model = scriptedModel([]);
    await expect(model.think(input(7))).rejects.toMatchObject({ code: 'unexpected_model_call' });
    expect(model.requests.map((request) => request.step)).toEqual([7]);
  });

  it('tells when replies were never asked for', async () => {
    const model = scriptedModel([answer('one'), answer('two')]);
    await model.think(input(0));
    expect(() => model.verify()).toThrow('1 of 2');
  });

  it('records what was asked as it was then', async () => {
    const model = scriptedModel([answer('one')]);
    const done = new Set(['a']);
    const plan = { plan: { steps: [] }, done, result: async () => null };
    await model.think({ ...input(0), plan });
    done.clear();
    expect(model.requests[0]?.plan).toEqual({ plan: { steps: [] }, done: ['a'] });
    expect(Object.isFrozen(model.requests[0]?.plan?.done)).toBe(true);
  });
});

describe('models', () => {
  it('finds a model by its name', () => {
    const plan = planModel();
    expect(models({ plan }).get('plan')).toBe(plan);
  });

  it.each(['gpt', 'constructor', '__proto__'])('says which ones there are when it has no "%s"', (name) => {
    const known = models({ plan: planModel(), scripted: scriptedModel([]) });
    expect(() => known.get(name)).toThrow(/plan, scripted/);
    expect(() => known.get(name)).toThrow(expect.objectContaining({ code: 'no_model' }));
  });
});
