import { inspect } from 'node:util';
import { expect } from 'vitest';
import { aiModels } from '../../../src/adapters/ai-sdk/models.ts';
import { AgentDefinition, type AgentInput } from '../../../src/core/agent.ts';
import type { Decision, Usage } from '../../../src/core/decision.ts';
import { AppError, toAppError } from '../../../src/core/errors.ts';
import { DEFAULT_LIMITS } from '../../../src/core/limits.ts';
import { Task } from '../../../src/core/task.ts';
import { ToolDefinition } from '../../../src/core/tool.ts';
import { costOf, parsePricing, priceOf } from '../../../src/policy/pricing.ts';
import type { Models, ThinkInput, ThinkReply } from '../../../src/ports/model.ts';
import type { ModelServer, WireReply } from '../../support/model-server.ts';

export const OPENAI_KEY = 'sk-proj-test-0123456789abcdef';
export const ANTHROPIC_KEY = 'sk-ant-test-0123456789abcdef';
/** Of no shape that any pattern knows. */
export const PLAIN_KEY = 'correct horse battery';

export const NOW = Date.parse('2026-03-01T12:00:00Z');

/** 2 USD in, 1 USD cached, 10 USD out, per million. */
export const PRICING = parsePricing({
  prices: ['openai/*', 'anthropic/*', 'compatible/*'].map((model) => ({
    model,
    from: '2026-01-01',
    input: 2,
    cached_input: 1,
    output: 10,
  })),
});

export function modelsFor(env: Record<string, string>, pricing = PRICING): Models {
  return aiModels({
    env,
    clock: { now: () => NOW, after: () => () => {} },
    cost: (model, tokens, at) => costOf(priceOf(pricing, model, at), tokens),
  });
}

export const WEATHER = ToolDefinition.parse({
  name: 'weather',
  description: 'The weather in a city.',
  parameters: { properties: { city: { type: 'string' } }, required: ['city'] },
  effect: 'read',
});

export function thinkInput(agent: Partial<AgentInput> = {}, more: Partial<ThinkInput> = {}): ThinkInput {
  return {
    run: '20260301-t-1',
    agent: AgentDefinition.parse({ name: 'a', model: 'openai/test', tools: ['weather'], ...agent }),
    user: 'u',
    task: Task.parse({ input: 'Is it warm in Oslo?' }),
    phase: 'deciding',
    plan: null,
    window: async () => [],
    tools: async () => [WEATHER],
    delegates: [],
    limits: DEFAULT_LIMITS,
    maxOutputTokens: 4_000,
    remaining: { steps: 10, ms: 60_000, tokens: 100_000, cost_usd: 1, tool_calls: 100 },
    step: 1,
    signal: new AbortController().signal,
    ...more,
  };
}

/** What comes of it, be it a reply or a failure; never hangs for longer than ten seconds. */
export async function outcome(models: Models, input: ThinkInput): Promise<ThinkReply | AppError> {
  try {
    return await Promise.race([models.get(input.agent.model).think(input), hung()]);
  } catch (thrown) {
    return toAppError(thrown);
  }
}

function hung(): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error('it hangs')), 10_000).unref();
  });
}

/** One line of a provider's table: what it sends, and what has to come of it. */
export interface Case {
  it: string;
  reply: WireReply;
  stream?: boolean;
  agent?: Partial<AgentInput>;
  input?: Partial<ThinkInput>;
  decision?: Partial<Decision>;
  usage?: Partial<Usage>;
  error?: { code: string; retryable: boolean; retryAfterMs?: number; message?: RegExp; usage?: Partial<Usage> };
}

/** Asks once, and checks what came of it, that exactly one request was made, and that no key is told to anybody. */
export async function checkCase(model: string, server: ModelServer, one: Case): Promise<void> {
  const { host } = new URL(server.url);
  const env = {
    OPENAI_API_KEY: OPENAI_KEY,
    OPENAI_BASE_URL: `http://${host}/v1`,
    ANTHROPIC_API_KEY: ANTHROPIC_KEY,
    ANTHROPIC_BASE_URL: `http://${host}/v1`,
    COMPATIBLE_API_KEY: PLAIN_KEY,
    COMPATIBLE_BASE_URL: `http://${host}/v1`,
  };
  server.reply(one.reply);
  const asked = server.requests.length;
  const agent = { model, model_options: { stream: one.stream ?? false }, ...one.agent };
  const got = await outcome(modelsFor(env), thinkInput(agent, one.input));
  expect(server.requests.length - asked).toBe(1);
  if (one.error === undefined) {
    if (got instanceof Error) throw got;
    expect(got.decision).toEqual(one.decision);
    expect(got.usage).toMatchObject(one.usage ?? { input_tokens: 100, output_tokens: 20, cost_usd: 0.0004 });
    return;
  }
  const { message, usage, ...shape } = one.error;
  if (!(got instanceof AppError)) throw new Error(`expected ${shape.code}, got ${JSON.stringify(got)}`);
  expect({ code: got.code, retryable: got.retryable, retryAfterMs: got.retryAfterMs, message: got.message }).toEqual({
    retryAfterMs: undefined,
    ...shape,
    message: expect.stringMatching(message ?? /./),
  });
  if (usage === undefined) expect(got.usage).toBeUndefined();
  else expect(got.usage).toMatchObject(usage);
  const key = env[`${model.split('/')[0]?.toUpperCase()}_API_KEY` as keyof typeof env];
  expect(inspect(got, { depth: 10 })).not.toContain(key);
}
