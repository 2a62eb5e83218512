import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A model provider for tests, on a real socket: it speaks OpenAI's chat completions and Anthropic's messages, whole and
 * streamed, and says what it is told to, one reply a request, in order.
 */

export interface ModelRequest {
  path: string;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
}

/** What is sent; a string goes out as it is, an object as JSON. */
export interface WireReply {
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
  /** Server-sent events instead of a body: objects as JSON. */
  events?: (object | string)[];
  /** After what was given: nothing more comes, or the connection is cut. Default: a proper end. */
  ending?: 'silence' | 'reset';
}

export type ModelReplyScript = WireReply | ((request: ModelRequest) => WireReply);

export interface ModelServer {
  /** Without a path: `/v1` is what providers' base URLs end in. */
  url: string;
  requests: ModelRequest[];
  /** Adds replies to those that are still to be given. */
  reply(...replies: ModelReplyScript[]): void;
  /** Resolves when the server has had that many requests. */
  asked(count: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startModelServer(...replies: ModelReplyScript[]): Promise<ModelServer> {
  const queue = [...replies];
  const requests: ModelRequest[] = [];
  const waiting = new Set<() => void>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>;
      const asked = { path: request.url ?? '', headers: request.headers, body };
      requests.push(asked);
      const script = queue.shift() ?? { status: 500, body: { error: { message: 'no reply is left', type: 'test' } } };
      send(response, typeof script === 'function' ? script(asked) : script);
      for (const look of waiting) look();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    reply: (...more) => void queue.push(...more),
    asked: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (requests.length < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function send(response: ServerResponse, { status = 200, headers, body, events, ending }: WireReply): void {
  const text =
    events === undefined
      ? textOf(body)
      : events.map((event) => (typeof event === 'string' ? event : sse(event))).join('');
  const type = events === undefined ? 'application/json' : 'text/event-stream';
  response.writeHead(status, { 'content-type': type, ...headers });
  if (ending === undefined) {
    response.end(text);
    return;
  }
  response.flushHeaders();
  const cut = () => (ending === 'reset' ? response.socket?.resetAndDestroy() : undefined);
  if (text === '') cut();
  else response.write(text, cut);
}

function textOf(body: unknown): string {
  if (body === undefined) return '';
  return typeof body === 'string' ? body : JSON.stringify(body);
}

function sse(event: object): string {
  const type = 'type' in event && typeof event.type === 'string' ? `event: ${event.type}\n` : '';
  return `${type}data: ${JSON.stringify(event)}\n\n`;
}

/** What a model says, whoever provides it. */
export interface Said {
  text?: string;
  reasoning?: string;
  refusal?: string;
  /** Arguments as the text of JSON, or whatever a broken model writes. */
  calls?: { name: string; args: string }[];
  /** Why it stopped, in the provider's words. */
  finish?: string;
  usage?: { input: number; output: number; cached?: number } | null;
}

const USAGE: NonNullable<Said['usage']> = { input: 100, output: 20 };

function openaiUsage({ usage = USAGE }: Said) {
  if (usage === null) return undefined;
  const { input, output, cached } = usage;
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    ...(cached === undefined ? {} : { prompt_tokens_details: { cached_tokens: cached } }),
  };
}

const openaiFinish = ({ finish, calls }: Said) => finish ?? (calls === undefined ? 'stop' : 'tool_calls');

/** A reply of OpenAI's chat completions. */
export function openaiReply(said: Said): WireReply {
  const { text, reasoning, refusal, calls } = said;
  const message = {
    role: 'assistant',
    content: text ?? null,
    ...(refusal === undefined ? {} : { refusal }),
    ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
    ...(calls === undefined ? {} : { tool_calls: calls.map((call, i) => openaiCall(call, i)) }),
  };
  return {
    body: {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1_790_000_000,
      model: 'test-2026-01-01',
      choices: [{ index: 0, message, finish_reason: openaiFinish(said) }],
      usage: openaiUsage(said),
    },
  };
}

function openaiCall({ name, args }: { name: string; args: string }, i: number) {
  return { id: `call_${i}`, type: 'function', function: { name, arguments: args } };
}

/** The same, streamed in pieces of a few characters. */
export function openaiStream(said: Said, options: { upTo?: number; end?: boolean } = {}): WireReply {
  const { text, refusal, reasoning, calls } = said;
  const base = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1_790_000_000, model: 'test-2026-01-01' };
  const chunk = (delta: object, finish: string | null = null) => ({
    ...base,
    choices: [{ index: 0, delta, finish_reason: finish }],
  });
  const chunks: object[] = [chunk({ role: 'assistant', content: '' })];
  for (const piece of pieces(reasoning)) chunks.push(chunk({ reasoning_content: piece }));
  for (const piece of pieces(text)) chunks.push(chunk({ content: piece }));
  for (const piece of pieces(refusal)) chunks.push(chunk({ refusal: piece }));
  calls?.forEach(({ name, args }, index) => {
    const head = { index, id: `call_${index}`, type: 'function', function: { name, arguments: '' } };
    chunks.push(chunk({ tool_calls: [head] }));
    for (const piece of pieces(args)) chunks.push(chunk({ tool_calls: [{ index, function: { arguments: piece } }] }));
  });
  chunks.push(chunk({}, openaiFinish(said)), { ...base, choices: [], usage: openaiUsage(said) });
  const { upTo = chunks.length, end = true } = options;
  return { events: [...chunks.slice(0, upTo), ...(end ? ['data: [DONE]\n\n'] : [])] };
}

/** Anthropic counts cached input beside the rest. */
function anthropicUsage({ usage }: Said) {
  const { input, output, cached = 0 } = usage ?? USAGE;
  return {
    input_tokens: input - cached,
    cache_read_input_tokens: cached,
    cache_creation_input_tokens: 0,
    output_tokens: output,
  };
}

const anthropicFinish = ({ finish, calls }: Said) => finish ?? (calls === undefined ? 'end_turn' : 'tool_use');

/** A reply of Anthropic's messages; arguments that are no JSON cannot be said this way. */
export function anthropicReply(said: Said): WireReply {
  const { text, calls = [] } = said;
  return {
    body: {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude-test-20260101',
      content: [
        ...(text === undefined ? [] : [{ type: 'text', text }]),
        ...calls.map(({ name, args }, i) => ({
          type: 'tool_use',
          id: `toolu_${i}`,
          name,
          input: JSON.parse(args) as unknown,
        })),
      ],
      stop_reason: anthropicFinish(said),
      stop_sequence: null,
      usage: anthropicUsage(said),
    },
  };
}

export function anthropicStream(said: Said, options: { upTo?: number } = {}): WireReply {
  const { text, calls = [] } = said;
  const usage = anthropicUsage(said);
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-test-20260101', content: [] };
  const events: object[] = [
    {
      type: 'message_start',
      message: { ...message, stop_reason: null, stop_sequence: null, usage: { ...usage, output_tokens: 1 } },
    },
    { type: 'ping' },
  ];
  let index = 0;
  const block = (content_block: object, deltas: object[]) => {
    events.push({ type: 'content_block_start', index, content_block });
    for (const delta of deltas) events.push({ type: 'content_block_delta', index, delta });
    events.push({ type: 'content_block_stop', index });
    index += 1;
  };
  if (text !== undefined) {
    block(
      { type: 'text', text: '' },
      pieces(text).map((piece) => ({ type: 'text_delta', text: piece })),
    );
  }
  calls.forEach(({ name, args }, i) => {
    const deltas = pieces(args).map((partial_json) => ({ type: 'input_json_delta', partial_json }));
    block({ type: 'tool_use', id: `toolu_${i}`, name, input: {} }, deltas);
  });
  const delta = { stop_reason: anthropicFinish(said), stop_sequence: null };
  events.push(
    { type: 'message_delta', delta, usage: { output_tokens: usage.output_tokens } },
    { type: 'message_stop' },
  );
  return { events: events.slice(0, options.upTo ?? events.length) };
}

function pieces(text = ''): string[] {
  return text.match(/[\s\S]{1,7}/g) ?? [];
}
