import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../src/core/errors.ts';
import { Plan } from '../../../src/core/plan.ts';
import { parsePricing } from '../../../src/policy/pricing.ts';
import type { Models, WindowStep } from '../../../src/ports/model.ts';
import {
  anthropicReply,
  type ModelServer,
  openaiReply,
  openaiStream,
  startModelServer,
  type WireReply,
} from '../../support/model-server.ts';
import { ANTHROPIC_KEY, modelsFor, OPENAI_KEY, outcome, PLAIN_KEY, thinkInput, WEATHER } from './support.ts';

let server: ModelServer;
let models: Models;

beforeEach(async () => {
  server = await startModelServer();
  const url = `${server.url}/v1`;
  models = modelsFor({
    OPENAI_API_KEY: OPENAI_KEY,
    OPENAI_BASE_URL: url,
    ANTHROPIC_API_KEY: ANTHROPIC_KEY,
    ANTHROPIC_BASE_URL: url,
    COMPATIBLE_BASE_URL: url,
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.stop();
});

const calls = (...made: [string, unknown][]) =>
  openaiReply({ calls: made.map(([name, args]) => ({ name, args: JSON.stringify(args) })) });
const seen = (entry: number): WindowStep => ({
  entry,
  decision: { action: 'tool_call', calls: [{ tool: 'weather', args: { city: 'Oslo' } }] },
  observations: [{ c: `${entry}-0`, tool: 'weather', status: 'ok', result: { degrees: entry } }],
});

interface OpenAiBody {
  max_tokens: number;
  temperature?: number;
  stream?: boolean;
  messages: { role: string; content: string | null; tool_calls?: object[] }[];
  tools: { function: { name: string; description: string; parameters: Record<string, unknown> } }[];
  tool_choice: unknown;
}
const bodies = () => server.requests.map(({ body }) => body as unknown as OpenAiBody);

describe('what OpenAI is sent', () => {
  it('is one request with the key, the limits, the tools and the conversation', async () => {
    server.reply(openaiReply({ text: 'Yes.' }));
    const agent = { instructions: 'Be brief.', model_options: { temperature: 0.5 } };
    const input = thinkInput(agent, { window: async () => [seen(3)], maxOutputTokens: 1234 });
    await outcome(models, input);
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]).toMatchObject({
      path: '/v1/chat/completions',
      headers: { authorization: `Bearer ${OPENAI_KEY}` },
    });
    const [body] = bodies();
    expect(body).toMatchObject({ model: 'test', max_tokens: 1234, temperature: 0.5, tool_choice: 'auto' });
    expect(body?.stream).toBeUndefined();
    expect(body?.messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'tool']);
    expect(body?.messages[0]?.content).toMatch(/^Be brief\.\n/);
    expect(body?.messages[1]?.content).toBe('The task, as JSON:\n{"input":"Is it warm in Oslo?"}');
    expect(body?.messages[2]?.tool_calls).toEqual([
      { id: 'call_3-0', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
    ]);
    expect(body?.messages[3]).toEqual({
      role: 'tool',
      tool_call_id: 'call_3-0',
      content: '{"status":"ok","result":{"degrees":3}}',
    });
    expect(body?.tools.map((tool) => tool.function.name)).toEqual(['weather', 'final_answer', 'ask_human']);
    expect(body?.tools[0]?.function).toMatchObject({
      description: 'The weather in a city.',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    });
  });

  it('is put in the words of a reasoning model, which takes no temperature', async () => {
    server.reply(openaiReply({ text: 'Yes.' }));
    await outcome(models, thinkInput({ model: 'openai/gpt-5-mini', model_options: { temperature: 0.5 } }));
    expect(server.requests[0]?.body).toMatchObject({ model: 'gpt-5-mini', max_completion_tokens: 4_000 });
    expect(server.requests[0]?.body).not.toHaveProperty('temperature');
    expect(server.requests[0]?.body).not.toHaveProperty('max_tokens');
  });

  it('offers delegation only to agents that may delegate, and never two tools of one name', async () => {
    server.reply(openaiReply({ text: 'a' }), openaiReply({ text: 'b' }));
    const impostor = { ...WEATHER, name: 'final_answer', description: 'Not ours.' };
    await outcome(models, thinkInput({}, { tools: async () => [impostor] }));
    await outcome(models, thinkInput({}, { delegates: [{ name: 'b', description: 'Knows maps.' }] }));
    const [first, second] = bodies();
    expect(first?.tools.map((tool) => tool.function.name)).toEqual(['final_answer', 'ask_human']);
    expect(first?.tools[0]?.function.description).not.toBe('Not ours.');
    expect(second?.tools.at(-1)?.function).toMatchObject({
      name: 'delegate',
      description: expect.stringContaining('b: Knows maps.'),
      parameters: { properties: { agent: { enum: ['b'] } } },
    });
  });

  it('tells of the last steps that are left, after what did not change', async () => {
    server.reply(openaiReply({ text: 'a' }));
    const remaining = { steps: 1, ms: 1, tokens: 1, cost_usd: 1, tool_calls: 1 };
    await outcome(models, thinkInput({}, { remaining, window: async () => [seen(1)] }));
    expect(bodies()[0]?.messages.at(-1)).toEqual({
      role: 'user',
      content: 'This is the last step: call final_answer with what you have.',
    });
  });

  it('tells of what Proctor has to say about the last steps', async () => {
    server.reply(openaiReply({ text: 'a' }));
    const notice = 'You are going round in circles.';
    await outcome(models, thinkInput({}, { notice, window: async () => [seen(1)] }));
    expect(bodies()[0]?.messages.at(-1)).toEqual({ role: 'user', content: notice });
  });

  it('goes to a compatible server without a key, whatever this process has in its environment', async () => {
    vi.stubEnv('OPENAI_API_KEY', PLAIN_KEY);
    vi.stubEnv('OPENAI_BASE_URL', 'http://127.0.0.1:9/v1');
    server.reply(openaiReply({ text: 'a' }), openaiStream({ text: 'b' }), openaiReply({ text: 'c' }));
    await outcome(models, thinkInput({ model: 'compatible/llama3.2' }));
    await outcome(models, thinkInput({ model: 'compatible/llama3.2', model_options: { stream: true } }));
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
    expect(bodies()[1]).toMatchObject({ stream: true, stream_options: { include_usage: true } });
    await outcome(models, thinkInput());
    expect(server.requests[2]?.headers.authorization).toBe(`Bearer ${OPENAI_KEY}`);
  });
});

