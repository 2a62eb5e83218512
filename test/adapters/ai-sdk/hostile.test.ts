import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors.ts';
import {
  anthropicReply,
  anthropicStream,
  openaiReply,
  openaiStream,
  startModelServer,
  type WireReply,
} from '../../support/model-server.ts';
import { modelsFor, outcome, thinkInput } from './support.ts';

/** Replies of which any part may have become anything: each is a decision or one of our codes, and none hangs. */

const CODES = ['bad_decision', 'bad_reply', 'context_overflow', 'model_unavailable', 'output_truncated', 'refusal'];
/** What an event of a stream that says `error` may mean. */
const IN_STREAM = ['auth_error', 'model_error', 'no_model', 'quota_exceeded', 'rate_limit'];

const said = { text: 'Looking.', calls: [{ name: 'weather', args: '{"city":"Oslo"}' }] };

/** The value with one of its parts, found by the numbers, replaced or left out. */
function spoilt(value: unknown, path: number[], by: unknown): unknown {
  if (typeof value !== 'object' || value === null || path.length === 0) return by;
  const keys = Object.keys(value);
  const key = keys[(path[0] ?? 0) % Math.max(1, keys.length)];
  if (key === undefined) return by;
  const inner = spoilt((value as Record<string, unknown>)[key], path.slice(1), by);
  if (Array.isArray(value)) return value.map((item: unknown, i) => (String(i) === key ? inner : item));
  return { ...value, [key]: inner };
}

describe.each([
  ['openai/test', openaiReply(said), openaiStream(said)],
  ['compatible/test', openaiReply(said), openaiStream(said)],
  ['anthropic/test', anthropicReply(said), anthropicStream(said)],
])('%s', (model, whole, streamed) => {
  it('is understood or named, whatever it sends', async () => {
    const server = await startModelServer();
    const url = `${server.url}/v1`;
    const keys = { OPENAI_API_KEY: 'k', ANTHROPIC_API_KEY: 'k' };
    const bases = { OPENAI_BASE_URL: url, ANTHROPIC_BASE_URL: url, COMPATIBLE_BASE_URL: url };
    const models = modelsFor({ ...keys, ...bases });
    const ask = async (reply: WireReply, stream: boolean) => {
      server.reply(reply);
      const got = await outcome(models, thinkInput({ model, model_options: { stream } }));
      if (got instanceof AppError) expect([...CODES, ...IN_STREAM]).toContain(got.code);
      else expect(got.decision.action).toMatch(/^(?:tool_call|final_answer|ask_human)$/);
    };
    const path = fc.array(fc.nat(12), { minLength: 1, maxLength: 6 });
    const junk = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constant(undefined));
    await fc.assert(
      fc.asyncProperty(path, junk, fc.boolean(), async (where, by, stream) => {
        if (!stream) return ask({ body: spoilt(whole.body, where, by) }, false);
        const events = Object.values(Object(spoilt(streamed.events, where, by)));
        return ask({ events: events.map((event) => `data: ${JSON.stringify(event)}\n\n`) }, true);
      }),
      { numRuns: 150 },
    );
    await server.stop();
  });
});
