import { afterAll, beforeAll, describe, it } from 'vitest';
import {
  anthropicReply,
  anthropicStream,
  type ModelServer,
  type Said,
  startModelServer,
  type WireReply,
} from '../../support/model-server.ts';
import { ANTHROPIC_KEY, type Case, checkCase, NOW } from './support.ts';

/** What Anthropic's messages send, and what has to come of it. */

const OSLO = { name: 'weather', args: '{"city":"Oslo"}' };
const call = (tool: string, args: Record<string, string | number> = {}) => ({ tool, args });
const oslo = call('weather', { city: 'Oslo' });
const error = (status: number, type: string, message: string): WireReply => ({
  status,
  body: { type: 'error', error: { type, message }, request_id: 'req_1' },
});
const limited = (headers: Record<string, string>): WireReply => ({
  ...error(429, 'rate_limit_error', "This request would exceed your organization's rate limit"),
  headers,
});
const rateLimit = (retryAfterMs?: number) => ({
  code: 'rate_limit',
  retryable: true,
  ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
});
const at = (ms: number) => new Date(NOW + ms).toISOString();
const down = { code: 'model_unavailable', retryable: true };
const used = { input_tokens: 100, output_tokens: 20, cost_usd: 0.0004 };
const begun = anthropicStream({ text: 'It is warm.' }, { upTo: 4 });

function both(title: string, said: Said, rest: Omit<Case, 'it' | 'reply'>): Case[] {
  return [
    { it: title, reply: anthropicReply(said), ...rest },
    { it: `${title}, streamed`, reply: anthropicStream(said), stream: true, ...rest },
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
    { calls: [{ name: 'final_answer', args: '{"answer":[1,{"a":null}]}' }] },
    { decision: { action: 'final_answer', answer: [1, { a: null }] } },
  ),
  ...both(
    'takes a question to a person',
    { text: 'Not clear.', calls: [{ name: 'ask_human', args: '{"question":"Which Oslo?"}' }] },
    { decision: { action: 'ask_human', question: 'Which Oslo?', reasoning: 'Not clear.' } },
  ),
  ...both(
    'takes a delegation',
    { calls: [{ name: 'delegate', args: '{"agent":"b","input":"go"}' }] },
    {
      input: { delegates: [{ name: 'b', description: '' }] },
      decision: { action: 'delegate', agent: 'b', input: 'go' },
    },
  ),
  ...both(
    'leaves a tool that is not there to the gate',
    { calls: [{ name: 'teleport', args: '{}' }] },
    { decision: { action: 'tool_call', calls: [call('teleport')] } },
  ),
  ...both(
    'counts input from the cache at its price',
    { text: 'Yes.', usage: { input: 1000, output: 10, cached: 600 } },
    {
      decision: { action: 'final_answer', answer: 'Yes.' },
      usage: { input_tokens: 1000, output_tokens: 10, cached_input_tokens: 600, cost_usd: 0.0015 },
    },
  ),
  {
    it: 'counts input that was written to the cache as input',
    reply: {
      body: {
        ...(anthropicReply({ text: 'Yes.' }).body as object),
        usage: { input_tokens: 50, cache_creation_input_tokens: 50, cache_read_input_tokens: 0, output_tokens: 20 },
      },
    },
    decision: { action: 'final_answer', answer: 'Yes.' },
  },
  {
    it: 'ignores fields that it does not know',
    reply: { body: { ...(anthropicReply({ text: 'Yes.' }).body as object), extra: { deep: [1] } } },
    decision: { action: 'final_answer', answer: 'Yes.' },
  },
];

const UNUSABLE: Case[] = [
  ...both('an empty text', { text: '' }, { error: { code: 'bad_decision', retryable: true, usage: used } }),
  ...both(
    'a refusal',
    { text: 'I will not.', finish: 'refusal' },
    { error: { code: 'refusal', retryable: false, message: /I will not\./, usage: used } },
  ),
  ...both(
    'a text that was cut off',
    { text: 'It is', finish: 'max_tokens' },
    { error: { code: 'output_truncated', retryable: true, message: /4000 output tokens/, usage: used } },
  ),
  {
    it: 'a call that was cut off, streamed',
    stream: true,
    reply: anthropicStream({ calls: [{ name: 'weather', args: '{"city":"Os' }], finish: 'max_tokens' }),
    error: { code: 'output_truncated', retryable: true, usage: used },
  },
  {
    it: 'arguments that are no JSON, streamed',
    stream: true,
    reply: anthropicStream({ calls: [{ name: 'weather', args: '{city: Oslo}' }] }),
    error: { code: 'bad_decision', retryable: true, message: /weather are not a JSON object/, usage: used },
  },
  {
    it: 'arguments that are no object, streamed',
    stream: true,
    reply: anthropicStream({ calls: [{ name: 'weather', args: '["Oslo"]' }] }),
    error: { code: 'bad_decision', retryable: true, usage: used },
  },
  ...both(
    'a reply that filled the context window',
    { text: 'It is', finish: 'model_context_window_exceeded' },
    { error: { code: 'context_overflow', retryable: false, usage: used } },
  ),
];

