import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type ModelServer,
  openaiReply,
  openaiStream,
  type Said,
  startModelServer,
  type WireReply,
} from '../../support/model-server.ts';
import { type Case, checkCase, NOW, OPENAI_KEY, PLAIN_KEY } from './support.ts';

/** What OpenAI and the servers that speak like it send, and what has to come of it. */

const OSLO = { name: 'weather', args: '{"city":"Oslo"}' };
const call = (tool: string, args: Record<string, string | number> = {}) => ({ tool, args });
const oslo = call('weather', { city: 'Oslo' });
const error = (status: number, message: string, type: string, code: string | null = null): WireReply => ({
  status,
  body: { error: { message, type, param: null, code } },
});
const limited = (headers: Record<string, string>): WireReply => ({
  ...error(429, 'Rate limit reached for requests', 'requests', 'rate_limit_exceeded'),
  headers,
});
const rateLimit = (retryAfterMs?: number) => ({
  code: 'rate_limit',
  retryable: true,
  ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
});
const down = { code: 'model_unavailable', retryable: true };
const used = { input_tokens: 100, output_tokens: 20, cost_usd: 0.0004 };

/** The same reply whole and streamed. */
function both(title: string, said: Said, rest: Omit<Case, 'it' | 'reply'>): Case[] {
  return [
    { it: title, reply: openaiReply(said), ...rest },
    { it: `${title}, streamed`, reply: openaiStream(said), stream: true, ...rest },
  ];
}

const SPOKEN: Case[] = [
  ...both('takes text as the final answer', { text: 'Yes.' }, { decision: { action: 'final_answer', answer: 'Yes.' } }),
  ...both(
    'takes a call with the words beside it as its reasoning',
    { text: 'Looking.', calls: [OSLO] },
    { decision: { action: 'tool_call', reasoning: 'Looking.', calls: [oslo] } },
  ),
  ...both(
    'takes several calls as parallel ones',
    { calls: [OSLO, { name: 'weather', args: '{"city":"Rome"}' }] },
    { decision: { action: 'tool_call', calls: [oslo, call('weather', { city: 'Rome' })] } },
  ),
  ...both(
    'takes final_answer with any JSON',
    { calls: [{ name: 'final_answer', args: '{"answer":{"warm":true}}' }] },
    { decision: { action: 'final_answer', answer: { warm: true } } },
  ),
  ...both(
    'takes a question to a person',
    { calls: [{ name: 'ask_human', args: '{"question":"Which Oslo?"}' }] },
    { decision: { action: 'ask_human', question: 'Which Oslo?' } },
  ),
  ...both(
    'takes a delegation',
    { calls: [{ name: 'delegate', args: '{"agent":"b","input":[1]}' }] },
    {
      input: { delegates: [{ name: 'b', description: '' }] },
      decision: { action: 'delegate', agent: 'b', input: [1] },
    },
  ),
  ...both(
    'leaves one of its own functions beside other calls to the gate',
    { calls: [OSLO, { name: 'final_answer', args: '{"answer":1}' }] },
    { decision: { action: 'tool_call', calls: [oslo, call('final_answer', { answer: 1 })] } },
  ),
  ...both(
    'leaves a tool that is not there to the gate',
    { calls: [{ name: 'constructor', args: '{"a":1}' }] },
    { decision: { action: 'tool_call', calls: [call('constructor', { a: 1 })] } },
  ),
  ...both(
    'leaves a delegation that was not offered to the gate',
    { calls: [{ name: 'delegate', args: '{"agent":"b","input":1}' }] },
    { decision: { action: 'tool_call', calls: [call('delegate', { agent: 'b', input: 1 })] } },
  ),
  ...both(
    'takes no arguments as none',
    { calls: [{ name: 'weather', args: '' }] },
    { decision: { action: 'tool_call', calls: [call('weather')] } },
  ),
  {
    it: 'reads arguments that were encoded twice',
    reply: openaiReply({ calls: [{ name: 'weather', args: '"{\\"city\\":\\"Oslo\\"}"' }] }),
    decision: { action: 'tool_call', calls: [oslo] },
  },
  ...both(
    'counts cached input at its price',
    { text: 'Yes.', usage: { input: 1000, output: 10, cached: 600 } },
    {
      decision: { action: 'final_answer', answer: 'Yes.' },
      usage: { input_tokens: 1000, output_tokens: 10, cached_input_tokens: 600, cost_usd: 0.0015 },
    },
  ),
  {
    it: 'charges a guess when no usage is told',
    reply: openaiReply({ text: 'Yes.'.repeat(100), usage: null }),
    decision: { action: 'final_answer', answer: 'Yes.'.repeat(100) },
    usage: { output_tokens: expect.closeTo(104, -1) as number, input_tokens: expect.closeTo(150, -2) as number },
  },
  {
    it: 'ignores fields that it does not know',
    reply: { body: { ...(openaiReply({ text: 'Yes.' }).body as object), service_tier: 'x', extra: { deep: [1] } } },
    decision: { action: 'final_answer', answer: 'Yes.' },
  },
  {
    it: 'reads JSON whatever the content type says',
    reply: { ...openaiReply({ text: 'Yes.' }), headers: { 'content-type': 'text/plain' } },
    decision: { action: 'final_answer', answer: 'Yes.' },
  },
];