describe('what Anthropic is sent', () => {
  it('is one request with the key, the limits, the tools and the conversation', async () => {
    server.reply(anthropicReply({ text: 'Yes.' }));
    await outcome(models, thinkInput({ model: 'anthropic/test' }, { window: async () => [seen(3)] }));
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]).toMatchObject({
      path: '/v1/messages',
      headers: { 'x-api-key': ANTHROPIC_KEY, 'anthropic-version': '2023-06-01' },
      body: {
        model: 'test',
        max_tokens: 4_000,
        system: [{ type: 'text', text: expect.stringContaining('You are the agent "a".') }],
        messages: [
          { role: 'user' },
          {
            role: 'assistant',
            content: [{ type: 'tool_use', id: 'call_3-0', name: 'weather', input: { city: 'Oslo' } }],
          },
          {
            role: 'user',
            content: [
              { type: 'tool_result', tool_use_id: 'call_3-0', content: '{"status":"ok","result":{"degrees":3}}' },
            ],
          },
        ],
        tools: [
          { name: 'weather', input_schema: { type: 'object', required: ['city'] } },
          { name: 'final_answer' },
          { name: 'ask_human' },
        ],
        tool_choice: { type: 'auto' },
      },
    });
  });

  it('is at most a temperature of 1', async () => {
    server.reply(anthropicReply({ text: 'Yes.' }));
    await outcome(models, thinkInput({ model: 'anthropic/test', model_options: { temperature: 1.5 } }));
    expect(server.requests[0]?.body).toMatchObject({ temperature: 1 });
  });

  it.each(['planning', 'reviewing'] as const)('asks for one function while %s', async (phase) => {
    server.reply(anthropicReply({ text: 'no' }));
    await outcome(models, thinkInput({ model: 'anthropic/test' }, { phase, draft: 'x' }));
    const name = phase === 'planning' ? 'make_plan' : 'review';
    expect(server.requests[0]?.body).toMatchObject({ tools: [{ name }], tool_choice: { type: 'tool', name } });
  });
});