const FAILED: Case[] = [
  {
    it: '400',
    reply: error(400, 'invalid_request_error', 'messages.0: roles must alternate'),
    error: { code: 'model_error', retryable: false, message: /roles must alternate/ },
  },
  {
    it: '400 for a prompt that is too long',
    reply: error(400, 'invalid_request_error', 'prompt is too long: 212000 tokens > 200000 maximum'),
    error: { code: 'context_overflow', retryable: false, message: /212000/ },
  },
  {
    it: '400 because the credit is used up',
    reply: error(400, 'invalid_request_error', 'Your credit balance is too low to access the Anthropic API.'),
    error: { code: 'quota_exceeded', retryable: false },
  },
  {
    it: '401, whose words may hold the key',
    reply: error(401, 'authentication_error', `invalid x-api-key ${ANTHROPIC_KEY}`),
    error: { code: 'auth_error', retryable: false, message: /check ANTHROPIC_API_KEY(?!.*invalid)/ },
  },
  { it: '402', reply: error(402, 'billing_error', 'pay'), error: { code: 'quota_exceeded', retryable: false } },
  {
    it: '403 that echoes the key',
    reply: error(403, 'permission_error', `no permission for ${ANTHROPIC_KEY}`),
    error: { code: 'auth_error', retryable: false, message: /no permission/ },
  },
  {
    it: '404',
    reply: error(404, 'not_found_error', 'model: test'),
    error: { code: 'no_model', retryable: false },
  },
  { it: '408', reply: error(408, 'timeout_error', 'timeout'), error: down },
  { it: '409', reply: error(409, 'conflict_error', 'conflict'), error: down },
  {
    it: '413',
    reply: error(413, 'request_too_large', 'Request exceeds the maximum size'),
    error: { code: 'context_overflow', retryable: false },
  },
  { it: '429 without a word on when', reply: limited({}), error: rateLimit() },
  { it: '429 with retry-after', reply: limited({ 'retry-after': '0.5' }), error: rateLimit(500) },
  {
    it: '429 with retry-after as a date that has passed',
    reply: limited({ 'retry-after': new Date(NOW - 5_000).toUTCString() }),
    error: rateLimit(0),
  },
  {
    it: '429 with the resets of its limits, of which one is exhausted',
    reply: limited({
      'anthropic-ratelimit-requests-remaining': '10',
      'anthropic-ratelimit-requests-reset': at(90_000),
      'anthropic-ratelimit-input-tokens-remaining': '0',
      'anthropic-ratelimit-input-tokens-reset': at(30_000),
    }),
    error: rateLimit(30_000),
  },
  { it: '500', reply: error(500, 'api_error', 'Internal server error'), error: { ...down, message: /Internal/ } },
  {
    it: '502 in HTML',
    reply: { status: 502, body: '<h1>Bad Gateway</h1>' },
    error: { ...down, message: /Bad Gateway/ },
  },
  { it: '503', reply: { status: 503, body: '' }, error: down },
  {
    it: '529 that says when',
    reply: { ...error(529, 'overloaded_error', 'Overloaded'), headers: { 'retry-after': '7' } },
    error: { ...down, retryAfterMs: 7_000, message: /Overloaded/ },
  },
  { it: 'an empty body', reply: { body: '' }, error: { ...down, message: /empty/ } },
  { it: 'garbage', reply: { body: '{"type": "message",' }, error: { code: 'bad_reply', retryable: true } },
  { it: 'JSON of another kind', reply: { body: [1, 2] }, error: { code: 'bad_reply', retryable: true } },
  {
    it: 'a page instead of an answer',
    reply: { headers: { 'content-type': 'text/html' }, body: '<html>Log in</html>' },
    error: { code: 'bad_reply', retryable: true },
  },
  { it: 'a connection that breaks off in the body', reply: { body: '{"type": "mess', ending: 'reset' }, error: down },
  { it: 'a stream that breaks off', stream: true, reply: { ...begun, ending: 'reset' }, error: down },
  {
    it: 'a stream that ends early',
    stream: true,
    reply: begun,
    error: { ...down, message: /before the reply was complete/ },
  },
  { it: 'a stream without anything', stream: true, reply: { events: [] }, error: down },
  { it: 'JSON instead of a stream', stream: true, reply: anthropicReply({ text: 'Yes.' }), error: down },
  {
    it: 'an error in the middle of a stream',
    stream: true,
    reply: {
      events: [...(begun.events ?? []), { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }],
    },
    error: { ...down, message: /Overloaded/ },
  },
  {
    it: 'an error at the beginning of a stream',
    stream: true,
    reply: { events: [{ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }] },
    error: { ...down, message: /Overloaded/ },
  },
  {
    it: 'a stream of garbage',
    stream: true,
    reply: { events: ['event: message_start\ndata: {"type":\n\n'] },
    error: { code: 'bad_reply', retryable: true },
  },
];

describe('anthropic/test', () => {
  let server: ModelServer;

  beforeAll(async () => {
    server = await startModelServer();
  });
  afterAll(() => server.stop());

  it.each(SPOKEN)('$it', (one) => checkCase('anthropic/test', server, one));
  it.each(UNUSABLE)('names $it', (one) => checkCase('anthropic/test', server, one));
  it.each(FAILED)('names $it', (one) => checkCase('anthropic/test', server, one));
});