const UNUSABLE: Case[] = [
  ...both('an empty text', { text: '' }, { error: { code: 'bad_decision', retryable: true, usage: used } }),
  ...both(
    'a refusal',
    { refusal: 'I cannot help with that.' },
    { error: { code: 'refusal', retryable: false, message: /I cannot help with that\./, usage: used } },
  ),
  ...both(
    'a text that the content filter cut',
    { text: 'Well', finish: 'content_filter' },
    { error: { code: 'refusal', retryable: false, usage: used } },
  ),
  ...both(
    'a call that was cut off',
    { calls: [{ name: 'weather', args: '{"city":"Os' }], finish: 'length' },
    { error: { code: 'output_truncated', retryable: true, message: /4000 output tokens/, usage: used } },
  ),
  ...both(
    'a text that was cut off',
    { text: 'It is', finish: 'length' },
    { error: { code: 'output_truncated', retryable: true, usage: used } },
  ),
  ...both(
    'arguments that are no JSON',
    { calls: [{ name: 'weather', args: '{city: Oslo}' }] },
    {
      error: {
        code: 'bad_decision',
        retryable: true,
        message: /weather are not a JSON object.*city: Oslo/,
        usage: used,
      },
    },
  ),
  ...both(
    'arguments that are no object',
    { calls: [{ name: 'weather', args: '["Oslo"]' }] },
    { error: { code: 'bad_decision', retryable: true, usage: used } },
  ),
  ...both(
    'arguments that reach for a prototype',
    { calls: [{ name: 'weather', args: '{"__proto__":{"admin":true}}' }] },
    { error: { code: 'bad_decision', retryable: true, usage: used } },
  ),
  ...both(
    'more calls than one reply may ask for',
    { calls: Array.from({ length: 65 }, () => OSLO) },
    { error: { code: 'bad_decision', retryable: true, message: /65 calls.*64/, usage: used } },
  ),
  ...both(
    'a final answer without an answer',
    { calls: [{ name: 'final_answer', args: '{}' }] },
    { error: { code: 'bad_decision', retryable: true, message: /no "answer"/, usage: used } },
  ),
];