describe('planning', () => {
  const plan = { steps: [{ id: 'a', tool: 'weather', args: { city: 'Oslo' } }] };
  const planning = () => thinkInput({}, { phase: 'planning', maxOutputTokens: 2_000 });

  it('asks for a plan with the tools that are there', async () => {
    server.reply(calls(['make_plan', plan]));
    expect(await outcome(models, planning())).toMatchObject({ decision: { action: 'plan', plan: Plan.parse(plan) } });
    expect(bodies()[0]).toMatchObject({
      max_tokens: 2_000,
      tool_choice: { type: 'function', function: { name: 'make_plan' } },
      tools: [{ function: { name: 'make_plan', parameters: { type: 'object', required: ['steps'] } } }],
    });
    expect(bodies()[0]?.messages.at(-1)?.content).toContain('"name":"weather"');
  });

  it.each([
    ['a plan that is not valid', calls(['make_plan', { steps: [{ id: 'a', tool: 'weather', after: ['b'] }] }]), /"b"/],
    ['a tool that is not there', calls(['make_plan', { steps: [{ id: 'a', tool: 'fly' }] }]), /"fly".*weather/],
    ['text instead of a plan', openaiReply({ text: 'First, look.' }), /make_plan/],
  ])('refuses %s, with words for the model and the usage', async (_, reply, message) => {
    server.reply(reply);
    const got = await outcome(models, planning());

    expect(got).toMatchObject({
      code: 'bad_decision',
      retryable: true,
      message: expect.stringMatching(message),
      usage: { input_tokens: 100 },
    });
  });

  it('is not asked for when there are no tools', async () => {
    const reply = await outcome(models, { ...planning(), tools: async () => [] });
    expect(reply).toMatchObject({ decision: { action: 'think' }, usage: { cost_usd: 0 } });
    expect(server.requests).toHaveLength(0);
  });

  it('is followed: a call carries out the first open step of its tool', async () => {
    const steps = ['a', 'b', 'c'].map((id) => ({ id, tool: 'weather', args: {}, after: id === 'c' ? ['b'] : [] }));
    const inForce = { plan: { steps }, done: new Set(['a']), result: async () => null };
    server.reply(calls(['weather', {}], ['weather', {}]));
    const reply = await outcome(models, thinkInput({}, { plan: inForce }));
    expect(reply).toMatchObject({
      decision: { calls: [{ tool: 'weather', plan_step: 'b' }, expect.not.objectContaining({ plan_step: 'c' })] },
    });
    expect(bodies()[0]?.messages[2]?.content).toContain('The plan, as JSON');
    expect(bodies()[0]?.messages.at(-1)?.content).toBe('Steps of the plan that are done: a.');
  });
});

describe('reviewing', () => {
  it('shows the draft and asks for a verdict', async () => {
    server.reply(calls(['review', { verdict: 'revise', comment: 'How warm?' }]));
    const reply = await outcome(models, thinkInput({}, { phase: 'reviewing', draft: { warm: true } }));
    expect(reply).toMatchObject({ decision: { action: 'review', verdict: 'revise', comment: 'How warm?' } });
    expect(bodies()[0]?.messages.at(-1)?.content).toBe('The draft of the answer, as JSON:\n{"warm":true}');
    expect(bodies()[0]).toMatchObject({ tool_choice: { type: 'function', function: { name: 'review' } } });
  });

  it('refuses another verdict', async () => {
    server.reply(calls(['review', { verdict: 'maybe' }]));
    const got = await outcome(models, thinkInput({}, { phase: 'reviewing', draft: 1 }));
    expect(got).toMatchObject({ code: 'bad_decision', message: expect.stringContaining('verdict') });
  });
});

describe('a prompt that is too long', () => {
  const overflow = {
    status: 400,
    body: { error: { message: 'too long', type: 'x', code: 'context_length_exceeded' } },
  };

  it('is sent once more with the newer half of its window', async () => {
    server.reply(overflow, openaiReply({ text: 'Yes.' }));
    const got = await outcome(models, thinkInput({}, { window: async () => [1, 2, 3, 4, 5].map(seen) }));
    expect(got).toMatchObject({ decision: { answer: 'Yes.' } });
    const shown = bodies().map((body) =>
      body.messages.filter(({ role }) => role === 'tool').map(({ content }) => content),
    );
    expect(shown.map((contents) => contents.length)).toEqual([5, 2]);
    expect(shown[1]?.[0]).toContain('"degrees":4');
  });

  it('is not sent a third time, nor again when there is nothing to leave out', async () => {
    server.reply(overflow, overflow, overflow);
    const window = async () => [seen(1)];
    expect(await outcome(models, thinkInput({}, { window }))).toMatchObject({
      code: 'context_overflow',
      retryable: false,
    });
    expect(server.requests).toHaveLength(2);
    expect(await outcome(models, thinkInput())).toMatchObject({ code: 'context_overflow' });
    expect(server.requests).toHaveLength(3);
  });
});

