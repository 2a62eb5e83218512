import { describe, expect, it } from 'vitest';
import { targetOf } from '../../../src/adapters/ai-sdk/target.ts';
import type { ModelOptions } from '../../../src/core/agent.ts';
import { modelsFor, OPENAI_KEY, thinkInput } from './support.ts';

const agent = (model: string, model_options?: ModelOptions) =>
  thinkInput({ model, ...(model_options === undefined ? {} : { model_options }) }).agent;
const LOCAL = 'http://localhost:11434/v1';

describe('where a model is reached', () => {
  it('is the usual address with the usual key, or the one that the environment names', () => {
    expect(targetOf(agent('openai/gpt-4.1'), { OPENAI_API_KEY: OPENAI_KEY })).toEqual({
      provider: 'openai',
      modelId: 'gpt-4.1',
      baseUrl: 'https://api.openai.com/v1',
      key: { variable: 'OPENAI_API_KEY', value: OPENAI_KEY },
    });
    const env = { ANTHROPIC_API_KEY: 'k', ANTHROPIC_BASE_URL: 'https://proxy.example/v1/' };
    expect(targetOf(agent('anthropic/claude/x'), env)).toMatchObject({
      modelId: 'claude/x',
      baseUrl: 'https://proxy.example/v1',
    });
  });

  it('needs no key for a compatible server', () => {
    expect(targetOf(agent('compatible/llama3.2', { base_url: LOCAL }), {}).key).toBeUndefined();
    expect(targetOf(agent('compatible/x'), { COMPATIBLE_BASE_URL: LOCAL, COMPATIBLE_API_KEY: 'k' })).toMatchObject({
      baseUrl: LOCAL,
      key: { variable: 'COMPATIBLE_API_KEY', value: 'k' },
    });
  });

  it('sends no key to an address that an agent names unless the agent names the key as well', () => {
    const env = { OPENAI_API_KEY: OPENAI_KEY, COMPATIBLE_API_KEY: 'k', ACME_API_KEY: 'acme' };
    expect(targetOf(agent('compatible/x', { base_url: LOCAL }), env).key).toBeUndefined();
    expect(() => targetOf(agent('openai/x', { base_url: LOCAL }), env)).toThrow(/api_key_env/);
    expect(targetOf(agent('openai/x', { base_url: LOCAL, api_key_env: 'ACME_API_KEY' }), env).key?.value).toBe('acme');
  });

  it.each([
    ['openai/gpt-4.1', undefined, /OPENAI_API_KEY/],
    ['anthropic/x', undefined, /ANTHROPIC_API_KEY/],
    ['anthropic/x', { api_key_env: 'TEAM_API_KEY' }, /TEAM_API_KEY/],
    ['compatible/x', undefined, /COMPATIBLE_BASE_URL/],
    ['compatible/x', { base_url: 'http://u:p@localhost/v1' }, /^(?!.*u:p).*model_options\.base_url/],
    ['compatible/x', { base_url: LOCAL, api_key_env: 'TEAM_API_KEY' }, /TEAM_API_KEY/],
    ['mistral/x', undefined, /openai, anthropic, compatible/],
    ['openai/', undefined, /openai, anthropic, compatible/],
  ])('tells what %s with %j lacks', (model, options, message) => {
    expect(() => targetOf(agent(model, options), { OPENAI_API_KEY: ' ' })).toThrow(
      expect.objectContaining({ code: 'no_model', message: expect.stringMatching(message) }),
    );
  });

  it('is checked when agents are loaded, and so is the price', () => {
    const models = modelsFor({ OPENAI_API_KEY: OPENAI_KEY }, { v: 1, prices: [] });
    expect(() => models.check(agent('anthropic/x'))).toThrow(expect.objectContaining({ code: 'no_model' }));
    expect(() => models.check(agent('openai/x'))).toThrow(expect.objectContaining({ code: 'unknown_price' }));
    expect(() => modelsFor({ OPENAI_API_KEY: OPENAI_KEY }).check(agent('openai/x'))).not.toThrow();
  });
});