const FAILED: Case[] = [
  {
    it: '400',
    reply: error(400, "Invalid 'tools[0]'", 'invalid_request_error'),
    error: { code: 'model_error', retryable: false, message: /Invalid 'tools\[0\]'/ },
  },
  {
    it: '400 for a prompt that is too long',
    reply: error(
      400,
      "This model's maximum context length is 128000 tokens.",
      'invalid_request_error',
      'context_length_exceeded',
    ),
    error: { code: 'context_overflow', retryable: false, message: /128000/ },
  },
  {
    it: '400 of llama.cpp for a prompt that is too long',
    reply: {
      status: 400,
      body: {
        error: {
          code: 400,
          message: 'the request exceeds the available context size',
          type: 'exceed_context_size_error',
        },
      },
    },
    error: { code: 'context_overflow', retryable: false },
  },
  {
    it: '401, whose words may hold the key',
    reply: error(401, `Incorrect API key provided: ${OPENAI_KEY}`, 'invalid_request_error', 'invalid_api_key'),
    error: { code: 'auth_error', retryable: false, message: /check (?:OPENAI|COMPATIBLE)_API_KEY(?!.*Incorrect)/ },
  },
  {
    it: '403 that echoes the key',
    reply: error(403, `no access with ${OPENAI_KEY} or ${PLAIN_KEY} or Bearer ${PLAIN_KEY}`, 'permission'),
    error: { code: 'auth_error', retryable: false, message: /no access with/ },
  },
  {
    it: '403 that echoes the key where the quotation is cut',
    reply: error(403, `${'x'.repeat(590)} ${OPENAI_KEY} ${PLAIN_KEY}`, 'permission'),
    error: { code: 'auth_error', retryable: false, message: /^(?!.*(?:sk-proj|corre)).*…$/ },
  },
  {
    it: '404',
    reply: error(404, 'The model `test` does not exist', 'invalid_request_error', 'model_not_found'),
    error: { code: 'no_model', retryable: false, message: /does not exist/ },
  },
  { it: '408', reply: error(408, 'timeout', 'timeout'), error: down },
  { it: '409', reply: error(409, 'conflict', 'conflict'), error: down },
  { it: '413', reply: { status: 413, body: 'too large' }, error: { code: 'context_overflow', retryable: false } },
  { it: '422', reply: error(422, 'cannot be processed', 'x'), error: { code: 'model_error', retryable: false } },
  { it: '429 without a word on when', reply: limited({}), error: rateLimit() },
  { it: '429 with retry-after in seconds', reply: limited({ 'retry-after': '20' }), error: rateLimit(20_000) },
  {
    it: '429 with retry-after as a date',
    reply: limited({ 'retry-after': new Date(NOW + 30_000).toUTCString() }),
    error: rateLimit(30_000),
  },
  {
    it: '429 with retry-after-ms, which goes before seconds',
    reply: limited({ 'retry-after-ms': '1500', 'retry-after': '2' }),
    error: rateLimit(1_500),
  },
  {
    it: '429 with the resets of its limits, of which one is exhausted',
    reply: limited({
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '1m0.5s',
      'x-ratelimit-remaining-tokens': '1000',
      'x-ratelimit-reset-tokens': '6m0s',
    }),
    error: rateLimit(60_500),
  },
  {
    it: '429 with the reset of a limit that still has a little left',
    reply: limited({ 'x-ratelimit-remaining-tokens': '10', 'x-ratelimit-reset-tokens': '250ms' }),
    error: rateLimit(250),
  },
  {
    it: '429 with a reset as an epoch',
    reply: limited({ 'x-ratelimit-reset': String(NOW + 5_000) }),
    error: rateLimit(5_000),
  },
  {
    it: '429 with nonsense in its headers',
    reply: limited({ 'retry-after': 'soon', 'x-ratelimit-reset': '' }),
    error: rateLimit(),
  },
  {
    it: '429 because the credit is used up',
    reply: error(429, 'You exceeded your current quota', 'insufficient_quota', 'insufficient_quota'),
    error: { code: 'quota_exceeded', retryable: false, message: /current quota/ },
  },
  { it: '402', reply: error(402, 'Insufficient Balance', 'x'), error: { code: 'quota_exceeded', retryable: false } },
  {
    it: '500',
    reply: error(500, 'The server had an error', 'server_error'),
    error: { ...down, message: /had an error/ },
  },
  {
    it: '502 in HTML',
    reply: { status: 502, headers: { 'content-type': 'text/html' }, body: '<html><h1>502 Bad Gateway</h1></html>' },
    error: { ...down, message: /502 Bad Gateway/ },
  },
  {
    it: '503 that says when',
    reply: { ...error(503, 'overloaded', 'server_error'), headers: { 'retry-after': '3' } },
    error: { ...down, retryAfterMs: 3_000 },
  },
  { it: '529', reply: { status: 529, body: '' }, error: down },
  {
    it: 'a redirect, which would take the key elsewhere',
    reply: { status: 307, headers: { location: 'http://127.0.0.1:9/v1' } },
    error: { code: 'model_error', retryable: false, message: /redirects/ },
  },
  { it: 'an empty body', reply: { body: '' }, error: { ...down, message: /empty/ } },
  { it: 'garbage', reply: { body: '{"choices": [}' }, error: { code: 'bad_reply', retryable: true } },
  { it: 'JSON of another kind', reply: { body: { hello: 'world' } }, error: { code: 'bad_reply', retryable: true } },
  { it: 'no choices', reply: { body: { choices: [] } }, error: { code: 'bad_reply', retryable: true } },
  {
    it: 'a page instead of an answer',
    reply: { headers: { 'content-type': 'text/html' }, body: '<html>Log in</html>' },
    error: { code: 'bad_reply', retryable: true },
  },
  { it: 'a connection that breaks off in the body', reply: { body: '{"choices": [', ending: 'reset' }, error: down },
  {
    it: 'a stream that breaks off',
    stream: true,
    reply: { ...openaiStream({ text: 'It is warm.' }, { upTo: 2, end: false }), ending: 'reset' },
    error: down,
  },
  {
    it: 'a stream that ends early',
    stream: true,
    reply: openaiStream({ text: 'It is warm.' }, { upTo: 2, end: false }),
    error: { ...down, message: /before the reply was complete/ },
  },
  { it: 'a stream without anything', stream: true, reply: { events: [] }, error: down },
  { it: 'JSON instead of a stream', stream: true, reply: openaiReply({ text: 'Yes.' }), error: down },
  {
    it: 'an error in the middle of a stream',
    stream: true,
    reply: {
      events: [
        ...(openaiStream({ text: 'It is warm.' }, { upTo: 2, end: false }).events ?? []),
        { error: { message: 'The server had an error', type: 'server_error', code: null } },
      ],
    },
    error: { ...down, message: /had an error/ },
  },
  {
    it: 'an error at the beginning of a stream',
    stream: true,
    reply: { events: [{ error: { message: 'slow down', type: 'requests', code: 'rate_limit_exceeded' } }] },
    error: rateLimit(),
  },
  {
    it: 'a stream of garbage',
    stream: true,
    reply: { events: ['data: {"choices": [}\n\n', 'data: [DONE]\n\n'] },
    error: { code: 'bad_reply', retryable: true },
  },
];