describe('a server that does not answer', () => {
  const silent: [string, WireReply, boolean][] = [
    ['before its headers', { ending: 'silence' }, false],
    ['in the middle of a body', { body: '{"choices":[', ending: 'silence' }, false],
    [
      'in the middle of a stream',
      { ...openaiStream({ text: 'It is' }, { upTo: 2, end: false }), ending: 'silence' },
      true,
    ],
    ['at the beginning of a stream', { events: [], ending: 'silence' }, true],
  ];

  it.each(silent)(
    '%s is left when the run says so, for its reason, and charged at a guess',
    async (_, reply, stream) => {
      const abort = new AbortController();
      const reason = new AppError('timeout', 'the model did not answer in time', { retryable: true });
      server.reply({ ...reply, ...('events' in reply ? { events: [...(reply.events ?? [])] } : {}) });
      const got = outcome(models, thinkInput({ model_options: { stream } }, { signal: abort.signal }));
      await server.asked(1);
      abort.abort(reason);
      const { code, message, retryable, usage } = (await got) as AppError;
      expect({ code, message, retryable }).toEqual({ code: 'timeout', message: reason.message, retryable: true });
      expect(usage).toMatchObject({ output_tokens: 4_000, input_tokens: expect.closeTo(150, -2) as number });
      expect(usage?.cost_usd).toBeGreaterThan(0.04);
    },
  );

  it('is not asked at all once no price is in force', async () => {
    const ended = parsePricing({
      prices: [{ model: 'openai/*', from: '2026-01-01', to: '2026-02-28', input: 2, output: 10 }],
    });
    const env = { OPENAI_API_KEY: OPENAI_KEY, OPENAI_BASE_URL: `${server.url}/v1` };
    server.reply(openaiReply({ text: 'Yes.' }));
    expect(await outcome(modelsFor(env, ended), thinkInput())).toMatchObject({ code: 'unknown_price' });
    expect(server.requests).toHaveLength(0);
  });

  it('is not asked at all for a run that wants nothing any more', async () => {
    expect(
      await outcome(models, thinkInput({}, { signal: AbortSignal.abort(new AppError('aborted', 'x')) })),
    ).toMatchObject({
      code: 'aborted',
    });
    expect(server.requests).toHaveLength(0);
  });

  it.each([
    ['refuses connections', () => server.url, /cannot be reached: .*ECONNREFUSED/],
    ['refuses them on every address', () => server.url.replace('127.0.0.1', 'localhost'), /ECONNREFUSED/],
    ['has no address', () => 'http://nowhere.invalid', /cannot be reached: .*(?:ENOTFOUND|EAI_AGAIN)/],
  ])('because it %s is named as such', async (_, url, message) => {
    const base_url = `${url()}/v1`;
    await server.stop();
    const got = await outcome(models, thinkInput({ model: 'compatible/x', model_options: { base_url } }));
    expect(got).toMatchObject({ code: 'model_unavailable', retryable: true, message: expect.stringMatching(message) });
  });
});

describe('a reply without end', () => {
  const megabyte = 'x'.repeat(1024 * 1024);
  it.each<[string, WireReply, string]>([
    ['a reply', { body: megabyte.repeat(3) }, '2097152 bytes'],
    ['one event of a streamed reply', { events: [`data: ${megabyte.repeat(3)}`] }, 'one event'],
    ['one event in many lines', { events: [Array(3).fill(`data: ${megabyte}`).join('\n')] }, 'one event'],
    ['all events together', { events: Array(33).fill(`: ${megabyte}\n\n`) }, '33554432 bytes'],
  ])('is not read beyond its bound: %s', async (_, reply, message) => {
    server.reply(reply);
    const got = await outcome(models, thinkInput({ model_options: { stream: 'events' in reply } }));
    expect(got).toMatchObject({ code: 'bad_reply', retryable: true, message: expect.stringContaining(message) });
  });
});
