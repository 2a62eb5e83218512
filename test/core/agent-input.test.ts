import { describe, expect, it } from 'vitest';
import { defineAgent } from '../../src/core/agent-input.ts';
import { closest, likely } from '../../src/core/closest.ts';
import { AppError } from '../../src/core/errors.ts';

describe('defineAgent', () => {
  it('gives what is left out its default', () => {
    const agent = defineAgent({ name: 'a', model: 'plan', limits: { cost_usd: 0.1 } });
    expect(agent).toMatchObject({ version: '1', tools: [], limits: { cost_usd: 0.1, steps: 20, wall_ms: 300_000 } });
    expect(defineAgent(agent)).toEqual(agent);
  });

  it('names the agent and every faulty field at once', () => {
    const loops = { repeat: { stop: 2 }, eror: {}, error: { hint: 3 } };
    const define = () =>
      defineAgent({
        name: 'a',
        limits: { stepz: 1, tokens: 0 },
        model_options: { key: 'sk-1' },
        loops,
        xyzzy: 1,
      } as never);
    expect(define).toThrow(AppError);
    try {
      define();
    } catch (thrown) {
      expect((thrown as AppError).code).toBe('invalid_agent');
      const texts = (thrown as AppError).message.split('; ').join('\n');
      expect(texts).toContain('agent "a": ');
      for (const text of [
        'model: expected string, but it is missing',
        'limits.tokens: expected number to be >=1',
        'limits.stepz: unknown field\ndid you mean "steps"?',
        'model_options.key: unknown field\nknown here: base_url, api_key_env',
        'loops.repeat.stop: expected at least 5, which ask has: a loop climbs warn, nudge, ask, stop',
        'loops.eror: unknown field\ndid you mean "error"?',
        'loops.error.hint: unknown field\nknown here: warn, nudge, ask, stop',
        'xyzzy: unknown field\nknown here: name, version',
      ]) {
        expect(texts).toContain(text);
      }
    }
  });
});

describe('names that are close', () => {
  it('come closest first, as many as asked for, however long the word is', () => {
    expect(closest('log-analist', ['zzz', 'Log-Analyst', 'log'], 2)).toEqual(['Log-Analyst', 'log']);
    expect(closest('x'.repeat(1_000_000), ['b', 'a'], 5)).toEqual(['a', 'b']);
  });

  it('are likely meant only when little differs', () => {
    expect(likely('stpes', ['steps', 'tokens'])).toBe('steps');
    expect(likely('colour', ['steps', 'tokens'])).toBeUndefined();
    expect(likely('x', [])).toBeUndefined();
  });
});