describe.each(['openai/test', 'compatible/test'])('%s', (model) => {
  let server: ModelServer;

  beforeAll(async () => {
    server = await startModelServer();
  });
  afterAll(() => server.stop());

  /** The compatible adapter of the SDK does not read `refusal`: such a reply is an empty one. */
  const spoken = (one: Case): Case =>
    model === 'compatible/test' && one.it.startsWith('a refusal')
      ? { ...one, error: { code: 'bad_decision', retryable: true, usage: used } }
      : one;

  it.each(SPOKEN)('$it', (one) => checkCase(model, server, one));
  it.each(UNUSABLE)('names $it', (one) => checkCase(model, server, spoken(one)));
  it.each(FAILED)('names $it', (one) => checkCase(model, server, one));
});

describe('compatible/test', () => {
  it('takes the thoughts of a reasoning model as its reasoning', async () => {
    const server = await startModelServer();
    const said = { reasoning: 'Oslo it is.', calls: [OSLO] };
    const decision = { action: 'tool_call' as const, reasoning: 'Oslo it is.', calls: [oslo] };
    await checkCase('compatible/test', server, { it: '', reply: openaiReply(said), decision });
    await checkCase('compatible/test', server, { it: '', reply: openaiStream(said), stream: true, decision });
    await server.stop();
  });
});
